//! What must hold of bytes nobody promised anything about: one body for each kind of bytes.
//!
//! The fuzz targets in `shared/fuzz` include this file and feed it what libFuzzer makes up; `corpus.rs` feeds it the
//! files worth keeping, with stable Rust. A body panics when a promise is broken, and only then. It needs nothing
//! but `roost-shared` and `ed25519-dalek`: the fuzz targets have no proptest and no samples.

use std::fmt::Debug;

use ed25519_dalek::{Signer, SigningKey};
use roost_shared::bytes::{Reader, Truncated};
use roost_shared::limits::{DEVICES_MAX, HEAD_LEN, PADDING_FLOOR, PARTS_MAX, PROOF_HASHES_MAX, SIGNATURE_LEN};
use roost_shared::plaintext::{Compression, Head, padded_len};
use roost_shared::roster::{Record, RecordBody, Roster, Status};
use roost_shared::tree::{Frontier, consistency_proof, is_consistent, leaf, leaf_of, root};
use roost_shared::wire::codec::{CodecError, decode_envelopes, decode_items, encode_envelopes, encode_items};
use roost_shared::wire::message::{ClientMessage, Item, ServerMessage};
use roost_shared::{DeviceId, DocumentId, Envelope, Hash, Kind, WorkspaceId};

/// Takes any bytes at all.
pub type Body = fn(&[u8]);

/// Every body under the name of its fuzz target, which is the name of its folder in `shared/fuzz/corpus` too.
pub const BODIES: [(&str, Body); 6] = [
    ("messages", messages),
    ("streams", streams),
    ("envelope", envelope),
    ("roster", roster),
    ("plaintext", plaintext),
    ("tree", tree),
];

/// The seed of the key that owns the workspace of the roster's seed corpus, as in `samples.rs`.
const OWNER: u8 = 1;
/// The seeds of everyone whose key a body may sign with; those of `samples.rs` are among them.
const PEOPLE: std::ops::RangeInclusive<u8> = 1..=9;
/// Leaves of an honest tree: enough for every shape a proof has up to six levels, and quick.
const LEAVES_MAX: u8 = 64;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The last 64 bytes, for putting together again what is signed without its key.
fn signature_of(bytes: &[u8]) -> [u8; SIGNATURE_LEN] {
    bytes.last_chunk().copied().unwrap_or([0; SIGNATURE_LEN])
}

/// What was understood is said again in as many bytes at most, means the same, and ends with its last byte.
///
/// The very bytes need not come back: a varint need not be the shortest, and bytes at the end are ignored.
fn said_again<M: PartialEq + Debug>(
    bytes: &[u8],
    meant: &M,
    encode: impl Fn(&M) -> Vec<u8>,
    decode: impl Fn(&[u8]) -> Result<M, CodecError>,
) {
    let said = encode(meant);
    assert!(said.len() <= bytes.len(), "{} bytes became {}", bytes.len(), said.len());
    assert_eq!(decode(&said).as_ref(), Ok(meant));
    assert!(decode(&said[..said.len() - 1]).is_err(), "a prefix means nothing");
}

/// A message of either side.
pub fn messages(bytes: &[u8]) {
    let (client, server) = (ClientMessage::decode(bytes), ServerMessage::decode(bytes));
    assert!(client.is_err() || server.is_err(), "no type belongs to both sides");
    if let Ok(message) = client {
        said_again(bytes, &message, ClientMessage::encode, ClientMessage::decode);
    }
    if let Ok(message) = server {
        said_again(bytes, &message, ServerMessage::encode, ServerMessage::decode);
    }
}

/// The two lists of octet-stream bodies, and the envelopes in them.
pub fn streams(bytes: &[u8]) {
    if let Ok(envelopes) = decode_envelopes(bytes) {
        said_again(bytes, &envelopes, |envelopes| encode_envelopes(envelopes), decode_envelopes);
        envelopes.iter().for_each(|bytes| envelope(bytes));
    }
    if let Ok(items) = decode_items(bytes) {
        said_again(bytes, &items, |items| encode_items(items), decode_items);
        for item in &items {
            match item {
                Item::Envelope { bytes, .. } => envelope(bytes),
                Item::Floor { checkpoint, frontier, proof, .. } => {
                    envelope(checkpoint);
                    assert!(frontier.len() <= PROOF_HASHES_MAX && proof.len() <= PROOF_HASHES_MAX);
                }
                Item::Leaf { .. } | Item::Tail { .. } => {}
            }
        }
    }
}

