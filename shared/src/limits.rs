//! Every bound in the system, and what each must fit into. Sizes are bytes unless the name ends in a unit.

/// One log entry, whole.
pub const ENVELOPE_MAX: usize = 256 * 1024;
/// The clear header of an envelope.
pub const HEADER_LEN: usize = 152;
/// An Ed25519 signature.
pub const SIGNATURE_LEN: usize = 64;
/// What an envelope adds around its body.
pub const ENVELOPE_OVERHEAD: usize = HEADER_LEN + SIGNATURE_LEN;
/// The Poly1305 tag at the end of a sealed body.
pub const TAG_LEN: usize = 16;
/// A body (ciphertext and tag, or clear) at the most.
pub const BODY_MAX: usize = ENVELOPE_MAX - ENVELOPE_OVERHEAD;

/// The smallest padded plaintext.
pub const PADDING_FLOOR: usize = 256;
/// The head of a plaintext, as written today.
pub const HEAD_LEN: usize = 38;
/// A head from a later version may be longer, up to this.
pub const HEAD_MAX: usize = 1024;
/// What one part of an update or snapshot may carry; `plaintext.rs` asserts that, padded and sealed, it fits a body.
pub const PART_MAX: usize = 220 * 1024;
/// An update in all its parts, compressed or not.
pub const UPDATE_MAX: usize = 4 * 1024 * 1024;
/// One value, which no update can be split within, with its key and what Loro writes around it.
pub const VALUE_MAX: usize = UPDATE_MAX - 64 * 1024;
/// The name of a root container, with the keys that lead to it where it is a mergeable one: Loro reads no longer name.
pub const CONTAINER_NAME_MAX: usize = 32 * 1024;
/// A snapshot in all its parts, compressed or not.
pub const SNAPSHOT_MAX: usize = 64 * 1024 * 1024;
/// How deep containers, and how deep values, may be nested in a document: who walks deeper ones overflows the stack.
pub const NESTING_MAX: usize = 1_000;
/// Parts of one blob at the most.
pub const PARTS_MAX: u32 = 1_024;

/// One WebSocket message, and so one Append with its framing.
pub const MESSAGE_MAX: usize = 1024 * 1024;
/// Type byte, id, if_tail, counts and lengths around an Append's envelopes.
pub const APPEND_FRAMING_MAX: usize = 4 * 1024;
/// The envelopes of one Append together.
pub const APPEND_BYTES_MAX: usize = MESSAGE_MAX - APPEND_FRAMING_MAX;
/// The envelopes of one Append, counted.
pub const APPEND_ENVELOPES_MAX: usize = 256;
/// A page of entries aims at this and carries at least one entry.
pub const PAGE_TARGET: usize = 64 * 1024;
/// Presence, sealed and signed.
pub const EPHEMERAL_MAX: usize = 4 * 1024;
/// The JSON text in it.
pub const PRESENCE_STATE_MAX: usize = 3_800;
/// A device shows what its person looks at this often, changed or not …
pub const PRESENCE_EVERY_MS: u64 = 5_000;
/// … and it is gone for the others when they did not hear of it for this long.
pub const PRESENCE_GONE_MS: u64 = 12_000;
/// Changes go out no closer together than this; a server passes one socket's on no faster, the latest at last.
pub const PRESENCE_PAUSE_MS: u64 = 100;
/// Entries of one log: far beyond any, and far from overflow.
pub const LOG_ENTRIES_MAX: u64 = 1 << 62;
/// Lives of one log.
pub const LOG_LIVES_MAX: usize = 1_024;
/// Text in an Error message.
pub const ERROR_TEXT_MAX: usize = 1_024;
/// Items in one Entries message.
pub const PAGE_ITEMS_MAX: usize = 1_024;
/// The Hello message.
pub const HELLO_MAX: usize = 4 * 1024;
/// Bytes that a socket may bring before Welcome: a Hello, the heads of its frames, and a ping.
pub const BEFORE_WELCOME_MAX: usize = HELLO_MAX + 64;
/// Documents a Hello may name.
pub const HELLO_DOCUMENTS_MAX: usize = 96;
/// A Hello must arrive within this.
pub const HELLO_TIMEOUT_MS: u64 = 5_000;
/// A bearer token.
pub const TOKEN_MAX: usize = 2 * 1024;
/// Hashes in a consistency proof over any log that fits a u64.
pub const PROOF_HASHES_MAX: usize = 128;
/// Entries a checkpoint may keep.
pub const KEPT_ENTRIES_MAX: usize = 60_000;

/// Devices a roster lists.
pub const DEVICES_MAX: usize = 512;
/// One device in an owner record.
pub const ROSTER_DEVICE_LEN: usize = 330;
/// A roster record, which must fit an envelope's body.
pub const ROSTER_RECORD_MAX: usize = 172 * 1024;
/// The clear name inside a sealed label.
pub const LABEL_TEXT_MAX: usize = 55;
/// Records in one chain.
pub const ROSTER_CHAIN_MAX: usize = 10_000;

