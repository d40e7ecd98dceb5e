//! The courier: turns the replica's outputs into jobs for the network, and the network's answers into events. Pure; the
//! native driver carries the jobs out over real sockets, the simulator over simulated ones.

use roost_shared::roster::Record;
use roost_shared::wire::http::{ProposeLog, TokenIs, WorkspaceIs};
use roost_shared::wire::message::{ClientMessage, ServerMessage, Token};
use roost_shared::{Code, LogId};

use crate::clock::Clock;
use crate::keys::link::Invite;
use crate::members::republish::Republish;
use crate::replica::Output;
use crate::sync::Event;

/// A token this close to its end is not used any more.
const TOKEN_MARGIN_MS: u64 = 30_000;
/// A token is renewed no sooner than this after the last try.
const RENEW_MIN_MS: u64 = 1_000;

/// A job for the network.
pub enum Job {
    /// Get a token, if there is none, and open a socket with it; then [`Answer::Connected`].
    Connect(Option<TokenIs>),
    /// Close the socket, and give up the one that is being opened: nothing of either is to be handed in any more.
    Disconnect,
    /// Say this on the socket. If the socket cannot take it, it is to be closed: [`Courier::closed`].
    Send(Vec<u8>),
    /// Say this on the socket if it can take it.
    Show(Vec<u8>),
    /// Ask this of the server beside the socket.
    Ask(Ask),
}

/// A request beside the socket.
#[derive(Clone)]
pub enum Ask {
    /// A token; then [`Answer::Renewed`].
    Renew,
    /// Ask for the bytes and the quota of the workspace; then [`Answer::Room`].
    Room(String),
    /// `POST …/log`, with this token; then [`Answer::LogGranted`].
    ProposeLog(String, ProposeLog),
    /// Records to a server that may lack them; then [`Answer::Republished`].
    Republish(Republish),
    /// The place of this invite in the roster, once more; then [`Answer::Republished`].
    Rejoin(Invite),
    /// A roster record; then [`Answer::Posted`].
    Post(Record),
}

/// An answer from the network. A code is None where the server gave none.
pub enum Answer {
    /// The socket is open, and was opened with this token; or why not, and when to try again, 0 if nobody said.
    Connected(Result<TokenIs, (Option<Code>, u64)>),
    /// A token.
    Renewed(Result<TokenIs, Option<Code>>),
    /// The bytes and the quota of the workspace.
    Room(Result<WorkspaceIs, Option<Code>>),
    /// The log's id.
    LogGranted(Result<LogId, Option<Code>>),
    /// True where the server took records, false where it lacked none.
    Republished(Result<bool, Code>),
    /// The record is in the log.
    Posted(Result<(), Option<Code>>),
}

/// The consequences of an answer.
pub enum Follows {
    /// The replica is to take this in.
    Event(Event),
    /// The network is to do this.
    Job(Job),
    /// The workspace is this full.
    Room(WorkspaceIs),
    /// Nothing.
    Nothing,
}

/// The token, and what was asked for beside the socket.
#[derive(Default)]
pub struct Courier {
    token: Option<TokenIs>,
    /// When the live socket's token is to be renewed, by the monotonic clock.
    renew_at_ms: Option<u64>,
    is_connected: bool,
    /// The workspace was full at the last look.
    is_full: bool,
}

impl Courier {
    /// The job that an output comes to.
    pub fn job(&mut self, clock: &dyn Clock, output: Output) -> Job {
        let token = || self.token.as_ref().map(|token| token.token.clone()).unwrap_or_default();
        match output {
            Output::Connect => {
                let fresh_at_ms = clock.now_ms() + TOKEN_MARGIN_MS;
                Job::Connect(self.token.clone().filter(|token| token.expires_at_ms > fresh_at_ms))
            }
            Output::Disconnect => {
                self.is_connected = false;
                Job::Disconnect
            }
            Output::Hello(mut hello) => {
                hello.token = Token(token());
                Job::Send(ClientMessage::Hello(*hello).encode())
            }
            // What is shown is said again; on a slow line it must not cost the socket.
            Output::Send(message @ ClientMessage::Ephemeral { .. }) => Job::Show(message.encode()),
            Output::Send(message) => Job::Send(message.encode()),
            Output::ProposeLog(propose) => Job::Ask(Ask::ProposeLog(token(), propose)),
            Output::Republish(republish) => Job::Ask(Ask::Republish(republish)),
            Output::Rejoin(invite) => Job::Ask(Ask::Rejoin(invite)),
            Output::Post(record) => Job::Ask(Ask::Post(record)),
        }
    }

