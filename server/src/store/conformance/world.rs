//! Keys, records and envelopes from seed bytes, and the log a store ought to have after what it was told.

use ed25519_dalek::{Signer, SigningKey};
use roost_shared::limits::{PADDING_FLOOR, SIGNATURE_LEN, TAG_LEN};
use roost_shared::roster::{Device, LABEL_LEN, Owner, Record, RecordBody, Replace, Roster, Scope, Status, WRAP_LEN};
use roost_shared::tree::{Frontier, leaf_of};
use roost_shared::{Code, Cursor, DeviceId, DocumentId, Envelope, Hash, Header, Kind, LogId, WorkspaceId};

use crate::store::{Append, Appended, ChangeLog, Redeem, Refusal, RosterHead, Store};

/// The quota a store under test gives each workspace, in bytes.
pub const QUOTA_BYTES: u64 = 64 * 1024;

/// The owner.
pub const OWNER: u8 = 1;
/// A device that reads and writes.
pub const PHONE: u8 = 2;
/// Another.
pub const TABLET: u8 = 3;
/// A device that reads.
pub const READER: u8 = 4;
/// A share link.
pub const INVITE: u8 = 5;
/// Joins by it.
pub const LAPTOP: u8 = 6;
/// Is in no roster.
pub const STRANGER: u8 = 9;
/// The server's clock when a check begins.
pub const NOW_MS: u64 = 1_800_000_000_000;
/// When [`invite`] dies.
pub const NOT_AFTER_MS: u64 = NOW_MS + 24 * 60 * 60 * 1_000;
/// The log's first id.
pub const LOG: LogId = LogId([0x22; 16]);
/// The shortest body an update has.
pub const BODY_MIN: usize = PADDING_FLOOR + TAG_LEN;

/// The Ed25519 key of a seed.
pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// Its public half.
pub fn ed(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

/// The server never computes with X25519 keys, so any bytes do.
pub const fn x(seed: u8) -> [u8; 32] {
    [seed ^ 0xff; 32]
}

/// The device id of a seed.
pub fn device_id(seed: u8) -> DeviceId {
    DeviceId::of_keys(&ed(seed), &x(seed))
}

/// The workspace of an owner.
pub fn workspace_of(owner: u8) -> WorkspaceId {
    WorkspaceId::of_owner(&ed(owner))
}

/// Signs with the key of a seed.
pub fn sign(seed: u8) -> impl FnOnce(&[u8]) -> [u8; SIGNATURE_LEN] {
    move |text: &[u8]| key(seed).sign(text).to_bytes()
}

/// A device as an owner lists it.
pub fn device(seed: u8, scope: Scope, status: Status) -> Device {
    let invite = status == Status::Invite;
    let holds_key = invite || status == Status::Active;
    Device {
        id: device_id(seed),
        ed: ed(seed),
        x: x(seed),
        scope,
        status,
        not_after_ms: if invite { NOT_AFTER_MS } else { 0 },
        label: [seed; LABEL_LEN],
        wrap: if holds_key { [seed; WRAP_LEN] } else { [0; WRAP_LEN] },
        link_hash: if invite { link_hash(seed) } else { Hash::ZERO },
        access_hash: if invite { access_hash(seed) } else { Hash::ZERO },
    }
}

/// An open invite.
pub fn invite(seed: u8) -> Device {
    device(seed, Scope::ReadWrite, Status::Invite)
}

/// SHA-256 of an invite's link proof.
pub fn link_hash(seed: u8) -> Hash {
    Hash::of(&[b"link", &[seed]])
}

/// SHA-256 of its access proof.
pub fn access_hash(seed: u8) -> Hash {
    Hash::of(&[b"access", &[seed]])
}

/// Phone, tablet and reader, active.
pub fn people() -> Vec<Device> {
    let active = |seed, scope| device(seed, scope, Status::Active);
    vec![active(PHONE, Scope::ReadWrite), active(TABLET, Scope::ReadWrite), active(READER, Scope::Read)]
}

/// The devices of `people`, and one more.
pub fn people_and(device: Device) -> Vec<Device> {
    let mut devices = people();
    devices.push(device);
    devices
}

/// An owner record's body.
pub fn owner(seed: u8, epoch: u32, mut devices: Vec<Device>) -> RecordBody {
    devices.sort_by_key(|device| device.id);
    RecordBody::Owner(Owner {
        ed: ed(seed),
        x: x(seed),
        epoch,
        ek_commit: Hash::of(&[b"ek-commit", &epoch.to_be_bytes()]),
        back_link: if epoch == 1 { [0; 48] } else { [0xb1; 48] },
        wrap: [0x0a; WRAP_LEN],
        recovery_verifier: [0; 32],
        recovery_blob: [0; 81],
        devices,
    })
}

/// A replace record's body: `joiner` takes the place of `invite`.
pub fn replace(invite: u8, joiner: u8) -> RecordBody {
    RecordBody::Replace(Replace {
        invite: device_id(invite),
        device: device_id(joiner),
        ed: ed(joiner),
        x: x(joiner),
        label: [joiner; LABEL_LEN],
    })
}

/// The successor of the roster's newest record, whether or not the roster will have it.
pub fn next(roster: &Roster, body: RecordBody, signer: u8) -> Record {
    Record::build(roster.workspace(), roster.version() + 1, roster.hash(), body, sign(signer))
}

/// The first record of an owner's workspace.
pub fn genesis(owner_seed: u8, devices: Vec<Device>) -> Record {
    next(&Roster::empty(workspace_of(owner_seed)), owner(owner_seed, 1, devices), owner_seed)
}

/// An update of `len` bytes of ciphertext: the server cannot tell which.
pub fn sealed(header: Header, fill: u8, len: usize, signer: u8) -> Envelope {
    Envelope::build(header, &vec![fill; len], sign(signer))
}

/// A workspace in a store, and what it ought to hold.
pub struct World<'a> {
    /// Under test.
    pub store: &'a dyn Store,
    /// Whose.
    pub workspace: WorkspaceId,
    /// The current log id.
    pub log: LogId,
    /// Who is in.
    pub roster: Roster,
    /// Every entry, in order.
    pub entries: Vec<Envelope>,
    /// The root of each size, from 0.
    pub roots: Vec<Hash>,
    tree: Frontier,
    bytes: u64,
}

