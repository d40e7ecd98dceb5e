//! A workspace's people and keys, and a log as a server keeps it, all made by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use roost::clock::Clock;
use roost::keys::link::Invite;
use roost::keys::ring::KeyRing;
use roost::keys::{EpochKey, KeyPair, Seed, seal};
use roost::members::change::{self, Change};
use roost::sync::{Chain, fork};
use roost_shared::hash::Hash;
use roost_shared::plaintext::{Compression, Head};
use roost_shared::roster::{Device, Record, RecordBody, Roster, Scope};
use roost_shared::tree::{Frontier, leaf_of};
use roost_shared::wire::PROTOCOL;
use roost_shared::wire::http::LogLife;
use roost_shared::wire::message::{Item, ServerMessage, Welcome};
use roost_shared::{Cursor, DeviceId, DocumentId, Envelope, Header, Kind, LogId, WorkspaceId};

/// The document of most entries.
pub const NOTES: DocumentId = DocumentId([1; 16]);
/// Another one.
pub const TODOS: DocumentId = DocumentId([2; 16]);

/// Time that stands still, and randomness that is the same each time.
pub struct TestClock {
    passed_ms: AtomicU64,
    /// How far the time of day is ahead of what passed.
    ahead_ms: AtomicI64,
    draws: AtomicU64,
}

impl TestClock {
    pub fn new(seed: u64) -> Arc<Self> {
        let passed_ms = AtomicU64::new(1_700_000_000_000);
        Arc::new(Self { passed_ms, ahead_ms: AtomicI64::new(0), draws: AtomicU64::new(seed << 32) })
    }

    pub fn pass(&self, ms: u64) {
        self.passed_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Someone sets the time of day: it is this far ahead of what passed, or behind it.
    pub fn set_ahead(&self, ms: i64) {
        self.ahead_ms.store(ms, Ordering::Relaxed);
    }

    pub fn draw<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.monotonic_ms().saturating_add_signed(self.ahead_ms.load(Ordering::Relaxed))
    }

    fn monotonic_ms(&self) -> u64 {
        self.passed_ms.load(Ordering::Relaxed)
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let drawn = Hash::of(&[&self.draws.fetch_add(1, Ordering::Relaxed).to_be_bytes()]);
            chunk.copy_from_slice(&drawn.0[..chunk.len()]);
        }
    }
}

/// Who is in a workspace. A clone is another branch of its roster.
#[derive(Clone)]
pub struct Team {
    pub clock: Arc<TestClock>,
    pub owner_seed: Seed,
    /// Device 0 is the owner's.
    pub seeds: Vec<Seed>,
    pub chain: Chain,
}

impl Team {
    /// The owner's device alone.
    pub fn new() -> Self {
        let clock = TestClock::new(1);
        let (owner_seed, seed) = (Seed::new(clock.draw()), Seed::new(clock.draw()));
        let (owner, device) = (KeyPair::owner(&owner_seed), KeyPair::device(&seed));
        let workspace = owner.workspace_id();
        let key = EpochKey::new(workspace, 1, clock.draw());
        let genesis = change::genesis(&*clock, &owner, &key, &device, "device 0").unwrap();
        let chain = Chain::verify(workspace, vec![genesis]).unwrap();
        Self { clock, owner_seed, seeds: vec![seed], chain }
    }

    /// The owner's device, and one more for each scope; the epoch has advanced since they joined.
    pub fn of(scopes: &[Scope]) -> Self {
        let mut team = Self::new();
        for scope in scopes {
            team.join(*scope);
        }
        team.advance();
        team
    }

    pub fn owner(&self) -> KeyPair {
        KeyPair::owner(&self.owner_seed)
    }

    pub fn keys(&self, n: usize) -> KeyPair {
        KeyPair::device(&self.seeds[n])
    }

    pub fn id(&self, n: usize) -> DeviceId {
        self.keys(n).device_id()
    }

