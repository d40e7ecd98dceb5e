//! The status of a workspace.

use roost_shared::{Code, DeviceId, Fault};

use super::Replica;
use super::held::kept;
use crate::documents::held::{Held, Room};
use crate::sync::View;

/// How a workspace stands. `saved here` needs no field: a commit that returned is saved.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Status {
    /// A socket is live.
    pub online: bool,
    /// How many entries of the log were verified.
    pub cursor: u64,
    /// The number of the last entry, as the server last told it.
    pub tail: Option<u64>,
    /// Sealed envelopes on their way.
    pub outbox: usize,
    /// Whether everything on this device is durable on the server.
    pub on_server: bool,
    /// Everything on the server is here and verified, whatever waits here to be sent.
    pub caught_up: bool,
    /// Documents with edits that are kept from the server, and why: by their size, a full workspace, a refusal, a newer app, a
    /// full disk. They are tried again; what is on its way stands in `outbox`.
    pub held: Vec<Held>,
    /// Nothing more happens by itself: everything but what `held` names is on the server, and everything there is here.
    pub settled: bool,
    /// What the machine this device runs on is in the way of, for the local store: a full disk, say. Nothing that was saved is
    /// harmed, and it is tried again every two seconds.
    pub fault: Option<Fault>,
    /// Everything on this device is on the server, and everything on the server is here.
    pub synced: bool,
    /// How many other devices are in the workspace.
    pub others: usize,
    /// How many of them have read everything of this device that is on the server.
    pub seen_by: usize,
    /// The server contradicted itself: sync has stopped, the evidence is kept.
    pub diverged: bool,
    /// Devices that signed that they read another log than this one. If the server lost history, it heals once they are
    /// back; else it shows them different ones. Compare codes ([`crate::Workspace::compare_code`]).
    pub contradicted: Vec<DeviceId>,
    /// The roster has two branches.
    pub forked: bool,
    /// Entries whose content was put aside.
    pub quarantined: u64,
    /// The schema version that a document here needs, where this app's is older: update the app. What is written here
    /// of such a document stays here, what others write in it waits.
    pub behind: Option<u32>,
    /// Values of records that were hidden by another device's ([`crate::Workspace::conflicts`]).
    pub conflicts: u64,
    /// Edits that missed a rewrite and wait for the app to look at them ([`crate::Workspace::late_edits`]).
    pub late_edits: usize,
    /// The server does not know this device or its workspace, and is brought what it may have lost: whether it lets this
    /// device in is not known yet.
    pub asking: bool,
    /// The code for which the server does not let this device in, once it had been brought the records it may have lost.
    pub blocked: Option<Code>,
    /// The last error of the local store, or on the way to the server.
    pub trouble: Option<String>,
}

impl Status {
    /// The status of a replica, but for the trouble on the way to the server.
    pub(crate) fn of(replica: &mut Replica, fault: Option<Fault>, room: Option<Room>) -> Self {
        let (view, idle) = (replica.view(), !replica.has_work());
        let kept = kept(replica, &view, fault, room);
        let status = Self {
            held: kept.held,
            settled: kept.is_settled,
            fault,
            contradicted: replica.contradicted().unwrap_or_default(),
            quarantined: replica.store().quarantined().unwrap_or(0),
            behind: replica.behind().unwrap_or(None),
            conflicts: replica.store().count_conflicts().unwrap_or(0),
            late_edits: replica.late_edits().map_or(0, |late| late.len()),
            ..Self::default()
        };
        status.at(&view, idle)
    }

    /// Brings a status up to date with the machine's view.
    pub(crate) fn at(mut self, view: &View, idle: bool) -> Self {
        self.online = view.online;
        self.cursor = view.cursor.0;
        self.tail = view.tail.map(|tail| tail.0);
        self.outbox = view.outbox;
        self.caught_up = view.caught_up;
        let none_held = self.held.is_empty();
        self.on_server = view.outbox == 0 && !view.edited && idle && none_held;
        self.synced = view.synced && idle && none_held;
        self.settled &= idle;
        self.others = view.others;
        self.seen_by = view.seen_by;
        self.diverged = view.diverged;
        self.forked = view.forked;
        self.blocked = view.blocked;
        self.asking = view.asking;
        self
    }
}
