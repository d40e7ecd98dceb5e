//! The state of sync, for whoever asks.

use roost_shared::{Code, Cursor};

use super::{Connection, Machine};

/// The state of sync, as a person is told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// A socket is live.
    pub online: bool,
    /// The number of verified entries.
    pub cursor: Cursor,
    /// The tail as the server last told it.
    pub tail: Option<Cursor>,
    /// Sealed envelopes on their way.
    pub outbox: usize,
    /// The code for which the server takes nothing of the outbox for now. The outbox is tried again, and nothing else waits for it.
    pub held: Option<Code>,
    /// Edits are not yet sealed.
    pub edited: bool,
    /// Everything the server has is here and verified, whatever waits here to be sent.
    pub caught_up: bool,
    /// Everything here is durable on the server, and everything on the server is here.
    pub synced: bool,
    /// The number of other devices in the workspace.
    pub others: usize,
    /// The number of other devices that have read everything of ours in the log.
    pub seen_by: usize,
    /// The server contradicted itself; sync has stopped.
    pub diverged: bool,
    /// The roster has two branches.
    pub forked: bool,
    /// The server does not know this device or its workspace, and is brought what it may have lost: whether it lets this
    /// device in is not known yet.
    pub asking: bool,
    /// Why the server does not let us in: its last answer to that, never what it said before it was asked with the roster
    /// in hand.
    pub blocked: Option<Code>,
}

impl Machine {
    /// The state of sync now.
    pub fn view(&self) -> View {
        let online = self.connection == Connection::Live;
        let edited = self.edited || self.more || self.sealing || self.left;
        let (seen_by, others) = self.seen_by();
        let nothing_left = self.outbox.is_empty() && !edited && self.resync.is_none() && self.pending.is_none();
        let caught_up = online && self.link.told == Some(self.log.cursor()) && !self.diverged && !self.forked;
        View {
            online,
            cursor: self.log.cursor(),
            tail: self.link.told,
            outbox: self.outbox.len(),
            held: self.outbox.held(),
            edited,
            caught_up,
            synced: caught_up && nothing_left,
            others,
            seen_by,
            diverged: self.diverged,
            forked: self.forked,
            asking: self.link.asking,
            blocked: self.blocked,
        }
    }
}
