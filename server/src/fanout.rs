//! Who must be woken when a log grows, and what the devices show of themselves. Level-triggered: a wake says how things
//! stand, not what happened, so a reader that was slow misses nothing and nothing is queued for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use roost_shared::limits::{PRESENCE_GONE_MS, SOCKETS_PER_DEVICE_MAX};
use roost_shared::{Code, Cursor, DeviceId, LogId, WorkspaceId};
use tokio::sync::watch;
use tokio::time::Instant;

/// How a workspace stands, as far as its sockets care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wake {
    /// The tail is at least here.
    pub tail: Cursor,
    /// The roster is at least at this version.
    pub roster: u64,
    /// How often a device told how far it has read, while anyone listened.
    pub seen: u64,
    /// How often what a device shows changed.
    pub shown: u64,
    /// The log got this id, if it got one while anyone listened.
    pub log: Option<LogId>,
}

/// The wake-ups of all workspaces that have a socket here.
#[derive(Clone, Default)]
pub struct Fanout {
    listeners: Arc<Mutex<HashMap<WorkspaceId, Listeners>>>,
}

struct Listeners {
    wake: watch::Sender<Wake>,
    sockets: HashMap<DeviceId, usize>,
    /// The latest of each device that has a socket here and shows something, and until when: a line that broke in silence
    /// keeps its socket for long. It is nowhere else.
    shown: HashMap<DeviceId, (Shown, Instant)>,
}

/// What a device shows.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Another one each time.
    pub version: u64,
    /// The bytes it sent.
    pub presence: Arc<[u8]>,
}

impl Listeners {
    /// Has `device` show this; nothing, if it is empty.
    fn show(&mut self, device: DeviceId, presence: &[u8]) {
        let version = self.wake.borrow().shown + 1;
        let had_any = self.shown.remove(&device).is_some();
        if !presence.is_empty() {
            let until = Instant::now() + Duration::from_millis(PRESENCE_GONE_MS);
            self.shown.insert(device, (Shown { version, presence: presence.into() }, until));
        } else if !had_any {
            return;
        }
        self.wake.send_modify(|wake| wake.shown = version);
    }
}

impl Fanout {
    /// Says how things stand now.
    pub fn wake(&self, workspace: WorkspaceId, change: impl FnOnce(&mut Wake)) {
        if let Some(listeners) = self.listeners.lock().get(&workspace) {
            listeners.wake.send_modify(change);
        }
    }

    /// Listens until the subscription is dropped. Subscribe first, look second: then nothing is missed between.
    pub fn subscribe(&self, workspace: WorkspaceId, device: DeviceId) -> Result<Subscription, Code> {
        let mut all = self.listeners.lock();
        let listeners = all.entry(workspace).or_insert_with(|| Listeners {
            wake: watch::Sender::new(Wake::default()),
            sockets: HashMap::new(),
            shown: HashMap::new(),
        });
        let sockets = listeners.sockets.entry(device).or_default();
        if *sockets >= SOCKETS_PER_DEVICE_MAX {
            return Err(Code::TooMany);
        }
        *sockets += 1;
        Ok(Subscription { wakes: listeners.wake.subscribe(), fanout: self.clone(), workspace, device })
    }
}

/// One socket's place among the listeners.
pub struct Subscription {
    wakes: watch::Receiver<Wake>,
    fanout: Fanout,
    workspace: WorkspaceId,
    device: DeviceId,
}

impl Subscription {
    /// Waits for the next change and says how things stand after it.
    pub async fn woken(&mut self) -> Wake {
        if self.wakes.changed().await.is_err() {
            std::future::pending::<()>().await; // the sender lives as long as this subscription
        }
        *self.wakes.borrow_and_update()
    }

    /// Has the others see what this device shows.
    pub fn show(&self, presence: &[u8]) {
        if let Some(listeners) = self.fanout.listeners.lock().get_mut(&self.workspace) {
            listeners.show(self.device, presence);
        }
    }

    /// What each device shows now, and how often that changed; None if that is not more often than `known`.
    pub fn shown(&self, known: u64) -> Option<(u64, Vec<(DeviceId, Shown)>)> {
        let mut all = self.fanout.listeners.lock();
        let listeners = all.get_mut(&self.workspace)?;
        let version = listeners.wake.borrow().shown;
        if version <= known {
            return None;
        }
        let now = Instant::now();
        listeners.shown.retain(|_, (_, until)| *until > now);
        Some((version, listeners.shown.iter().map(|(device, (shown, _))| (*device, shown.clone())).collect()))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut all = self.fanout.listeners.lock();
        let Some(listeners) = all.get_mut(&self.workspace) else { return };
        if let Some(sockets) = listeners.sockets.get_mut(&self.device) {
            *sockets -= 1;
            if *sockets == 0 {
                listeners.sockets.remove(&self.device);
                listeners.show(self.device, &[]);
            }
        }
        if listeners.sockets.is_empty() {
            all.remove(&self.workspace);
        }
    }
}