/// A JSON body, or an octet-stream of envelopes with its framing.
pub const HTTP_BODY_MAX: usize = MESSAGE_MAX + 64 * 1024;
/// The body that creates a workspace: a whole chain, base64.
pub const HTTP_CHAIN_MAX: usize = 8 * 1024 * 1024;
/// A body or a socket up to this is small: the last quarter of what may be unfinished is kept for these.
pub const SMALL_BODY_MAX: usize = 64 * 1024;
/// The heads of an HTTP request.
pub const HTTP_HEAD_MAX: usize = 8 * 1024;
/// They must arrive within this.
pub const HTTP_HEAD_TIMEOUT_MS: u64 = 10_000;
/// A body may be this late …
pub const HTTP_BODY_GRACE_MS: u64 = 10_000;
/// … and from then on comes at least this fast on the average: bytes a second.
pub const HTTP_BODY_RATE_MIN: u64 = 16 * 1024;
/// Live sockets one device may hold.
pub const SOCKETS_PER_DEVICE_MAX: usize = 64;
/// A send that makes no progress for this long ends the socket.
pub const SEND_STALL_MS: u64 = 10_000;
/// A server nonce is good for this long.
pub const NONCE_LIFE_MS: u64 = 60_000;
/// An access token lives this long at the most.
pub const TOKEN_LIFE_MAX_S: u64 = 24 * 60 * 60;
/// A token for a client without device keys lives this long at the most.
pub const KEYLESS_LIFE_MAX_S: u64 = 366 * 24 * 60 * 60;
/// A workspace has so many of them at once.
pub const KEYLESS_TOKENS_MAX: usize = 256;
/// A lost answer to a redemption may be asked for again by the same new device for this long.
pub const REDEEM_RETRY_MS: u64 = 10 * 60 * 1000;
/// Wrong passcodes that burn a link.
pub const PASSCODE_TRIES_MAX: u32 = 5;
/// A new log id is given to a workspace this seldom.
pub const LOG_CHANGE_PAUSE_MS: u64 = 60 * 60 * 1000;
/// Waiting before the first reconnect, and at the most.
pub const BACKOFF_MIN_MS: u64 = 500;
/// See [`BACKOFF_MIN_MS`].
pub const BACKOFF_MAX_MS: u64 = 30_000;
/// An Append unanswered for this long is repeated, byte for byte, on a new socket.
pub const APPEND_TIMEOUT_MS: u64 = 15_000;
/// So many bytes of it give it a millisecond more: a slower line is taken for dead.
pub const SLOWEST_BYTES_PER_MS: u64 = 8;
/// Entries that were acknowledged and not met in the log for this long (behind a long backlog, say) are appended again.
pub const MET_TIMEOUT_MS: u64 = 120_000;
/// Edits typed within this time of the last seal go into one envelope: an entry costs some 500 bytes and a
/// signature however little it holds. An edit after a rest is sealed at once.
pub const SEAL_PAUSE_MS: u64 = 100;
/// A device tells how far it has read this often at the most.
pub const SEEN_PAUSE_MS: u64 = 1_000;

const _: () = {
    assert!(ROSTER_RECORD_MAX <= BODY_MAX, "a roster record fits an envelope");
    assert!(DEVICES_MAX * ROSTER_DEVICE_LEN + 2_048 <= ROSTER_RECORD_MAX, "a full roster fits a record");
    assert!(ENVELOPE_MAX + APPEND_FRAMING_MAX <= MESSAGE_MAX, "an Append carries at least one envelope");
    assert!(ENVELOPE_MAX + PAGE_TARGET + APPEND_FRAMING_MAX <= MESSAGE_MAX, "so does a page over its target");
    assert!(PAGE_ITEMS_MAX * 64 <= MESSAGE_MAX, "a page of leaves fits a message");
    assert!(TOKEN_MAX + HELLO_DOCUMENTS_MAX * 16 + 256 <= HELLO_MAX, "a Hello with token and documents fits");
    assert!(SNAPSHOT_MAX <= PARTS_MAX as usize * PART_MAX, "a snapshot fits its parts");
    assert!(UPDATE_MAX <= SNAPSHOT_MAX);
    assert!(MESSAGE_MAX <= HTTP_BODY_MAX && ROSTER_RECORD_MAX * 4 / 3 + 1_024 <= HTTP_BODY_MAX);
    assert!(HEAD_LEN <= HEAD_MAX && HEAD_MAX < PART_MAX);
    assert!(KEPT_ENTRIES_MAX * 4 + DEVICES_MAX * 24 + 256 <= BODY_MAX, "a checkpoint fits an envelope");
    assert!(SEAL_PAUSE_MS < BACKOFF_MIN_MS && BACKOFF_MIN_MS < BACKOFF_MAX_MS);
    assert!(HELLO_TIMEOUT_MS < NONCE_LIFE_MS);
    assert!(BEFORE_WELCOME_MAX <= SMALL_BODY_MAX && SMALL_BODY_MAX < HTTP_BODY_MAX && HTTP_BODY_MAX < HTTP_CHAIN_MAX);
};
