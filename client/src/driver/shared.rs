//! What the handles of a workspace and its worker share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use roost_shared::{DocumentId, Fault};
use tokio::sync::{broadcast, watch};

use crate::clock::Clock;
use crate::documents::held::Room;
use crate::documents::reader::Reader;
use crate::records::tables::RecordChange;
use crate::replica::{Replica, Status};
use crate::sync::{Notice, View};
use crate::transport::{TransportError, Unheard};

/// What the replica tells of records.
#[derive(Debug)]
pub(crate) enum Told {
    /// These changed.
    Changed(Vec<RecordChange>),
    /// Too many to tell: any of this collection may have.
    Any(DocumentId, Arc<str>),
}

/// What a handle asks of the worker.
pub(crate) enum Command {
    /// The replica has something to do.
    Poke,
    Start,
    /// Not at the next time to poll: now.
    Hurry,
    Pause,
    Stop,
}

/// The replica, and where those who follow it hear of it.
pub(crate) struct Shared {
    /// Answers while long work has the replica. Its connection closes before the replica lets go of the store.
    pub(crate) reader: Mutex<Reader>,
    pub(crate) replica: Mutex<Replica>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The replica's state when it was last published, read without the replica's lock.
    pub(crate) standing: Standing,
    pub(crate) view: watch::Sender<View>,
    pub(crate) notices: broadcast::Sender<Notice>,
    pub(crate) changed: broadcast::Sender<DocumentId>,
    pub(crate) told: broadcast::Sender<Arc<Told>>,
    /// How often another device looked at something else.
    pub(crate) looks: watch::Sender<u64>,
    pub(crate) closed: watch::Sender<bool>,
    /// The last thing that went wrong on the way to the server, for people.
    pub(crate) trouble: Mutex<Option<TransportError>>,
    /// Messages of the live socket that the worker has not come to.
    pub(crate) unheard: Mutex<Option<Unheard>>,
    /// The status as it was last looked up, for whoever asks while long work has the replica.
    pub(crate) status: Mutex<Status>,
    /// The fault of the local store that sync waits for; None while the store works.
    pub(crate) stopped: Mutex<Option<Stopped>>,
    /// The room of the workspace, as the server told when it refused more.
    pub(crate) room: Mutex<Option<Room>>,
}

/// The replica's state when it was last published.
pub(crate) struct Standing {
    has_work: AtomicBool,
    is_running: AtomicBool,
    /// The time at which the machine is to be woken, by the monotonic clock, in milliseconds; [`NEVER`] for never.
    wake_at_ms: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Standing {
    pub(crate) fn of(replica: &Replica) -> Self {
        let standing = Self {
            has_work: AtomicBool::new(false),
            is_running: AtomicBool::new(false),
            wake_at_ms: AtomicU64::new(NEVER),
        };
        standing.set(replica);
        standing
    }

    fn set(&self, replica: &Replica) {
        self.has_work.store(!replica.is_at_rest(), Ordering::Release);
        self.is_running.store(replica.is_running(), Ordering::Release);
        self.wake_at_ms.store(replica.wake_at_ms().unwrap_or(NEVER), Ordering::Release);
    }

    /// True for a replica that has work or outputs.
    pub(crate) fn has_work(&self) -> bool {
        self.has_work.load(Ordering::Acquire)
    }

    /// True for a replica that syncs, or would if the network let it.
    pub(crate) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Acquire)
    }

    /// The time at which the machine is to be woken, by the monotonic clock, in milliseconds.
    pub(crate) fn wake_at_ms(&self) -> Option<u64> {
        Some(self.wake_at_ms.load(Ordering::Acquire)).filter(|at_ms| *at_ms != NEVER)
    }
}

/// The local store does not take what sync has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// The fault of the machine, if it is one.
    pub(crate) fault: Option<Fault>,
    /// The sentence for people.
    pub(crate) what: String,
}

impl Shared {
    /// The live socket brought a message that the worker has not come to.
    pub(crate) fn has_unheard(&self) -> bool {
        self.unheard.lock().as_ref().is_some_and(|unheard| unheard())
    }

    /// Tells whoever listens what the replica has to tell.
    pub(crate) fn publish(&self, replica: &mut Replica) {
        // Nobody listening is fine.
        for notice in replica.take_notices() {
            let _ = self.notices.send(notice);
        }
        for document in replica.take_changed() {
            let _ = self.changed.send(document);
        }
        let (records, resets) = replica.take_record_changes();
        for (document, collection) in resets {
            let _ = self.told.send(Arc::new(Told::Any(document, collection)));
        }
        if !records.is_empty() {
            let _ = self.told.send(Arc::new(Told::Changed(records)));
        }
        if replica.take_looks() {
            self.looks.send_modify(|looks| *looks += 1);
        }
        self.standing.set(replica);
        let view = replica.view();
        self.view.send_if_modified(|held| std::mem::replace(held, view) != view);
    }
}
