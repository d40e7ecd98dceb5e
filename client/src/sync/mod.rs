//! The sync machine: every decision of the protocol, and nothing else. `(state, now, event) -> (state, step)`.
//!
//! Reading order: [`event`] what can happen, [`step`] what is to be done, `session` from a dead socket to a live one,
//! `inbox` entries in, `outbox` edits out, `resync` the one answer to every refusal, [`fork`] two rosters,
//! `view` how all of it stands.

mod backoff;
mod chain;
pub mod event;
pub mod fork;
mod inbox;
mod outbox;
mod proposals;
mod resync;
mod seal;
mod seen;
mod session;
pub mod step;
mod view;

use std::collections::BTreeMap;

use roost_shared::hash::Hash;
use roost_shared::roster::{Record, Scope};
use roost_shared::tree::Frontier;
use roost_shared::wire::http::LogLife;
use roost_shared::wire::message::Seen;
use roost_shared::{Code, Cursor, DeviceId, LogId, WorkspaceId};

use self::backoff::Backoff;
pub use self::chain::Chain;
pub use self::event::{Event, OutboxRow};
use self::outbox::Outbox;
pub use self::step::{Effect, Notice, SealAt, SeenAt, Stage, Step, SyncReport, Write};
pub use self::view::View;

/// The last entry of an author under one log id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Author {
    /// Its number.
    pub last: u64,
    /// Its base.
    pub base: Cursor,
}

/// All that belongs to one log and goes with it.
#[derive(Debug, Clone)]
pub struct Log {
    /// Its id.
    pub id: LogId,
    /// The tree at the cursor.
    pub frontier: Frontier,
    /// The life that `authors` count in.
    pub authors_of: LogId,
    /// The last entry of each.
    pub authors: BTreeMap<DeviceId, Author>,
    /// The roster in force at the cursor.
    pub chain: Chain,
}

impl Log {
    /// Nothing read yet.
    pub fn new(workspace: WorkspaceId, id: LogId) -> Self {
        Self {
            id,
            frontier: Frontier::default(),
            authors_of: id,
            authors: BTreeMap::new(),
            chain: Chain::empty(workspace),
        }
    }

    /// How many entries were verified.
    pub const fn cursor(&self) -> Cursor {
        Cursor(self.frontier.size())
    }
}

/// What the store holds when the machine starts.
#[derive(Debug)]
pub struct Loaded {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// This device.
    pub device: DeviceId,
    /// Whether it holds the owner seed.
    pub is_owner: bool,
    /// The log as far as it was read.
    pub log: Log,
    /// The newest roster this device knows; may be ahead of the log's, or on another branch.
    pub held: Chain,
    /// A record of ours that is not in the log for certain.
    pub pending: Option<Record>,
    /// Unacknowledged rows.
    pub outbox: Vec<OutboxRow>,
    /// Where Resync was.
    pub resync: Option<Stage>,
    /// How far the other devices had read when they last told.
    pub seen: BTreeMap<DeviceId, SeenAt>,
    /// The number of our last entry in this log, as far as we met it.
    pub own_seq: u64,
    /// Whether the server was caught before.
    pub diverged: bool,
    /// Whether documents hold operations the log may lack.
    pub edited: bool,
    /// For the backoff.
    pub seed: u64,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    workspace: WorkspaceId,
    device: DeviceId,
    is_owner: bool,
    connection: Connection,
    link: Link,
    backoff: Backoff,
    log: Log,
    held: Chain,
    pending: Option<Record>,
    outbox: Outbox,
    /// The backoff of the outbox after refusals that pass.
    patience: Backoff,
    waits: bool,
    resync: Option<Stage>,
    edited: bool,
    /// What was sealed last may not have been all.
    more: bool,
    sealing: bool,
    /// Edits wait until then, to go together; whether some do.
    seal_from_ms: u64,
    rests: bool,
    /// Edits that could not be sealed; tried again with the next edit or key.
    left: bool,
    /// The server took no republished record, and has not let us in since.
    fruitless: bool,
    /// How far the other devices have read.
    seen: BTreeMap<DeviceId, SeenAt>,
    /// A Seen of ours waits to be sent, no sooner than then.
    tells: bool,
    tell_from_ms: u64,
    /// The number of our last entry in this log, as far as we met it.
    own_seq: u64,
    /// Refusals in a row without an entry of ours in the log.
    refusals: u32,
    /// Whether the server was caught since it last made sense.
    fault: bool,
    diverged: bool,
    forked: bool,
    blocked: Option<Code>,
    polling: Option<Polling>,
}

