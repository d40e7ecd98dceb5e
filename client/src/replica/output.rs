//! Outputs of the replica: the driver's part.

use roost_shared::roster::Record;
use roost_shared::wire::http::ProposeLog;
use roost_shared::wire::message::{ClientMessage, Hello};

use crate::keys::link::Invite;
use crate::members::republish::Republish;

/// A request to the driver; requests are carried out in their order.
#[derive(Debug)]
pub enum Output {
    /// Get a token, open a socket; then [`crate::sync::Event::Opened`] or [`crate::sync::Event::Closed`].
    Connect,
    /// Close the socket; nothing of it is to be handed in any more.
    Disconnect,
    /// Put the token in and say Hello.
    Hello(Box<Hello>),
    /// Say this.
    Send(ClientMessage),
    /// `POST …/log`; then [`crate::sync::Event::LogGranted`].
    ProposeLog(ProposeLog),
    /// Republish records to a server that may lack them; then [`crate::sync::Event::Republished`].
    Republish(Republish),
    /// Take the place of this invite in the roster once more; then [`crate::sync::Event::Republished`].
    Rejoin(Invite),
    /// Post a roster record; then [`crate::sync::Event::Posted`].
    Post(Record),
}
