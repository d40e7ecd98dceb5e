//! Events that a session takes, and effects that it asks for.

use roost_shared::wire::error::Close;
use roost_shared::wire::message::{Hello, Seen, ServerMessage};
use roost_shared::{Code, Cursor, DeviceId};

use crate::access::Admission;
use crate::fanout::{Shown, Wake};
use crate::store::{self, Appended, Page, Refusal};

/// What happened.
pub enum Event<'a> {
    /// The device said something.
    Message(&'a [u8]),
    /// The answer to [`Effect::Admit`].
    Admitted(Result<Box<Admission>, Code>),
    /// The answer to [`Effect::Append`].
    Appended {
        /// The Append's id.
        id: u64,
        /// What became of it.
        outcome: Result<Appended, Refusal>,
    },
    /// The answer to [`Effect::Read`].
    Page(Result<Page, Refusal>),
    /// The workspace changed.
    Woken(Wake),
    /// What each device shows now, after that changed.
    Shown(Vec<(DeviceId, Shown)>),
    /// The answer to [`Effect::See`].
    Saw(Result<(), Code>),
    /// The answer to [`Effect::ReadSeen`].
    Seen(Result<Vec<Seen>, Refusal>),
    /// The answer to [`Effect::Check`]: whether the device is still in.
    Checked(bool),
    /// The answer to [`Effect::Renew`]: when the new token runs out.
    Renewed(Result<u64, Code>),
    /// More came than may be read, or what is no WebSocket message; the code says which.
    Unread(Code),
    /// No Hello came in time.
    HelloLate,
    /// The token ran out.
    TokenExpired,
    /// The server is stopping.
    Drain {
        /// When to come back.
        retry_after_ms: u64,
    },
}

impl Event<'_> {
    /// The time when the socket's token runs out, if the event brings one: ms since 1970.
    pub fn expires_at_ms(&self) -> Option<u64> {
        match self {
            Self::Admitted(Ok(admission)) => Some(admission.expires_at_ms),
            Self::Renewed(Ok(expires_at_ms)) => Some(*expires_at_ms),
            _ => None,
        }
    }
}

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Say this.
    Send(ServerMessage),
    /// Subscribe to wake-ups, check the Hello, look the workspace up.
    Admit(Box<Hello>),
    /// Append, detached from this socket: it goes on if the socket goes.
    Append {
        /// The Append's id.
        id: u64,
        /// What.
        append: store::Append,
    },
    /// Read one page.
    Read {
        /// From after here.
        after: Cursor,
        /// About this much.
        max_bytes: usize,
    },
    /// Have the others see this; nothing, if it is empty.
    Show(Vec<u8>),
    /// Keep how far this device has read, if it signed that.
    See(Seen),
    /// Read how far the devices have read.
    ReadSeen,
    /// Look whether the device is still in the roster.
    Check,
    /// Check a fresh token for the same device.
    Renew(String),
    /// Close; nothing follows.
    Close(Close),
}