/// Instead of a live socket: look, and come back after a while.
#[derive(Debug, Clone, Copy)]
struct Polling {
    every_ms: u64,
    /// All is said and done; the socket goes then.
    leave_ms: Option<u64>,
}

/// Where the socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    Paused,
    Waiting { until_ms: u64 },
    Connecting,
    Greeting { until_ms: u64 },
    Live,
}

/// State of one socket and of what was asked of the server since: gone as a whole with the socket, so that nothing that
/// was said on it counts on the next.
#[derive(Debug, Default)]
struct Link {
    /// The lives of the log as the server tells them.
    lives: Vec<LogLife>,
    /// The tail as the server last told it.
    told: Option<Cursor>,
    /// Whether the server keeps Seen.
    keeps_seen: bool,
    /// Whether the server passes presence on.
    passes_presence: bool,
    /// The size of the log in the last Seen of ours that the server has.
    told_own: u64,
    /// Seen of devices that are not in the roster yet.
    early: Vec<Seen>,
    /// Evidence of another log was sent; until the answer this log is not ours.
    disputed: bool,
    /// A record of ours was posted.
    posting: bool,
    /// An owner record was asked for.
    building: bool,
    /// Records that the server lost are on their way to it.
    republishing: bool,
    /// Our place in the roster is being taken anew.
    rejoining: bool,
    /// The server does not know this device or its workspace; it may have lost them, and is brought what it lacks.
    asking: bool,
}

impl Machine {
    /// From what the store holds. Does nothing until [`Event::Start`].
    pub fn new(loaded: Loaded) -> Self {
        Self {
            workspace: loaded.workspace,
            device: loaded.device,
            is_owner: loaded.is_owner,
            connection: Connection::Paused,
            link: Link::default(),
            backoff: Backoff::new(loaded.seed),
            log: loaded.log,
            held: loaded.held,
            pending: loaded.pending,
            outbox: Outbox::new(loaded.outbox),
            patience: Backoff::new(!loaded.seed),
            waits: false,
            resync: loaded.resync,
            edited: loaded.edited,
            more: false,
            sealing: false,
            seal_from_ms: 0,
            rests: false,
            left: false,
            fruitless: false,
            seen: loaded.seen,
            tells: false,
            tell_from_ms: 0,
            own_seq: loaded.own_seq,
            refusals: 0,
            fault: false,
            diverged: loaded.diverged,
            forked: false,
            blocked: None,
            polling: None,
        }
    }

    /// Looks at the server every so often, rather than to keep a socket open.
    pub fn poll_every(&mut self, every_ms: Option<u64>) {
        self.polling = every_ms.map(|every_ms| Polling { every_ms, leave_ms: None });
    }

    /// One step.
    pub fn handle(&mut self, now_ms: u64, event: Event) -> Step {
        let mut step = Step::default();
        self.rests = false;
        self.waits = false;
        let is_edit = matches!(event, Event::Edited);
        match event {
            Event::Start => self.start(&mut step),
            Event::Pause => self.pause(&mut step),
            Event::Tick => self.tick(now_ms, &mut step),
            Event::Edited => self.edited = true,
            Event::Opened => self.opened(now_ms, &mut step),
            Event::Closed { code, retry_after_ms } => self.closed(now_ms, code, retry_after_ms, &mut step),
            Event::Message { message, past_roots } => self.message(now_ms, message, &past_roots, &mut step),
            Event::Sealed { rows, left } => self.sealed(now_ms, rows, left, &mut step),
            Event::Rewritten(rows) => self.outbox.push(rows),
            Event::LogGranted(granted) => self.log_granted(now_ms, granted, &mut step),
            Event::Republished(taken) => self.republished(now_ms, taken, &mut step),
            Event::Proposed(record) => {
                self.link.building = false;
                self.link.posting = false;
                self.pending = Some(record);
            }
            Event::Posted(posted) => self.posted(now_ms, posted, &mut step),
        }
        self.go_on(now_ms, &mut step);
        if !is_edit {
            // An edit by itself says nothing.
            self.saw_early(now_ms, &mut step);
            self.tell_seen(now_ms, &mut step);
        }
        self.leave(now_ms, &mut step);
        step
    }

