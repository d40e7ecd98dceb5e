//! The board of a server: who listens to which workspace, how each workspace stands, and what its devices show. Pure: time
//! is passed in, and whoever holds the board rings the bell.
//!
//! Level-triggered: a listener is told how things stand, not what happened. One that was slow misses nothing, and nothing is
//! queued for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use roost_shared::limits::{PRESENCE_GONE_MS, SOCKETS_PER_DEVICE_MAX};
use roost_shared::{Code, Cursor, DeviceId, LogId, WorkspaceId};

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

/// A write that the listeners of a workspace are woken for.
#[derive(Debug, Clone, Copy)]
pub enum News {
    /// Entries are durable up to this tail.
    Appended(Cursor),
    /// A roster record is durable.
    Recorded {
        /// The tail with it.
        tail: Cursor,
        /// Its version.
        version: u64,
    },
    /// A device told how far it has read.
    Seen,
    /// The log has a new id.
    Log(LogId),
}

impl Wake {
    fn hear(&mut self, news: News) {
        match news {
            News::Appended(tail) => self.tail = self.tail.max(tail),
            News::Recorded { tail, version } => {
                self.tail = self.tail.max(tail);
                self.roster = self.roster.max(version);
            }
            News::Seen => self.seen += 1,
            News::Log(log) => self.log = Some(log),
        }
    }
}

/// What a device shows.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Another one each time.
    pub version: u64,
    /// The bytes it sent.
    pub presence: Arc<[u8]>,
}

/// A socket's place among the listeners of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    workspace: WorkspaceId,
    device: DeviceId,
    number: u64,
}

impl Listener {
    /// The workspace it listens to.
    pub const fn workspace(&self) -> WorkspaceId {
        self.workspace
    }
}

/// The listeners of all workspaces.
#[derive(Debug, Default)]
pub struct Board {
    workspaces: HashMap<WorkspaceId, Listeners>,
    last_number: u64,
}

#[derive(Debug, Default)]
struct Listeners {
    wake: Wake,
    /// The wake that each listener was told last, and the version of presence.
    told: HashMap<u64, (Wake, u64)>,
    sockets: HashMap<DeviceId, usize>,
    /// The latest of each device that has a socket here and shows something, and until when: a line that broke in silence
    /// keeps its socket for long. It is nowhere else.
    shown: BTreeMap<DeviceId, (Shown, u64)>,
}

impl Listeners {
    /// Has `device` show this; nothing, if it is empty. Whether that is a change.
    fn show(&mut self, device: DeviceId, presence: &[u8], now_ms: u64) -> bool {
        let version = self.wake.shown + 1;
        let had_any = self.shown.remove(&device).is_some();
        if !presence.is_empty() {
            self.shown.insert(device, (Shown { version, presence: presence.into() }, now_ms + PRESENCE_GONE_MS));
        }
        let is_change = had_any || !presence.is_empty();
        if is_change {
            self.wake.shown = version;
        }
        is_change
    }
}

impl Board {
    /// A place among the listeners. Subscribe before reading, so that a write in between wakes the listener.
    pub fn subscribe(&mut self, workspace: WorkspaceId, device: DeviceId) -> Result<Listener, Code> {
        let listeners = self.workspaces.entry(workspace).or_default();
        let sockets = listeners.sockets.entry(device).or_default();
        if *sockets >= SOCKETS_PER_DEVICE_MAX {
            return Err(Code::TooMany);
        }
        *sockets += 1;
        self.last_number += 1;
        listeners.told.insert(self.last_number, (listeners.wake, 0));
        Ok(Listener { workspace, device, number: self.last_number })
    }

    /// Gives a place up; with a device's last one goes what the device shows. Whether the others have news by that.
    pub fn leave(&mut self, listener: Listener, now_ms: u64) -> bool {
        let Some(listeners) = self.workspaces.get_mut(&listener.workspace) else { return false };
        if listeners.told.remove(&listener.number).is_none() {
            return false;
        }
        let sockets = listeners.sockets.entry(listener.device).or_default();
        *sockets -= 1;
        if *sockets > 0 {
            return false;
        }
        listeners.sockets.remove(&listener.device);
        let is_news = listeners.show(listener.device, &[], now_ms);
        if listeners.sockets.is_empty() {
            self.workspaces.remove(&listener.workspace);
        }
        is_news
    }

    /// True for a workspace that has a listener.
    pub fn is_heard(&self, workspace: WorkspaceId) -> bool {
        self.workspaces.contains_key(&workspace)
    }

    /// Notes how a workspace stands now; whether anyone listens.
    pub fn note(&mut self, workspace: WorkspaceId, news: News) -> bool {
        let listeners = self.workspaces.get_mut(&workspace);
        listeners.map(|listeners| listeners.wake.hear(news)).is_some()
    }

    /// Has the others see what a device shows; whether that is news.
    pub fn show(&mut self, listener: Listener, presence: &[u8], now_ms: u64) -> bool {
        let listeners = self.workspaces.get_mut(&listener.workspace);
        listeners.is_some_and(|listeners| listeners.show(listener.device, presence, now_ms))
    }

    /// The state of the workspace, if the listener was told another.
    pub fn wake(&mut self, listener: Listener) -> Option<Wake> {
        let listeners = self.workspaces.get_mut(&listener.workspace)?;
        let (told, _) = listeners.told.get_mut(&listener.number)?;
        (*told != listeners.wake).then(|| {
            *told = listeners.wake;
            listeners.wake
        })
    }

    /// The presence of all devices, if the listener was told another.
    pub fn shown(&mut self, listener: Listener, now_ms: u64) -> Option<Vec<(DeviceId, Shown)>> {
        let listeners = self.workspaces.get_mut(&listener.workspace)?;
        let (_, told) = listeners.told.get_mut(&listener.number)?;
        if *told == listeners.wake.shown {
            return None;
        }
        *told = listeners.wake.shown;
        listeners.shown.retain(|_, (_, until_ms)| *until_ms > now_ms);
        Some(listeners.shown.iter().map(|(device, (shown, _))| (*device, shown.clone())).collect())
    }
}
