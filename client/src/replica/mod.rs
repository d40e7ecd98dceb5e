//! One workspace on one device, without IO to the outside: the machine, the store, the keys and the open documents.
//!
//! The worker drives it over real sockets, the simulator over simulated ones; both run this very code. Between
//! [`Replica::handle`] and each [`Replica::work`] the process may die, and everything goes on from the store.

mod blob;
mod collections;
mod conflicts;
mod contain;
mod dates;
mod digest;
mod documents;
mod edit;
mod held;
mod history;
mod load;
mod made_again;
mod membership;
mod merge;
mod migrate;
mod names;
mod output;
mod presence;
mod quarantine;
mod reader;
mod rewrite;
mod round;
mod seal;
mod split;
mod theirs;
mod touched;
mod undo;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use parking_lot::Mutex;
use roost_shared::roster::Scope;
use roost_shared::wire::codec::CodecError;
use roost_shared::wire::message::{Item, ServerMessage};
use roost_shared::{Code, Cursor, DeviceId, DocumentId, Envelope};

use self::collections::Tables;
pub use self::collections::{CollectionForm, RecordChange};
use self::contain::OpenDocument;
pub use self::documents::EditError;
pub use self::history::RevisionRow;
pub use self::membership::MembershipError;
pub use self::migrate::OpenError;
pub(crate) use self::migrate::schema_at;
use self::names::Listed;
pub(crate) use self::names::Names;
pub use self::output::Output;
pub use self::presence::PresenceTooLarge;
pub(crate) use self::reader::Reader;
pub(crate) use self::undo::without_schema;
use crate::clock::Clock;
use crate::held::HeldReason;
use crate::keys::KeyPair;
use crate::keys::link::Invite;
use crate::keys::ring::KeyRing;
use crate::presence::Presences;
use crate::schema::{Progress, Schema};
use crate::store::{Identity, Store, StoreError, where_possible};
use crate::sync::{Chain, Event, Machine, Notice, SealAt, Step, SyncReport, View, Write};

/// Work that the replica does by itself, a piece at a time.
#[derive(Debug, Clone, Copy)]
enum Work {
    Seal(SealAt),
    Merge,
    AdvanceEpoch,
    Rewrite(DocumentId),
}

/// See the module.
pub struct Replica {
    store: Store,
    clock: Arc<dyn Clock>,
    identity: Identity,
    device: KeyPair,
    ring: KeyRing,
    machine: Machine,
    open: HashMap<DocumentId, OpenDocument>,
    uses: u64,
    /// Documents that Loro cannot write out as a whole any more: they go on, without a local snapshot.
    unsound: HashSet<DocumentId>,
    work: VecDeque<Work>,
    notices: Vec<Notice>,
    changed: Vec<DocumentId>,
    schema: Schema,
    names: Arc<Names>,
    /// Documents that this process has loaded.
    loaded: Arc<Mutex<HashSet<DocumentId>>>,
    listed: Listed,
    /// Documents that could not be sealed when that was tried last, and why.
    left: BTreeMap<DocumentId, HeldReason>,
    /// Documents that wait for the tail of the log to be rewritten.
    rewrites: BTreeSet<DocumentId>,
    /// The one whose rewrite is on its way.
    rewriting: Option<DocumentId>,
    /// Edits of this device within this time are undone together.
    undo_pause_ms: u64,
    /// The log is about to go: what waits for an update of the app is merged as it is.
    takes_all: bool,
    tables: Tables,
    /// Since when this device syncs, and what that brought so far; None while all is the same here and there.
    round: Option<(u64, SyncReport)>,
    polling_ms: Option<u64>,
    presences: Presences,
    /// What the others know this process by, once it showed something.
    session: Option<u64>,
    is_running: bool,
    is_broken: bool,
}

impl Replica {
    /// Opens what the store holds; None if it was never filled, or the device has not joined yet.
    pub fn open(store: Store, clock: Arc<dyn Clock>, schema: Schema) -> Result<Option<Self>, OpenError> {
        Self::open_watched(store, clock, schema, &mut |_| ControlFlow::Continue(()))
    }

