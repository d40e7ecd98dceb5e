//! Fan-out: the [`board`] of this process, and the bells that its sockets wait for.

pub mod board;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use roost_shared::{Code, DeviceId, WorkspaceId};
use tokio::sync::watch;

use self::board::{Board, Listener};
pub use self::board::{News, Shown, Wake};
use crate::clock::monotonic_ms;

/// The wake-ups of all workspaces that have a socket here.
#[derive(Clone, Default)]
pub struct Fanout {
    hall: Arc<Mutex<Hall>>,
}

#[derive(Default)]
struct Hall {
    board: Board,
    /// One a workspace that has a listener.
    bells: HashMap<WorkspaceId, watch::Sender<()>>,
}

impl Hall {
    fn ring(&self, workspace: WorkspaceId, is_news: bool) {
        if let Some(bell) = self.bells.get(&workspace).filter(|_| is_news) {
            bell.send_replace(());
        }
    }
}

impl Fanout {
    /// Wakes the listeners of a workspace.
    pub fn wake(&self, workspace: WorkspaceId, news: News) {
        let mut hall = self.hall.lock();
        let is_heard = hall.board.note(workspace, news);
        hall.ring(workspace, is_heard);
    }

    /// Listens until the subscription is dropped. Subscribe before reading, so that a write in between wakes the socket.
    pub fn subscribe(&self, workspace: WorkspaceId, device: DeviceId) -> Result<Subscription, Code> {
        let mut hall = self.hall.lock();
        let listener = hall.board.subscribe(workspace, device)?;
        let bell = hall.bells.entry(workspace).or_insert_with(|| watch::Sender::new(())).subscribe();
        Ok(Subscription { bell, fanout: self.clone(), listener })
    }
}

/// One socket's place among the listeners.
pub struct Subscription {
    bell: watch::Receiver<()>,
    fanout: Fanout,
    listener: Listener,
}

impl Subscription {
    /// Waits for the next change and says how things stand after it.
    pub async fn woken(&mut self) -> Wake {
        loop {
            if self.bell.changed().await.is_err() {
                std::future::pending::<()>().await; // the bell is there as long as this subscription
            }
            if let Some(wake) = self.fanout.hall.lock().board.wake(self.listener) {
                return wake;
            }
        }
    }

    /// Has the others see what this device shows.
    pub fn show(&self, presence: &[u8]) {
        let mut hall = self.fanout.hall.lock();
        let is_news = hall.board.show(self.listener, presence, monotonic_ms());
        hall.ring(self.listener.workspace(), is_news);
    }

    /// The presence of all devices, if this socket was told another.
    pub fn shown(&self) -> Option<Vec<(DeviceId, Shown)>> {
        self.fanout.hall.lock().board.shown(self.listener, monotonic_ms())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut hall = self.fanout.hall.lock();
        let workspace = self.listener.workspace();
        let is_news = hall.board.leave(self.listener, monotonic_ms());
        if hall.board.is_heard(workspace) {
            hall.ring(workspace, is_news);
        } else {
            hall.bells.remove(&workspace);
        }
    }
}