    /// The consequences of an answer.
    pub fn answered(&mut self, clock: &dyn Clock, answer: Answer) -> Follows {
        let code = |code: Option<Code>| code.unwrap_or(Code::RetryLater);
        match answer {
            Answer::Connected(Ok(token)) => {
                self.token = Some(token);
                self.is_connected = true;
                self.renew_later(clock);
                Follows::Event(Event::Opened)
            }
            Answer::Connected(Err((code, retry_after_ms))) => Follows::Event(self.closed(code, retry_after_ms)),
            Answer::Renewed(Ok(token)) => {
                let renew = ClientMessage::Renew { token: Token(token.token.clone()) };
                self.token = Some(token);
                if !self.is_connected {
                    return Follows::Nothing;
                }
                self.renew_later(clock);
                Follows::Job(Job::Send(renew.encode()))
            }
            Answer::Renewed(Err(_)) => {
                self.renew_later(clock);
                Follows::Nothing
            }
            Answer::Room(Ok(workspace)) => Follows::Room(workspace),
            Answer::Room(Err(_)) => {
                self.is_full = false; // asked again at the next refusal
                Follows::Nothing
            }
            Answer::LogGranted(granted) => Follows::Event(Event::LogGranted(granted.map_err(code))),
            Answer::Republished(republished) => Follows::Event(Event::Republished(republished)),
            Answer::Posted(posted) => Follows::Event(Event::Posted(posted.map_err(code))),
        }
    }

    /// The socket closed, for this reason if the server gave one.
    pub fn closed(&mut self, code: Option<Code>, retry_after_ms: u64) -> Event {
        self.is_connected = false;
        if matches!(code, Some(Code::TokenExpired | Code::TokenInvalid)) {
            self.token = None;
        }
        Event::Closed { code, retry_after_ms }
    }

    /// The socket brought this message, which the replica takes in. Where the server does not take the token, whatever our
    /// clock says of it, the next socket gets another.
    pub fn heard(&mut self, message: &[u8]) {
        const ERROR: u8 = 0x49;
        let is_refusal = message.first() == Some(&ERROR)
            && matches!(
                ServerMessage::decode(message),
                Ok(ServerMessage::Error { code: Code::TokenInvalid | Code::TokenExpired, .. })
            );
        if is_refusal {
            self.token = None;
        }
    }

    /// Half of what is left of a token's life, or all but the margin; a wrong clock of ours costs a new socket at the most.
    fn renew_later(&mut self, clock: &dyn Clock) {
        let expires_at_ms = self.token.as_ref().map_or(0, |token| token.expires_at_ms);
        let left_ms = expires_at_ms.saturating_sub(clock.now_ms());
        let pause_ms = (left_ms / 2).max(left_ms.saturating_sub(TOKEN_MARGIN_MS)).max(RENEW_MIN_MS);
        self.renew_at_ms = Some(clock.monotonic_ms() + pause_ms);
    }

    /// The time at which [`Courier::tick`] is due, by the monotonic clock, in milliseconds.
    pub const fn wake_at_ms(&self) -> Option<u64> {
        self.renew_at_ms
    }

    /// Asks for a new token when the time has come.
    pub fn tick(&mut self, now_ms: u64) -> Option<Job> {
        let is_due = self.renew_at_ms.take_if(|at_ms| *at_ms <= now_ms).is_some() && self.is_connected;
        is_due.then_some(Job::Ask(Ask::Renew))
    }

    /// Asks how full the workspace is, once each time the server begins to refuse more; `refusal` is the code with which it
    /// takes nothing now.
    pub fn room(&mut self, refusal: Option<Code>) -> Option<Job> {
        let is_full = refusal == Some(Code::QuotaExceeded);
        let was_full = std::mem::replace(&mut self.is_full, is_full);
        let token = self.token.as_ref().filter(|_| is_full && !was_full)?;
        Some(Job::Ask(Ask::Room(token.token.clone())))
    }
}