    /// The same. Told how far migrations are, `watch` may give them up; what was done by then stays done.
    pub fn open_watched(
        mut store: Store,
        clock: Arc<dyn Clock>,
        schema: Schema,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Option<Self>, OpenError> {
        let Some(identity) = store.identity()?.filter(|identity| identity.joined) else { return Ok(None) };
        let seed = u64::from_be_bytes(clock.random());
        let Some(loaded) = store.load(seed)? else { return Ok(None) };
        let device = KeyPair::device(&identity.device_seed);
        let ring = ring(&identity, &loaded.held);
        let mut replica = Self {
            store,
            clock,
            identity,
            device,
            ring,
            machine: Machine::new(loaded),
            open: HashMap::new(),
            uses: 0,
            unsound: HashSet::new(),
            work: VecDeque::new(),
            notices: Vec::new(),
            changed: Vec::new(),
            schema,
            names: Arc::default(),
            loaded: Arc::default(),
            listed: Listed::default(),
            left: BTreeMap::new(),
            rewrites: BTreeSet::new(),
            rewriting: None,
            undo_pause_ms: 0,
            takes_all: false,
            tables: Tables::default(),
            round: None,
            polling_ms: None,
            presences: Presences::default(),
            session: None,
            is_running: false,
            is_broken: false,
        };
        replica.learn_names();
        where_possible(replica.store.count_deaths())?;
        let is_newer = replica.store.migrated()? < replica.schema.number();
        match replica.migrate(watch) {
            // What came since the last opening stays due; all can be read.
            Err(OpenError::Store(error)) if !is_newer && error.fault().is_some() => {}
            migrated => migrated?,
        }
        // What was verified before and not yet merged.
        where_possible(replica.store.look_again())?;
        replica.work.push_back(Work::Merge);
        Ok(Some(replica))
    }

    /// Takes an event in: decides, writes, and says what to do. After an error the store has all that was ever promised;
    /// once the cause is gone, the next event finds the machine started again from it.
    pub fn handle(&mut self, event: Event) -> Result<Vec<Output>, StoreError> {
        match event {
            Event::Start => self.is_running = true,
            Event::Pause => self.is_running = false,
            _ => {}
        }
        let mut outputs = self.recovered()?;
        let more = self.step(event);
        outputs.extend(self.noting(more)?);
        outputs.extend(self.present());
        self.look_for_rewrites();
        self.track_round();
        Ok(outputs)
    }

    fn step(&mut self, event: Event) -> Result<Vec<Output>, StoreError> {
        let step = self.machine.handle(self.clock.monotonic_ms(), event);
        self.carry_out(step)
    }

    /// The machine may be ahead of what is durable now.
    fn noting<T>(&mut self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        self.is_broken |= done.is_err();
        done
    }

    /// After an error: the machine as the store has it, on a new socket.
    fn recovered(&mut self) -> Result<Vec<Output>, StoreError> {
        if !self.is_broken {
            return Ok(Vec::new());
        }
        self.store.check_writes()?; // else the server is greeted anew at each try, for nothing
        let seed = u64::from_be_bytes(self.clock.random());
        let Some(loaded) = self.store.load(seed)? else { return Ok(Vec::new()) };
        self.store.survived()?;
        self.store.look_again()?;
        self.machine = Machine::new(loaded);
        self.machine.poll_every(self.polling_ms);
        self.open.clear();
        self.work.clear();
        self.work.push_back(Work::Merge);
        self.migrate_due()?;
        self.is_broken = false;
        let mut outputs = vec![Output::Disconnect];
        if self.is_running {
            let started = self.step(Event::Start);
            outputs.extend(self.noting(started)?);
        }
        Ok(outputs)
    }

    /// The same for bytes from the socket.
    pub fn message(&mut self, bytes: &[u8]) -> Result<Vec<Output>, StoreError> {
        match ServerMessage::decode(bytes) {
            Ok(ServerMessage::Ephemeral { device, presence }) => {
                self.presented(device, presence);
                Ok(Vec::from_iter(self.present()))
            }
            Ok(message) => {
                let past_roots = self.past_roots(&message);
                let past_roots = self.noting(past_roots)?;
                self.handle(Event::Message { message, past_roots })
            }
            Err(CodecError::Skipped(_)) => Ok(Vec::new()),
            Err(_) => {
                let mut outputs = vec![Output::Disconnect];
                outputs.extend(self.handle(Event::Closed { code: None, retry_after_ms: 0 })?);
                Ok(outputs)
            }
        }
    }

    /// Our own roots at the bases and sizes that a message names, as far as we know them already.
    fn past_roots(&self, message: &ServerMessage) -> Result<BTreeMap<u64, roost_shared::Hash>, StoreError> {
        let mut roots = BTreeMap::new();
        let cursor = self.machine.log().cursor();
        let seen = match message {
            ServerMessage::Seen(seen) => std::slice::from_ref(seen),
            ServerMessage::Welcome(welcome) => &welcome.seen[..],
            _ => &[],
        };
        for seen in seen.iter().filter(|seen| (1..cursor.0).contains(&seen.size)) {
            roots.extend(self.store.root_at(Cursor(seen.size))?.map(|root| (seen.size, root)));
        }
        let ServerMessage::Entries { items } = message else { return Ok(roots) };
        for item in items {
            let Item::Envelope { bytes, .. } = item else { continue };
            let Ok(envelope) = Envelope::parse(bytes.clone()) else { continue };
            let base = envelope.header().base_size;
            if base.0 > 0 && base < cursor && !roots.contains_key(&base.0) {
                roots.extend(self.store.root_at(base)?.map(|root| (base.0, root)));
            }
        }
        Ok(roots)
    }

    /// Whether [`Replica::work`] has something to do.
    pub fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// Does the next piece of work.
    pub fn work(&mut self) -> Result<Vec<Output>, StoreError> {
        let work = self.work.pop_front();
        let done = self.do_work(work);
        let outputs = self.noting(done)?;
        self.look_for_rewrites();
        self.track_round();
        Ok(outputs)
    }

    fn do_work(&mut self, work: Option<Work>) -> Result<Vec<Output>, StoreError> {
        match work {
            None => Ok(Vec::new()),
            Some(Work::Merge) => {
                if self.merge()? {
                    self.work.push_back(Work::Merge);
                }
                self.edited_anew()
            }
            // Asked for before the log was replaced.
            Some(Work::Seal(at)) if at.log != self.machine.log().id => Ok(Vec::new()),
            Some(Work::Seal(at)) => {
                let (rows, left) = self.seal(at)?;
                self.step(Event::Sealed { rows, left })
            }
            Some(Work::AdvanceEpoch) => self.advance_epoch(),
            Some(Work::Rewrite(document)) => self.rewrite(document),
        }
    }

    /// After a merge there may be more to seal, or nothing any more of what could not be sealed.
    fn edited_anew(&mut self) -> Result<Vec<Output>, StoreError> {
        let is_edited = self.machine.view().edited || !self.store.edited_documents()?.is_empty();
        if is_edited { self.step(Event::Edited) } else { Ok(Vec::new()) }
    }

    fn carry_out(&mut self, step: Step) -> Result<Vec<Output>, StoreError> {
        let is_new_log = step.writes.iter().any(|write| matches!(write, Write::NewLog(_)));
        if is_new_log {
            // What was verified of the old log is merged before its inbox goes; what newer apps wrote, too.
            self.store.look_again()?;
            self.takes_all = true;
            let merged = self.merge_all();
            self.takes_all = false;
            merged?;
        }
        self.store.apply(&step.writes)?;
        let roster_changed =
            step.writes.iter().any(|write| matches!(write, Write::HeldRecord(_) | Write::HoldLogChain));
        let is_cloned = step.notices.contains(&Notice::Refused { code: Code::Equivocation });
        if is_new_log || is_cloned {
            // They hold what the old log had of each document; or another copy of this store wrote in our name, and a
            // fresh peer id for each document keeps the two apart from here on.
            self.open.clear();
        }
        self.track_met(&step.writes)?;
        self.track_rewrite(&step.notices);
        self.notices.extend(step.notices);
        let outputs = step.effects.into_iter().filter_map(|effect| self.output(effect)).collect();
        if roster_changed {
            self.refresh_keys()?;
            self.migrate_due()?;
        }
        Ok(outputs)
    }

    /// Looks at the server every so often, rather than to keep a socket open.
    pub fn poll_every(&mut self, every_ms: Option<u64>) {
        self.polling_ms = every_ms;
        self.machine.poll_every(every_ms);
    }

    /// When [`Event::Tick`] is due, by the clock's monotonic time.
    pub fn wake_at_ms(&self) -> Option<u64> {
        self.machine.wake_at_ms().into_iter().chain(self.presences.wake_at_ms()).min()
    }

    /// What happened since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Documents that changed since the last call.
    pub fn take_changed(&mut self) -> Vec<DocumentId> {
        std::mem::take(&mut self.changed)
    }

    /// Devices of the workspace that signed another root of this log than this one has.
    pub fn contradicted(&self) -> Result<Vec<DeviceId>, StoreError> {
        let roster = self.held().roster();
        let devices = self.store.contradictions()?;
        Ok(devices.into_iter().filter(|device| roster.scope(*device).is_some()).collect())
    }

    /// How sync stands.
    pub fn view(&self) -> View {
        self.machine.view()
    }

    /// Who this device is.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The device's keys.
    pub const fn device(&self) -> &KeyPair {
        &self.device
    }

    /// The newest roster, with its records.
    pub const fn held(&self) -> &Chain {
        self.machine.held()
    }

    /// The machine, to look at.
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What this device may do.
    pub fn scope(&self) -> Option<Scope> {
        self.held().roster().scope(self.device.device_id())
    }

    /// Whether it syncs, or would if it could.
    pub const fn is_running(&self) -> bool {
        self.is_running
    }

    /// The app's schema.
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The store, to look at.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Ends here, as a crash would.
    pub fn into_store(self) -> Store {
        self.store
    }
}

fn ring(identity: &Identity, held: &Chain) -> KeyRing {
    let device = KeyPair::device(&identity.device_seed);
    let invite = identity.invite.as_ref().map(Invite::keys);
    let owner = identity.owner_seed.as_ref().map(KeyPair::owner);
    let holders: Vec<&KeyPair> = [Some(&device), invite.as_ref(), owner.as_ref()].into_iter().flatten().collect();
    KeyRing::open(held.records(), &holders)
}
