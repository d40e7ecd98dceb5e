//! One workspace on one device, without IO to the outside. The replica sequences five owners: the documents in memory,
//! the migrator, the tables of records, presence, and the sync driver with its machine. Each takes the store; none knows
//! another's inside.
//!
//! A driver runs it over real sockets, the simulator over simulated ones; both run this very code. Work, outputs and
//! events wait in queues here until the driver takes them. Between [`Replica::handle`] and each [`Replica::work`] the
//! process may die, and everything goes on from the store.
//!
//! Reading order: this file takes events in; `edit` what this device writes, `merge` what others wrote, `send` what goes
//! to the log, `follow` what a change of a document brings with it, `membership` who is in, `look` answers the app.

mod driver;
mod edit;
mod follow;
mod held;
mod look;
mod membership;
mod merge;
mod output;
mod send;
mod status;

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use roost_shared::wire::codec::CodecError;
use roost_shared::wire::message::{ClientMessage, Item, ServerMessage};
use roost_shared::{Code, Cursor, DocumentId, Envelope};

use self::driver::{Asked, SyncDriver, Work};
pub(crate) use self::held::refusal;
pub use self::output::Output;
pub use self::status::Status;
use crate::clock::Clock;
use crate::documents::cache::Documents;
pub use crate::documents::error::EditError;
use crate::documents::held::HeldReason;
pub use crate::documents::history::RevisionRow;
use crate::documents::names::NameList;
pub use crate::members::propose::MembershipError;
use crate::migrate::desk::Desk;
use crate::migrate::migrator::Migrator;
pub use crate::migrate::migrator::OpenError;
pub use crate::presence::sealed::PresenceTooLarge;
use crate::presence::sealed::SealedPresences;
use crate::records::tables::Tables;
pub use crate::records::tables::{CollectionForm, RecordChange};
use crate::schema::{Progress, Schema};
use crate::store::{SLICE_BYTES, Store, StoreError, where_possible};
use crate::sync::{Event, Notice, Step, Write};

/// A workspace on this device.
pub struct Replica {
    store: Store,
    clock: Arc<dyn Clock>,
    documents: Documents,
    names: NameList,
    migrator: Migrator,
    tables: Tables,
    presence: SealedPresences,
    sync: SyncDriver,
    /// Documents that could not be sealed when that was tried last, and why.
    left: BTreeMap<DocumentId, HeldReason>,
    /// The document whose rewrite is on its way.
    rewriting: Option<DocumentId>,
    /// The log is about to go: what waits for an update of the app is merged as it is.
    takes_all: bool,
    work: VecDeque<Work>,
    outputs: VecDeque<Output>,
    notices: Vec<Notice>,
    changed: Vec<DocumentId>,
}

impl Replica {
    /// Opens what the store holds; None if it was never filled, or the device has not joined yet.
    pub fn open(store: Store, clock: Arc<dyn Clock>, schema: Schema) -> Result<Option<Self>, OpenError> {
        Self::open_watched(store, clock, schema, &mut |_| ControlFlow::Continue(()))
    }