    /// When [`Event::Tick`] is due.
    pub fn wake_at_ms(&self) -> Option<u64> {
        match self.connection {
            Connection::Paused | Connection::Connecting => None,
            Connection::Waiting { .. } if self.link.republishing => None, // the answer is what it waits for
            Connection::Waiting { until_ms } | Connection::Greeting { until_ms } => Some(until_ms),
            Connection::Live => {
                let rests = self.rests.then_some(self.seal_from_ms);
                let waits = self.waits.then(|| self.outbox.held_until_ms());
                let tells = self.tells.then_some(self.tell_from_ms);
                let leaves = self.polling.and_then(|polling| polling.leave_ms);
                self.outbox.deadline_ms().into_iter().chain(rests).chain(waits).chain(tells).chain(leaves).min()
            }
        }
    }

    /// Whether there is a socket that passes presence on.
    pub fn takes_presence(&self) -> bool {
        self.connection == Connection::Live && self.link.passes_presence
    }

    /// How far the other devices had read when they last told.
    pub const fn seen(&self) -> &BTreeMap<DeviceId, SeenAt> {
        &self.seen
    }

    /// The newest roster this device knows.
    pub const fn held(&self) -> &Chain {
        &self.held
    }

    /// The roster in force at the cursor, and what else belongs to the log.
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// Whether a record of ours is on its way.
    pub const fn is_proposing(&self) -> bool {
        self.pending.is_some()
    }

    /// Whatever can be done now is done now; nothing waits for an event that may not come.
    fn go_on(&mut self, now_ms: u64, step: &mut Step) {
        if self.connection != Connection::Live || self.diverged || self.link.disputed {
            return;
        }
        self.settle(step);
        self.post(step);
        self.resync_on(step);
        if self.held.roster().scope(self.device) == Some(Scope::Read) {
            // It has nothing to offer; what it wrote before it was made a reader stays in its documents.
            self.edited = false;
            self.more = false;
            self.clear_outbox_at_tail(step);
            self.finish_resync(step);
        }
        let may_append = !self.forked && self.held.roster().scope(self.device) == Some(Scope::ReadWrite);
        if !may_append || self.link.republishing || self.resync == Some(Stage::Read) {
            return;
        }
        if self.outbox.is_empty() {
            self.seal(now_ms, step);
            return;
        }
        self.waits = self.outbox.held_until_ms() > now_ms;
        if self.waits {
            return;
        }
        let reseals = (self.resync == Some(Stage::Reseal)).then(|| self.log.cursor().0);
        if let Some(batch) = self.outbox.send(now_ms, reseals) {
            step.effect(Effect::append(batch.id, batch.if_tail, batch.envelopes));
        }
    }

    /// The number of our last entry in this life of the log.
    fn last_own(&self) -> u64 {
        let counts = self.log.authors_of == self.log.id;
        self.log.authors.get(&self.device).filter(|_| counts).map_or(0, |author| author.last)
    }

    fn root_at(&self, past_roots: &BTreeMap<u64, Hash>, size: Cursor) -> Option<Hash> {
        if size == self.log.cursor() {
            Some(self.log.frontier.root())
        } else if size == Cursor::START {
            Some(Frontier::default().root())
        } else {
            past_roots.get(&size.0).copied()
        }
    }
}