/// An envelope; the body of a control entry is read as a record.
pub fn envelope(bytes: &[u8]) {
    let Ok(envelope) = Envelope::parse(bytes.to_vec()) else { return };
    assert_eq!(envelope.as_bytes(), bytes);
    let header = envelope.header();
    assert_eq!(envelope.header_bytes().len() + envelope.body().len() + SIGNATURE_LEN, bytes.len());
    assert_eq!(leaf_of(&envelope), leaf(header.document, envelope.hash()));
    let again = Envelope::build(header.clone(), envelope.body(), |_| signature_of(bytes));
    assert_eq!(again, envelope, "what is hashed is said in one way");

    let author = key(OWNER);
    // Any answer will do, as long as there is one: the signature is anybody's.
    envelope.is_signed_by(&author.verifying_key());
    if header.kind == Kind::Control {
        let (epoch, version) = (header.epoch, header.author_seq);
        let again = Envelope::control(header.workspace, header.log, epoch, version, envelope.body());
        assert_eq!(again, envelope, "every server builds the same entry");
        record(envelope.body());
    } else {
        let signed = Envelope::build(header.clone(), envelope.body(), |text| author.sign(text).to_bytes());
        assert!(signed.is_signed_by(&author.verifying_key()));
        assert_eq!(Envelope::parse(signed.as_bytes().to_vec()), Ok(signed));
    }
}

fn record(bytes: &[u8]) -> Option<Record> {
    let record = Record::parse(bytes.to_vec()).ok()?;
    assert_eq!(record.as_bytes(), bytes);
    let (version, previous, body) = (record.version, record.previous, record.body.clone());
    let again = Record::build(record.workspace, version, previous, body, |_| signature_of(bytes));
    assert_eq!(again, record, "what is hashed is said in one way");
    Some(record)
}

/// A chain of records, one after the other.
pub fn roster(bytes: &[u8]) {
    let records: Vec<_> = pieces(bytes).into_iter().filter_map(record).collect();
    let Some(first) = records.first() else { return };
    play(first.workspace, &records, |_, record| record.clone());
    // A fuzzer forges no signature and finds no hash, and would never see what lies behind them: so the same bodies
    // once more, each in its place and signed by who should.
    play(WorkspaceId::of_owner(&key(OWNER).verifying_key().to_bytes()), &records, signed_anew);
}

/// What starts like a record, each up to the start of the next. A length before each would be wrong as soon as a
/// byte is put in; a mark survives that.
fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    let marks = bytes.windows(4).enumerate().filter(|(_, window)| *window == b"RSR1");
    let starts: Vec<_> = marks.map(|(at, _)| at).collect();
    let ends = starts.iter().copied().skip(1).chain([bytes.len()]);
    starts.iter().zip(ends).map(|(start, end)| &bytes[*start..end]).collect()
}

fn signed_anew(roster: &Roster, record: &Record) -> Record {
    let signer = match &record.body {
        RecordBody::Owner(_) | RecordBody::Purge => None,
        RecordBody::Replace(replace) => roster
            .member(replace.invite)
            .and_then(|invite| PEOPLE.map(key).find(|key| key.verifying_key().to_bytes() == invite.device.ed)),
    };
    let signer = signer.unwrap_or_else(|| key(OWNER));
    let (version, body) = (roster.version() + 1, record.body.clone());
    Record::build(roster.workspace(), version, roster.hash(), body, |text| signer.sign(text).to_bytes())
}