    /// Opens what the store holds. Told how far migrations are, `watch` may give them up; what was done by then stays done.
    pub fn open_watched(
        mut store: Store,
        clock: Arc<dyn Clock>,
        schema: Schema,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Option<Self>, OpenError> {
        let Some(identity) = store.identity()?.filter(|identity| identity.joined) else { return Ok(None) };
        let seed = u64::from_be_bytes(clock.random());
        let Some(loaded) = store.load(seed)? else { return Ok(None) };
        let sync = SyncDriver::new(identity, loaded);
        let mut replica = Self {
            store,
            documents: Documents::new(Arc::clone(&clock), sync.device.device_id()),
            clock,
            names: NameList::default(),
            migrator: Migrator::new(schema),
            tables: Tables::default(),
            presence: SealedPresences::default(),
            sync,
            left: BTreeMap::new(),
            rewriting: None,
            takes_all: false,
            work: VecDeque::new(),
            outputs: VecDeque::new(),
            notices: Vec::new(),
            changed: Vec::new(),
        };
        replica.names.learn(&replica.sync.ring);
        where_possible(replica.store.count_deaths())?;
        let is_newer = replica.store.migrated()? < replica.schema().number();
        match replica.migrate_all(watch) {
            // What came since the last opening stays due; all can be read.
            Err(OpenError::Store(error)) if !is_newer && error.fault().is_some() => {}
            migrated => migrated?,
        }
        // What was verified before and not yet merged.
        where_possible(replica.store.look_again())?;
        replica.work.push_back(Work::Merge);
        Ok(Some(replica))
    }

    /// Takes an event in: decides, writes, and queues what is to be done. After an error the store has all that was ever
    /// promised; once the cause is gone, the next event finds the machine started again from it.
    pub fn handle(&mut self, event: Event) -> Result<(), StoreError> {
        match event {
            Event::Start => self.sync.is_running = true,
            Event::Pause => self.sync.is_running = false,
            Event::Tick
            | Event::Edited
            | Event::Opened
            | Event::Closed { .. }
            | Event::Message { .. }
            | Event::Sealed { .. }
            | Event::Rewritten(_)
            | Event::LogGranted(_)
            | Event::Republished(_)
            | Event::Proposed(_)
            | Event::Posted(_) => {}
        }
        self.recover()?;
        let done = self.step(event);
        self.noting(done)?;
        self.present();
        self.rest();
        Ok(())
    }

    fn step(&mut self, event: Event) -> Result<(), StoreError> {
        let step = self.sync.machine.handle(self.clock.monotonic_ms(), event);
        self.carry_out(step)
    }

    /// The machine may be ahead of what is durable now.
    fn noting<T>(&mut self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        self.sync.is_broken |= done.is_err();
        done
    }

    /// After an error: the machine as the store has it, on a new socket.
    fn recover(&mut self) -> Result<(), StoreError> {
        if !self.sync.is_broken {
            return Ok(());
        }
        self.store.check_writes()?; // else the server is greeted anew at each try, for nothing
        let seed = u64::from_be_bytes(self.clock.random());
        let Some(loaded) = self.store.load(seed)? else { return Ok(()) };
        self.store.survived()?;
        self.store.look_again()?;
        self.sync.restart(loaded);
        self.documents.close_all();
        self.work.clear();
        self.work.push_back(Work::Merge);
        self.follow_pending()?;
        self.sync.is_broken = false;
        self.outputs.clear(); // of the machine that was
        self.outputs.push_back(Output::Disconnect);
        if self.sync.is_running {
            let started = self.step(Event::Start);
            self.noting(started)?;
        }
        Ok(())
    }

    /// Takes bytes from the socket in.
    pub fn message(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match ServerMessage::decode(bytes) {
            Ok(ServerMessage::Ephemeral { device, presence }) => {
                self.presence.heard(self.clock.monotonic_ms(), &self.sync.standing(), device, presence);
                self.present();
                Ok(())
            }
            Ok(message) => {
                let past_roots = self.past_roots(&message);
                let past_roots = self.noting(past_roots)?;
                self.handle(Event::Message { message, past_roots })
            }
            Err(CodecError::Skipped(_)) => Ok(()),
            Err(_) => {
                self.outputs.push_back(Output::Disconnect);
                self.handle(Event::Closed { code: None, retry_after_ms: 0 })
            }
        }
    }

    /// Our own roots at the bases and sizes that a message names, as far as we know them already.
    fn past_roots(&self, message: &ServerMessage) -> Result<BTreeMap<u64, roost_shared::Hash>, StoreError> {
        let mut roots = BTreeMap::new();
        let cursor = self.sync.machine.log().cursor();
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
    pub fn work(&mut self) -> Result<(), StoreError> {
        let Some(work) = self.work.pop_front() else { return Ok(()) };
        let done = self.do_work(work);
        self.noting(done)?;
        self.rest();
        Ok(())
    }

    fn do_work(&mut self, work: Work) -> Result<(), StoreError> {
        match work {
            Work::Merge => {
                if self.merge()? {
                    self.work.push_back(Work::Merge);
                }
                self.edited_anew()
            }
            // Asked for before the log was replaced.
            Work::Seal(at) if at.log != self.sync.machine.log().id => Ok(()),
            Work::Seal(at) => {
                let (rows, left) = self.seal(at)?;
                self.step(Event::Sealed { rows, left })
            }
            Work::AdvanceEpoch => self.advance_epoch(),
            Work::Rewrite(document) => self.rewrite(document),
        }
    }

    /// After a merge there may be more to seal, or nothing any more of what could not be sealed.
    fn edited_anew(&mut self) -> Result<(), StoreError> {
        let is_edited = self.sync.machine.view().edited || !self.store.edited_documents()?.is_empty();
        if is_edited { self.step(Event::Edited) } else { Ok(()) }
    }

    /// After every event and piece of work: the next rewrite, where it is time; and whether a round of sync is over.
    fn rest(&mut self) {
        self.look_for_rewrites();
        let (now_ms, has_work) = (self.clock.monotonic_ms(), self.has_work());
        self.notices.extend(self.sync.track_round(now_ms, has_work));
    }

    fn carry_out(&mut self, step: Step) -> Result<(), StoreError> {
        let is_new_log = step.writes.iter().any(|write| matches!(write, Write::NewLog(_)));
        if is_new_log {
            // What was verified of the old log is merged before its inbox goes; what newer apps wrote, too.
            self.store.look_again()?;
            self.takes_all = true;
            let merged = self.merge_all();
            self.takes_all = false;
            merged?;
        }
        self.store.apply(&step.writes, SLICE_BYTES)?;
        let roster_changed =
            step.writes.iter().any(|write| matches!(write, Write::HeldRecord(_) | Write::HoldLogChain));
        let is_cloned = step.notices.contains(&Notice::Refused { code: Code::Equivocation });
        if is_new_log || is_cloned {
            // They hold what the old log had of each document; or another copy of this store wrote in our name, and a
            // fresh peer id for each document keeps the two apart from here on.
            self.documents.close_all();
        }
        if step.writes.iter().any(|write| matches!(write, Write::Met { .. })) {
            self.documents.track_met(&mut self.store)?;
        }
        self.track_rewrite(&step.notices);
        self.notices.extend(step.notices);
        for effect in step.effects {
            match self.sync.asked(&*self.clock, effect) {
                Asked::Output(output) => self.outputs.push_back(output),
                Asked::Work(work) => self.work.push_back(work),
                Asked::Nothing => {}
            }
        }
        if roster_changed {
            self.refresh_keys()?;
            self.follow_pending()?;
        }
        Ok(())
    }

    /// Says what this device shows, where it is time.
    fn present(&mut self) {
        let is_live = self.sync.machine.takes_presence();
        if let Some(presence) = self.presence.step(&*self.clock, &self.sync.standing(), is_live) {
            self.outputs.push_back(Output::Send(ClientMessage::Ephemeral { presence }));
        }
    }

    /// The migrator, and the desk that it works at.
    fn migrating<'a>(&'a mut self, derived: &'a mut Vec<DocumentId>) -> (&'a mut Migrator, Desk<'a>) {
        let may_write = self.may_write();
        let Self { store, documents, names, migrator, notices, .. } = self;
        (migrator, Desk { store, documents, names, may_write, notices, derived })
    }

    /// Takes the outputs that the driver is to carry out, in their order. An output stays queued until it is taken.
    pub fn take_outputs(&mut self) -> VecDeque<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// True for a replica that has neither work nor outputs for the driver.
    pub fn is_at_rest(&self) -> bool {
        self.work.is_empty() && self.outputs.is_empty()
    }

    /// Looks at the server every so often, rather than to keep a socket open.
    pub fn poll_every(&mut self, every_ms: Option<u64>) {
        self.sync.poll_every(every_ms);
    }

    /// When [`Event::Tick`] is due, by the clock's monotonic time.
    pub fn wake_at_ms(&self) -> Option<u64> {
        self.sync.machine.wake_at_ms().into_iter().chain(self.presence.wake_at_ms()).min()
    }

    /// What happened since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Documents that changed since the last call.
    pub fn take_changed(&mut self) -> Vec<DocumentId> {
        std::mem::take(&mut self.changed)
    }

    /// The app's schema.
    pub const fn schema(&self) -> &Schema {
        self.migrator.schema()
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
