//! The heap of events and what all parts share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use roost::clock::Clock;
use roost::driver::courier::{Answer, Ask};
use roost::keys::link::ShareLink;
use roost::keys::{EpochKey, KeyPair, Seed};
use roost::members::change::genesis;
use roost::store::{Durability, Identity, Store as LocalStore};
use roost::sync::Event;
use roost_server::access::Access;
use roost_server::fanout::board::Board;
use roost_server::store::SharedStore;
use roost_server::store::memory::MemoryStore;
use roost_shared::wire::http::TokenIs;
use roost_shared::{Code, LogId, WorkspaceId};
use rusqlite::Connection;

use super::app::{App, NEWEST};
use super::chaos::Fault;
use super::clock::{EPOCH_MS, SimClock, WorldTime};
use super::device::Device;
use super::judge::{JudgedStore, Verdicts};
use super::lies::Lie;
use super::membership::Revocations;
use super::plant::Plant;
use super::random::Random;
use super::server::Conversation;
use super::transport::Transport;
use super::{Outcome, Reached};

/// The name the simulated server goes by.
pub const SERVER: &str = "http://127.0.0.1:7070";
/// Tokens run out while things go wrong.
const TOKEN_LIFE_S: u64 = 25;
/// Lines of the journal that are kept.
const LAST_LINES: usize = 60;

/// Something that happens at a time.
pub enum Happening {
    /// A device's next piece of work.
    Work { device: usize, life: u64 },
    /// A device's timer.
    Tick { device: usize, life: u64 },
    /// A person types.
    Edit { device: usize },
    /// Something goes wrong.
    Fault(Fault),
    /// A token request and an upgrade reach the server.
    Connect { device: usize, socket: u64, token: Option<TokenIs> },
    /// The socket is open, on this conversation.
    Opened { device: usize, socket: u64, conversation: u64 },
    /// It is not.
    NotOpened { device: usize, socket: u64, code: Option<Code> },
    /// Bytes reach the server.
    ToServer { conversation: u64, bytes: Vec<u8> },
    /// Bytes reach the device.
    ToDevice { device: usize, socket: u64, bytes: Vec<u8> },
    /// The server learns that a socket is closed.
    Gone { conversation: u64 },
    /// The device learns it.
    Closed { device: usize, socket: u64 },
    /// The server carries out what a session asked for.
    Perform { conversation: u64, effect: Box<roost_server::session::Effect> },
    /// The answer comes back to the session.
    Answered { conversation: u64, event: Box<roost_server::session::Event<'static>> },
    /// The token of a socket runs out.
    TokenEnds { conversation: u64 },
    /// A session is woken.
    Woken { conversation: u64 },
    /// A request reaches the server.
    Request { device: usize, life: u64, ask: Box<Ask> },
    /// Its answer reaches the device.
    Answer { device: usize, life: u64, answer: Box<Answer> },
}

pub struct World {
    pub time: WorldTime,
    pub random: Random,
    happenings: BTreeMap<(u64, u64), Happening>,
    count: u64,
    pub store: Arc<JudgedStore>,
    pub shared: SharedStore,
    pub access: Access,
    pub workspace: WorkspaceId,
    pub devices: Vec<Device>,
    /// Counts each device's processes: what belongs to a dead one is void.
    pub lives: Vec<u64>,
    pub transports: Vec<Transport>,
    pub conversations: BTreeMap<u64, Conversation>,
    pub conversation_count: u64,
    pub server_is_up: bool,
    pub is_healing: bool,
    pub backup: Option<MemoryStore>,
    pub was_restored: bool,
    /// The world's people change servers.
    pub moves: bool,
    pub lie: Option<Lie>,
    /// The board of the server that is up.
    pub board: Board,
    /// Two processes wrote as one device.
    pub was_cloned: bool,
    pub revocations: Revocations,
    pub links: Vec<(ShareLink, u64)>,
    /// Which of them people have.
    pub given: BTreeSet<usize>,
    pub plant: Option<Plant>,
    has_app: bool,
    /// Whether people look at things: it is said again and again, and makes for long journals.
    pub has_looks: bool,
    pub verdicts: Verdicts,
    journal: u64,
    lines: VecDeque<String>,
    events: u64,
    pub reached: Reached,
}

impl World {
    pub fn new(seed: u64, plant: Option<Plant>) -> Self {
        Self::build(seed, plant, false)
    }

    /// The devices run an app that has versions.
    pub fn with_app(seed: u64, plant: Option<Plant>) -> Self {
        Self::build(seed, plant, true)
    }

    fn build(seed: u64, plant: Option<Plant>, has_app: bool) -> Self {
        let mut random = Random::new(seed);
        let time: WorldTime = Arc::new(AtomicU64::new(EPOCH_MS));
        let verdicts = Verdicts::default();
        let store = Arc::new(JudgedStore::new(plant, Arc::clone(&verdicts)));
        let secret = vec![7; 32].into();
        let access = match Access::new(SERVER.to_owned(), &secret, TOKEN_LIFE_S) {
            Ok(access) => access,
            Err(error) => panic!("{error}"),
        };
        let clock = Arc::new(SimClock::new(Arc::clone(&time), random.split(), plant));
        let first = first_device(&clock);
        let workspace = first.1;
        let shared: SharedStore = Arc::<JudgedStore>::clone(&store);
        let mut world = Self {
            time,
            random,
            happenings: BTreeMap::new(),
            count: 0,
            store,
            shared,
            access,
            workspace,
            devices: Vec::new(),
            lives: Vec::new(),
            transports: Vec::new(),
            conversations: BTreeMap::new(),
            conversation_count: 0,
            server_is_up: true,
            is_healing: false,
            backup: None,
            was_restored: false,
            moves: false,
            was_cloned: false,
            lie: None,
            board: Board::default(),
            revocations: Revocations::default(),
            links: Vec::new(),
            given: BTreeSet::new(),
            plant,
            has_app,
            has_looks: seed.is_multiple_of(4),
            verdicts,
            journal: 0xcbf2_9ce4_8422_2325,
            lines: VecDeque::new(),
            events: 0,
            reached: Reached::default(),
        };
        let app = world.installed();
        world.add_device(None, first.0, clock, app);
        world
    }

