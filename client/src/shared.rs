//! What the handles of a workspace and its worker share.

use std::sync::Arc;

use parking_lot::Mutex;
use roost_shared::{DocumentId, Fault};
use tokio::sync::{broadcast, watch};

use crate::clock::Clock;
use crate::collection::Told;
use crate::held::Room;
use crate::replica::{Reader, Replica};
use crate::sync::{Notice, View};
use crate::transport::TransportError;
use crate::transport::websocket::Unheard;
use crate::workspace::Status;

/// The replica, and where those who follow it hear of it.
pub(crate) struct Shared {
    /// Answers while long work has the replica. Its connection closes before the replica lets go of the store.
    pub(crate) reader: Mutex<Reader>,
    pub(crate) replica: Mutex<Replica>,
    pub(crate) clock: Arc<dyn Clock>,
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
        self.unheard.lock().as_ref().is_some_and(Unheard::is_some)
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
        let view = replica.view();
        self.view.send_if_modified(|held| std::mem::replace(held, view) != view);
    }
}