    pub fn workspace(&self) -> WorkspaceId {
        self.chain.roster().workspace()
    }

    pub fn epoch(&self) -> u32 {
        self.chain.roster().epoch()
    }

    pub fn last_record(&self) -> Record {
        self.chain.records().last().unwrap().clone()
    }

    pub fn ring(&self) -> KeyRing {
        KeyRing::open(self.chain.records(), &[&self.owner()])
    }

    /// A record with one more invite.
    pub fn invite(&mut self, scope: Scope) -> Invite {
        let invite = Invite::new(self.clock.draw(), self.clock.draw());
        self.owner_record(&Change::inviting(self.chain.roster(), &invite, scope, 1));
        invite
    }

    /// The record by which a new device takes an invite's place; the device's number.
    pub fn replace(&mut self, invite: &Invite) -> usize {
        let seed = Seed::new(self.clock.draw());
        let device = KeyPair::device(&seed);
        let ring = self.ring();
        let key = ring.get(self.epoch()).unwrap();
        let record = change::replace(&*self.clock, &invite.keys(), self.chain.roster(), key, &device, "joiner");
        self.chain.push(record).unwrap();
        self.seeds.push(seed);
        self.seeds.len() - 1
    }

    pub fn join(&mut self, scope: Scope) -> usize {
        let invite = self.invite(scope);
        self.replace(&invite)
    }

    /// The owner's next record.
    pub fn owner_record(&mut self, change: &Change) {
        let (owner, ring) = (self.owner(), self.ring());
        let record = change::owner_record(&*self.clock, &owner, self.chain.roster(), &[&ring], change);
        self.chain.push(record.unwrap()).unwrap();
    }

    /// The owner's record above this branch and `lost`, as a device that holds `lost` builds it.
    pub fn mend(&mut self, lost: &Self) {
        let epoch = self.epoch().max(lost.epoch()) + 1;
        let amended = fork::amended(&lost.chain, &self.chain);
        self.owner_record(&Change { epoch, amended, recovery: None });
    }

    /// A record with a new epoch.
    pub fn advance(&mut self) {
        self.owner_record(&Change::next_epoch(self.chain.roster()));
    }

    /// An owner record of the same epoch that lists one device otherwise.
    pub fn change(&mut self, n: usize, change: impl FnOnce(&mut Device)) {
        let id = self.id(n);
        let mut body = self.chain.roster().owner().unwrap().clone();
        change(body.devices.iter_mut().find(|device| device.id == id).unwrap());
        self.owner_says(RecordBody::Owner(body));
    }

    pub fn purge(&mut self) {
        self.owner_says(RecordBody::Purge);
    }

    fn owner_says(&mut self, body: RecordBody) {
        let (owner, roster) = (self.owner(), self.chain.roster());
        let version = roster.version() + 1;
        let record = Record::build(self.workspace(), version, roster.hash(), body, |text| owner.sign(text));
        self.chain.push(record).unwrap();
    }

    /// The header of an entry written at the log's tail.
    pub fn header(&self, log: &TestLog, n: usize, author_seq: u64) -> Header {
        Header {
            kind: Kind::Update,
            epoch: self.epoch(),
            workspace: self.workspace(),
            log: log.id,
            document: NOTES,
            author: self.id(n),
            author_seq,
            base_size: Cursor(log.tail()),
            base_root: log.root(log.tail()),
            nonce: self.clock.draw(),
        }
    }

    /// Seals and signs as device `n`.
    pub fn seal(&self, n: usize, header: Header, plaintext: &[u8]) -> Envelope {
        let ring = self.ring();
        seal::envelope(ring.get(header.epoch).unwrap(), &self.keys(n), header, plaintext)
    }

    /// An entry whose content does not matter.
    pub fn entry(&self, log: &TestLog, n: usize, author_seq: u64) -> Envelope {
        self.seal(n, self.header(log, n, author_seq), &head().plaintext(b"anything"))
    }
}

