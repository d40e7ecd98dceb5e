//! Presence of the workspace's devices: a pure machine. It knows no keys and no socket; `sealed`
//! seals what it says and opens what it hears.

use std::collections::{BTreeMap, VecDeque};

use roost_shared::limits::{PRESENCE_EVERY_MS, PRESENCE_GONE_MS, PRESENCE_PAUSE_MS};
use roost_shared::{DeviceId, DocumentId};
use serde_json::Value;

/// Sessions of a device that are remembered as over.
const ENDED_MAX: usize = 16;

/// What a device's person looks at just now, for the other devices to show. It is stored nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presence {
    /// The document.
    pub document: Option<DocumentId>,
    /// Whatever else the app wants shown: a cursor, a selection, a page. At most 3,800 bytes as JSON.
    pub state: Value,
}

/// What is to be said.
#[derive(Debug, PartialEq, Eq)]
pub enum Say {
    /// Nothing is shown any more.
    Nothing,
    /// This is.
    Shows {
        /// The number of what is said within the session.
        counter: u64,
        /// What.
        presence: Presence,
    },
}

/// What all devices show, as this one knows it.
#[derive(Debug, Default)]
pub struct Presences {
    own: Option<Presence>,
    counter: u64,
    /// When what this device shows is to be said; None while it has no socket, or said that it shows nothing.
    due_ms: Option<u64>,
    /// Nothing is said before.
    from_ms: u64,
    is_live: bool,
    others: BTreeMap<DeviceId, Other>,
    changed: bool,
}

#[derive(Debug)]
struct Other {
    session: u64,
    counter: u64,
    /// What a server says again of these is no news.
    ended: VecDeque<u64>,
    shows: Option<(Presence, u64)>,
}

impl Presences {
    /// What this device shows from now on.
    pub fn show(&mut self, now_ms: u64, presence: Option<Presence>) {
        if self.own != presence {
            self.own = presence;
            self.due_ms = self.is_live.then_some(now_ms.max(self.from_ms));
        }
    }

    /// What another device shows, after its signature was checked.
    pub fn heard(&mut self, now_ms: u64, device: DeviceId, session: u64, counter: u64, presence: Presence) {
        let new = || Other { session, counter: 0, ended: VecDeque::new(), shows: None };
        let other = self.others.entry(device).or_insert_with(new);
        if other.ended.contains(&session) || (session == other.session && counter <= other.counter) {
            return;
        }
        if session != other.session {
            other.ended.push_back(other.session);
            other.ended.drain(..other.ended.len().saturating_sub(ENDED_MAX));
        }
        (other.session, other.counter) = (session, counter);
        self.changed |= other.shows.as_ref().is_none_or(|(shown, _)| *shown != presence);
        other.shows = Some((presence, now_ms + PRESENCE_GONE_MS));
    }

    /// The server says that a device shows nothing: hiding is all that it could do by this.
    pub fn gone(&mut self, device: DeviceId) {
        self.changed |= self.others.get_mut(&device).is_some_and(|other| other.shows.take().is_some());
    }

    /// One step: whether there is a socket that takes presence, and the time. What is to be said now.
    pub fn step(&mut self, now_ms: u64, is_live: bool) -> Option<Say> {
        let is_over = |other: &Other| other.shows.as_ref().is_some_and(|(_, until_ms)| *until_ms <= now_ms);
        let over: Vec<DeviceId> =
            self.others.iter().filter(|(_, other)| is_over(other)).map(|(device, _)| *device).collect();
        over.into_iter().for_each(|device| self.gone(device));
        if is_live != self.is_live {
            self.is_live = is_live;
            // What an earlier socket said may still be shown: the new one says how things are, also that there is nothing.
            self.due_ms = is_live.then_some(now_ms);
        }
        self.due_ms.filter(|due_ms| *due_ms <= now_ms)?;
        self.from_ms = now_ms + PRESENCE_PAUSE_MS;
        self.due_ms = self.own.is_some().then_some(now_ms + PRESENCE_EVERY_MS);
        let Some(presence) = self.own.clone() else { return Some(Say::Nothing) };
        self.counter += 1;
        Some(Say::Shows { counter: self.counter, presence })
    }

    /// When the next step is due.
    pub fn wake_at_ms(&self) -> Option<u64> {
        let over = self.others.values().filter_map(|other| other.shows.as_ref().map(|(_, until_ms)| *until_ms));
        over.chain(self.due_ms).min()
    }

    /// What another device shows.
    pub fn of(&self, device: DeviceId) -> Option<&Presence> {
        self.others.get(&device)?.shows.as_ref().map(|(presence, _)| presence)
    }

    /// Whether another device shows something else since the last call.
    pub const fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.changed, false)
    }
}