/// Applies what `next` makes of each record to a roster, and watches the roster.
fn play(workspace: WorkspaceId, records: &[Record], next: impl Fn(&Roster, &Record) -> Record) {
    let mut roster = Roster::empty(workspace);
    let mut taken = Vec::new();
    for given in records {
        let next = next(&roster, given);
        assert_eq!(record(next.as_bytes()).as_ref(), Some(&next), "what was built is read again");
        let before = roster.clone();
        if roster.apply(&next).is_ok() {
            watch(&before, &roster, &next);
            taken.push(next);
        } else {
            assert_eq!(roster, before, "a refused record leaves the roster as it was");
        }
    }
    assert_eq!(Roster::verify(workspace, &taken), Ok(roster), "from genesis it is the same roster");
}

/// What holds after any record that was taken in.
fn watch(before: &Roster, after: &Roster, record: &Record) {
    assert!(!before.is_purged(), "nothing follows a purge");
    assert_eq!((after.version(), after.hash()), (before.version() + 1, record.hash()));
    assert!(after.epoch() >= before.epoch(), "the epoch never falls");
    if let (Some(before), Some(after)) = (before.owner(), after.owner()) {
        assert_eq!((before.ed, before.x), (after.ed, after.x), "the owner keys never change");
        assert_eq!(before.epoch == after.epoch, before.ek_commit == after.ek_commit, "one epoch has one key");
    }
    for member in after.members() {
        let device = &member.device;
        assert_eq!(device.id, DeviceId::of_keys(&device.ed, &device.x), "an id certifies itself");
        assert_eq!(member.key.to_bytes(), device.ed);
        assert!(!member.key.is_weak() && !after.is_gone(device.id));
    }
    let open = |status| matches!(status, Status::Active | Status::Invite);
    let open_now = after.members().filter(|member| open(member.device.status)).count();
    assert!(open_now <= DEVICES_MAX, "the owner can list everyone who must be listed");
    for was in before.members() {
        let (id, status) = (was.device.id, was.device.status);
        match after.member(id).map(|member| member.device.status) {
            Some(now) => assert!(now == status || open(status) && !open(now), "{status:?} became {now:?}"),
            None => assert!(!open(status) && after.is_gone(id), "{status:?} was left out"),
        }
    }
}

/// An opened plaintext, and a plaintext around the bytes.
pub fn plaintext(bytes: &[u8]) {
    if let Ok((head, body)) = Head::parse(bytes) {
        assert!(head.part < head.parts && head.parts <= PARTS_MAX);
        let said = head.plaintext(body);
        if bytes.starts_with(&[0, 38]) {
            assert_eq!(said, bytes, "with the head of this version it is said in one way");
        }
        assert_eq!(Head::parse(&said), Ok((head, body)));
    }
    let mut reader = Reader::new(bytes);
    if let Ok(len) = reader.u32() {
        padded(len as usize);
    }
    if let Ok(head) = any_head(&mut reader) {
        let body = &bytes[reader.at()..];
        let mut said = head.plaintext(body);
        assert_eq!(said.len(), padded_len(2 + HEAD_LEN + 4 + body.len()));
        assert_eq!(Head::parse(&said), Ok((head, body)));
        assert!(Head::parse(&said[..said.len() - 1]).is_err(), "a byte of padding too few");
        said.push(0);
        assert!(Head::parse(&said).is_err(), "a byte of padding too many");
    }
}

/// A head that may be sent, with whatever `reader` gives.
fn any_head(reader: &mut Reader<'_>) -> Result<Head, Truncated> {
    let parts = 1 + u32::from(reader.u16()?) % PARTS_MAX;
    Ok(Head {
        compression: if reader.u8()? & 1 == 0 { Compression::None } else { Compression::Zstd },
        schema: reader.u32()?,
        reader_min: reader.u32()?,
        loro: (reader.u16()?, reader.u16()?),
        part: u32::from(reader.u16()?) % parts,
        parts,
        blob: reader.array()?,
    })
}

fn padded(len: usize) {
    let padded = padded_len(len);
    assert!(padded >= len && padded >= PADDING_FLOOR);
    assert_eq!(padded_len(padded), padded, "a padded length is its own");
    assert!(padded - len <= PADDING_FLOOR || padded - len <= len / 8, "{len} became {padded}");
}