/// The head of an uncompressed blob in one part.
pub fn head() -> Head {
    let compression = Compression::None;
    Head { compression, schema: 1, reader_min: 0, loro: (1, 17), part: 0, parts: 1, blob: [0; 16] }
}

/// The same envelope with a signature that nobody made.
pub fn forged(envelope: &Envelope) -> Envelope {
    Envelope::build(envelope.header().clone(), envelope.body(), |_| [1; 64])
}

/// Numbers envelopes, and tells of them as a server would.
#[derive(Clone)]
pub struct TestLog {
    pub id: LogId,
    workspace: WorkspaceId,
    roster: Roster,
    entries: Vec<Envelope>,
    frontier: Frontier,
    roots: Vec<Hash>,
}

impl TestLog {
    /// With all records of the team's roster.
    pub fn of(team: &Team, id: u8) -> Self {
        Self::with(team, id, team.chain.records().len())
    }

    /// With the first `count` of them.
    pub fn with(team: &Team, id: u8, count: usize) -> Self {
        let frontier = Frontier::default();
        let mut log = Self {
            id: LogId([id; 16]),
            workspace: team.workspace(),
            roster: Roster::empty(team.workspace()),
            entries: Vec::new(),
            roots: vec![frontier.root()],
            frontier,
        };
        team.chain.records()[..count].iter().for_each(|record| log.record(record));
        log
    }

    pub fn record(&mut self, record: &Record) {
        self.roster.apply(record).unwrap();
        let (epoch, version) = (self.roster.epoch(), record.version);
        self.push(Envelope::control(self.workspace, self.id, epoch, version, record.as_bytes()));
    }

    /// The number it gets.
    pub fn push(&mut self, envelope: Envelope) -> u64 {
        self.frontier.append(leaf_of(&envelope));
        self.roots.push(self.frontier.root());
        self.entries.push(envelope);
        self.tail()
    }

    pub fn push_bytes(&mut self, bytes: Vec<u8>) -> u64 {
        self.push(Envelope::parse(bytes).unwrap())
    }

    /// The number of these very bytes, if the log has them.
    pub fn find(&self, bytes: &[u8]) -> Option<u64> {
        (1..=self.tail()).find(|seq| self.entry(*seq).as_bytes() == bytes)
    }

    pub fn tail(&self) -> u64 {
        self.entries.len() as u64
    }

    pub fn root(&self, size: u64) -> Hash {
        self.roots[usize::try_from(size).unwrap()]
    }

    pub fn entry(&self, seq: u64) -> &Envelope {
        &self.entries[usize::try_from(seq - 1).unwrap()]
    }

    pub fn item(&self, seq: u64) -> Item {
        Item::Envelope { seq, bytes: self.entry(seq).as_bytes().to_vec() }
    }

    pub fn leaf(&self, seq: u64) -> Item {
        let entry = self.entry(seq);
        Item::Leaf { seq, document: entry.header().document, envelope_hash: entry.hash() }
    }

    pub fn tail_item(&self) -> Item {
        Item::Tail { seq: self.tail(), root: self.root(self.tail()) }
    }

    /// All after `cursor`, and the tail.
    pub fn page(&self, cursor: u64) -> Vec<Item> {
        (cursor + 1..=self.tail()).map(|seq| self.item(seq)).chain([self.tail_item()]).collect()
    }

    pub fn welcome(&self, cursor: u64) -> Welcome {
        Welcome {
            protocol: PROTOCOL,
            logs: vec![LogLife { log: self.id, first: 1 }],
            tail: self.tail(),
            root: self.root(self.tail()),
            root_at_cursor: (cursor <= self.tail()).then(|| self.root(cursor)),
            bytes: 0,
            quota_bytes: 1 << 30,
            capabilities: 0,
            seen: Vec::new(),
        }
    }
}

/// A message of entries.
pub fn entries(items: Vec<Item>) -> ServerMessage {
    ServerMessage::Entries { items }
}