impl<'a> World<'a> {
    /// Creates the workspace of [`OWNER`] with [`people`] in it: one entry.
    pub async fn create(store: &'a dyn Store) -> Self {
        Self::create_with(store, people()).await
    }

    /// Creates it with these devices.
    pub async fn create_with(store: &'a dyn Store, devices: Vec<Device>) -> Self {
        let workspace = workspace_of(OWNER);
        let mut world = Self {
            store,
            workspace,
            log: LOG,
            roster: Roster::empty(workspace),
            entries: Vec::new(),
            roots: vec![Frontier::default().root()],
            tree: Frontier::default(),
            bytes: 0,
        };
        let record = genesis(OWNER, devices);
        let created = store.create(workspace, LOG, vec![record.clone()]).await;
        assert_eq!(created, Ok(LOG), "a new workspace is created under the log id it asked for");
        world.took_record(&record);
        world.stands().await;
        world
    }

    /// How many entries there ought to be.
    pub const fn tail(&self) -> Cursor {
        Cursor(self.tree.size())
    }

    /// Envelope bytes that ought to count towards the quota.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The header of an update on top of everything.
    pub fn header(&self, author: u8, author_seq: u64) -> Header {
        Header {
            kind: Kind::Update,
            epoch: self.roster.epoch(),
            workspace: self.workspace,
            log: self.log,
            document: DocumentId([0x33; 16]),
            author: device_id(author),
            author_seq,
            base_size: self.tail(),
            base_root: self.tree.root(),
            nonce: [0x66; 24],
        }
    }

    /// The smallest update on top of everything.
    pub fn update(&self, author: u8, author_seq: u64) -> Envelope {
        sealed(self.header(author, author_seq), author, BODY_MIN, author)
    }

    /// An append of these envelopes by `author`.
    pub fn append(&self, author: u8, envelopes: Vec<Envelope>) -> Append {
        Append { workspace: self.workspace, device: device_id(author), may_append: true, if_tail: None, envelopes }
    }