/// A frontier, a consistency proof somebody sent, and an honest tree whose proof is tampered with.
pub fn tree(bytes: &[u8]) {
    frontier(bytes);
    // Too short for one of these is fine: the same bytes are read in three ways.
    let _ = proof_as_sent(bytes);
    let _ = honest_tree(bytes);
}

fn frontier(bytes: &[u8]) {
    let Some(mut frontier) = Frontier::decode(bytes) else { return };
    assert_eq!(frontier.encode(), bytes);
    assert_eq!(Frontier::new(frontier.size(), frontier.peaks().to_vec()).as_ref(), Some(&frontier));
    let (size, root) = (frontier.size(), frontier.root());
    frontier.append(Hash::of(&[bytes]));
    assert_eq!(frontier.size(), size + 1);
    assert_eq!(frontier.peaks().len(), frontier.size().count_ones() as usize);
    assert_ne!(frontier.root(), root);
}

/// u64 first size, u64 second size, the two roots, then the proof.
fn proof_as_sent(bytes: &[u8]) -> Result<(), Truncated> {
    let mut reader = Reader::new(bytes);
    let (first, second) = (reader.u64()?, reader.u64()?);
    let (first_root, second_root) = (Hash(reader.array()?), Hash(reader.array()?));
    let mut proof = Vec::new();
    while reader.remaining() >= 32 {
        proof.push(Hash(reader.array()?));
    }
    if !is_consistent(first, first_root, second, second_root, &proof) {
        return Ok(());
    }
    // Once a proof holds, it holds for nothing else.
    let other = |hash: Hash| Hash::of(&[&hash.0]);
    assert!(first <= second && proof.len() <= PROOF_HASHES_MAX);
    assert!(!is_consistent(first, other(first_root), second, second_root, &proof));
    if first > 0 {
        // Of an empty tree everything is a continuation.
        assert!(!is_consistent(first, first_root, second, other(second_root), &proof));
    }
    proof.push(first_root);
    assert!(!is_consistent(first, first_root, second, second_root, &proof), "a hash too many");
    proof.pop();
    if proof.pop().is_some() {
        assert!(!is_consistent(first, first_root, second, second_root, &proof), "a hash too few");
    }
    Ok(())
}

/// u8 size, u8 size of a prefix, u8 another size, then what is done to the proof: u8 what, u8 where, over and over.
fn honest_tree(bytes: &[u8]) -> Result<(), Truncated> {
    let mut reader = Reader::new(bytes);
    let second = reader.u8()? % (LEAVES_MAX + 1);
    let first = reader.u8()? % (second + 1);
    let other = reader.u8()? % (second + 1);

    let leaves: Vec<_> = (0..second).map(|n| leaf(DocumentId([n; 16]), Hash::of(&[&[n]]))).collect();
    let mut frontier = Frontier::default();
    leaves.iter().for_each(|leaf| frontier.append(*leaf));
    assert_eq!((frontier.size(), frontier.root()), (u64::from(second), root(&leaves)));
    assert_eq!(Frontier::decode(&frontier.encode()), Some(frontier));

    let (first_root, second_root) = (root(&leaves[..usize::from(first)]), root(&leaves));
    let honest = consistency_proof(usize::from(first), &leaves);
    let holds = |first: u8, proof: &[Hash]| is_consistent(first.into(), first_root, second.into(), second_root, proof);
    assert!(holds(first, &honest));
    assert!(other == first || !holds(other, &honest), "a prefix of {first} leaves is none of {other}");

    let mut proof = honest.clone();
    while let (Ok(what), Ok(place)) = (reader.u8(), reader.u8()) {
        let place = usize::from(place);
        let at = place % proof.len().max(1);
        match what % 4 {
            0 => proof.insert(at, leaves.get(place).copied().unwrap_or(second_root)),
            1 if !proof.is_empty() => {
                proof.remove(at);
            }
            2 if !proof.is_empty() => proof.swap(0, at),
            3 if !proof.is_empty() => proof[at].0[place % 32] ^= 1 << (what / 4 % 8),
            _ => {}
        }
    }
    assert!(proof == honest || !holds(first, &proof), "a prefix has one proof");
    Ok(())
}