    /// A device takes part from now on.
    pub fn add_device(&mut self, link: Option<usize>, store: LocalStore, clock: Arc<SimClock>, app: Option<App>) {
        let number = self.devices.len();
        self.devices.push(Device::new(number, link, store, clock, self.plant, app));
        self.lives.push(0);
        self.transports.push(Transport::default());
        self.event(number, Event::Start);
        self.edit_later(number);
    }

    /// The release that someone happens to install.
    pub fn installed(&mut self) -> Option<App> {
        self.has_app.then(|| {
            let version = u32::try_from(self.random.between(1, u64::from(NEWEST))).unwrap_or(NEWEST);
            App::new(if self.random.one_in(2) { 1 } else { version }, self.plant)
        })
    }

    pub fn now(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }

    /// Puts something on the heap.
    pub fn after(&mut self, delay_ms: u64, happening: Happening) {
        self.at(self.now() + delay_ms, happening);
    }

    pub fn at(&mut self, time: u64, happening: Happening) {
        self.count += 1;
        self.happenings.insert((time, self.count), happening);
    }

    /// A line of the journal.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let line = format!("{:>9} {}", self.now() - EPOCH_MS, line());
        for byte in line.bytes() {
            self.journal = (self.journal ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3); // FNV-1a
        }
        if self.lines.len() == LAST_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub fn verdict(&self, what: String) {
        self.verdicts.lock().push(what);
    }

    pub fn is_condemned(&self) -> bool {
        !self.verdicts.lock().is_empty()
    }

    /// Runs until `until_ms` of simulated time, or until something is wrong.
    pub fn run_until(&mut self, until_ms: u64) {
        while !self.is_condemned() {
            let Some(next) = self.happenings.first_entry().filter(|next| next.key().0 <= until_ms) else { break };
            let ((time, _), happening) = next.remove_entry();
            self.time.store(time, Ordering::Relaxed);
            self.events += 1;
            self.happen(happening);
        }
        if !self.is_condemned() {
            self.time.store(until_ms, Ordering::Relaxed);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Work { device, life } if self.lives[device] == life => self.work(device),
            Happening::Tick { device, life } if self.lives[device] == life => self.tick(device),
            Happening::Work { .. } | Happening::Tick { .. } => {}
            Happening::Edit { device } => self.edit(device),
            Happening::Fault(fault) => self.fault(fault),
            Happening::Connect { device, socket, token } => self.connect(device, socket, token),
            Happening::Opened { device, socket, conversation } => self.opened(device, socket, conversation),
            Happening::NotOpened { device, socket, code } => self.not_opened(device, socket, code),
            Happening::ToServer { conversation, bytes } => self.receive(conversation, &bytes),
            Happening::ToDevice { device, socket, bytes } => self.deliver(device, socket, bytes),
            Happening::Gone { conversation } => drop(self.ended(conversation)),
            Happening::Closed { device, socket } => self.not_opened(device, socket, None),
            Happening::Perform { conversation, effect } => self.perform(conversation, *effect),
            Happening::Answered { conversation, event } => self.answer_session(conversation, *event),
            Happening::TokenEnds { conversation } => self.token_ends(conversation),
            Happening::Woken { conversation } => self.woken(conversation),
            Happening::Request { device, life, ask } => self.request(device, life, *ask),
            Happening::Answer { device, life, answer } => {
                if self.lives[device] == life {
                    self.answered(device, *answer);
                }
            }
        }
    }

    pub fn finish(mut self) -> Outcome {
        let lines = self.lines.drain(..).collect();
        let entries = wait(self.shared.workspace(self.workspace)).ok().flatten();
        Outcome {
            verdicts: self.verdicts.lock().clone(),
            journal: self.journal,
            last_lines: lines,
            events: self.events,
            entries: entries.map_or(0, |workspace| workspace.tail().0),
            reached: self.reached,
        }
    }
}

/// The memory store never waits.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    match future.now_or_never() {
        Some(done) => done,
        None => panic!("a store of the simulator never waits"),
    }
}

/// A file in memory.
pub fn new_store() -> LocalStore {
    let opened = Connection::open_in_memory().map(|file| LocalStore::over(file, Durability::Process));
    match opened {
        Ok(Ok(store)) => store,
        _ => panic!("SQLite opens a file in memory"),
    }
}

fn first_device(clock: &Arc<SimClock>) -> (LocalStore, WorkspaceId) {
    let clock: &dyn Clock = &**clock;
    let (owner_seed, device_seed) = (Seed::new(clock.random()), Seed::new(clock.random()));
    let (owner, device) = (KeyPair::owner(&owner_seed), KeyPair::device(&device_seed));
    let workspace = owner.workspace_id();
    let key = EpochKey::new(workspace, 1, clock.random());
    let genesis = match genesis(clock, &owner, &key, &device, "device-0") {
        Ok(genesis) => genesis,
        Err(error) => panic!("{error}"),
    };
    let identity = Identity {
        workspace,
        server: SERVER.to_owned(),
        name: "device-0".to_owned(),
        device_seed,
        owner_seed: Some(owner_seed),
        invite: None,
        joined: true,
    };
    let mut store = new_store();
    if let Err(error) = store.create(&identity, LogId(clock.random()), &[genesis]) {
        panic!("{error}");
    }
    (store, workspace)
}