    /// Appends what must be taken, all of it new.
    pub async fn appends(&mut self, author: u8, envelopes: Vec<Envelope>) {
        let append = self.append(author, envelopes.clone());
        let first = self.tail().0 + 1;
        let seqs = accepted(self.store.append(append).await, "a good append");
        for envelope in envelopes {
            self.bytes += envelope.as_bytes().len() as u64;
            self.took(envelope);
        }
        assert_eq!(seqs, Vec::from_iter(first..=self.tail().0), "new envelopes get the next numbers in order");
        self.stands().await;
    }

    /// One more update of `author` in the log.
    pub async fn writes(&mut self, author: u8, author_seq: u64) -> Envelope {
        let envelope = self.update(author, author_seq);
        self.appends(author, vec![envelope.clone()]).await;
        envelope
    }

    /// Posts the next record, which must be taken.
    pub async fn posts(&mut self, body: RecordBody, signer: u8) -> Record {
        let record = next(&self.roster, body, signer);
        let seq = self.store.append_record(self.workspace, record.clone()).await;
        assert_eq!(seq, Ok(self.tail().next()), "a successor record gets the next number");
        self.took_record(&record);
        self.stands().await;
        record
    }

    /// Appends what must be refused, and looks that nothing came of it.
    pub async fn refuses(&self, append: Append, code: Code, what: &str) {
        let refused = self.store.append(append).await.map_err(|refusal| refusal.code);
        assert_eq!(refused, Err(code), "{what}");
        self.stands().await;
    }

    /// Posts a record that must be refused, and looks that nothing came of it.
    pub async fn refuses_record(&self, record: Record, code: Code, what: &str) {
        let refused = self.store.append_record(self.workspace, record).await;
        assert_eq!(refused.map_err(|refusal| refusal.code), Err(code), "{what}");
        self.stands().await;
    }

    /// The store has the tree, the roster and the bytes it ought to have.
    pub async fn stands(&self) {
        let found = accepted_or(self.store.workspace(self.workspace).await, "workspace()");
        let Some(found) = found else { panic!("the workspace is not there") };
        assert_eq!(found.frontier, self.tree, "the tree at the tail");
        assert_eq!(*found.roster, self.roster, "the roster");
        let (version, hash, is_purged) = (self.roster.version(), self.roster.hash(), self.roster.is_purged());
        let wanted = self.roster.owner().cloned().map(|owner| RosterHead { version, hash, is_purged, owner });
        let head = accepted_or(self.store.roster_head(self.workspace).await, "roster_head()");
        assert_eq!(head, wanted, "the end of the roster chain");
        assert_eq!(found.bytes, self.bytes, "bytes stored, control entries left out");
        assert_eq!(found.quota_bytes, QUOTA_BYTES, "the quota");
        assert_eq!(found.log(), self.log, "the current log id");
    }

    /// Asks to use up the link of `invite` for `device`, now.
    pub fn redeem(&self, invite: u8, device: u8) -> Redeem {
        Redeem {
            workspace: self.workspace,
            link_hash: link_hash(invite),
            access_hash: access_hash(invite),
            device: device_id(device),
            now_ms: NOW_MS,
        }
    }

    /// Proposes a new log id on good evidence: entries the server does not have.
    pub fn change(&self, proposed: LogId, now_ms: u64) -> ChangeLog {
        let cursor = Cursor(self.tail().0 + 5);
        ChangeLog { workspace: self.workspace, old: self.log, proposed, cursor, root: Hash([0x77; 32]), now_ms }
    }

    fn took(&mut self, envelope: Envelope) {
        self.tree.append(leaf_of(&envelope));
        self.roots.push(self.tree.root());
        self.entries.push(envelope);
    }

    fn took_record(&mut self, record: &Record) {
        if let Err(error) = self.roster.apply(record) {
            panic!("the suite's own record breaks a rule: {error}");
        }
        let epoch = self.roster.epoch();
        self.took(Envelope::control(self.workspace, self.log, epoch, record.version, record.as_bytes()));
    }
}

/// The numbers of an append that must be taken.
pub fn accepted(outcome: Result<Appended, Refusal>, what: &str) -> Vec<u64> {
    accepted_or(outcome, what).seqs.iter().map(|seq| seq.get()).collect()
}

/// The answer to what must not be refused.
pub fn accepted_or<T>(outcome: Result<T, Refusal>, what: &str) -> T {
    match outcome {
        Ok(answer) => answer,
        Err(refusal) => panic!("{what} was refused: {refusal}"),
    }
}
