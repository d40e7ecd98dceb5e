//! One device's conversation: a message or an answer in, messages and questions out. No socket, no clock, no spawn;
//! `crate::socket` carries out what it asks for, and so does the simulator.

mod event;
mod live;

use roost_shared::Code;
use roost_shared::wire::codec::CodecError;
use roost_shared::wire::error::Close;
use roost_shared::wire::message::{ClientMessage, Hello, ServerMessage};

pub use self::event::{Effect, Event};
use self::live::Live;
use crate::log;

/// The conversation's state.
pub struct Session {
    state: State,
}

enum State {
    Greeting,
    Admitting(Box<Hello>),
    Live(Box<Live>),
    Closed,
}

impl Session {
    /// Begins with the challenge.
    pub fn open(nonce: [u8; 32]) -> (Self, Effect) {
        (Self { state: State::Greeting }, Effect::Send(ServerMessage::Challenge { nonce }))
    }

    /// One step.
    pub fn handle(&mut self, event: Event<'_>) -> Vec<Effect> {
        match (&mut self.state, event) {
            (State::Closed, _) => Vec::new(),
            (_, Event::Drain { retry_after_ms }) => {
                self.state = State::Closed;
                vec![Effect::Send(ServerMessage::Drain { retry_after_ms }), Effect::Close(Close::Drain)]
            }
            (_, Event::TokenExpired) => self.fail(Code::TokenExpired, "the token ran out: connect with a new one"),
            (_, Event::Unread(code)) => self.fail(code, code.advice()),
            (State::Greeting, Event::HelloLate) => self.fail(Code::BadMessage, "no Hello within five seconds"),
            (State::Admitting(_), Event::HelloLate) => self.fail(Code::RetryLater, "the server is slow: try again"),
            (_, Event::Message(bytes)) => match ClientMessage::decode(bytes) {
                Ok(message) => self.message(message),
                Err(CodecError::Skipped(_)) => Vec::new(),
                Err(error) => self.fail(log::code_of(error), &error.to_string()),
            },
            (State::Admitting(hello), Event::Admitted(Ok(admission))) => {
                let (live, effects) = Live::start(hello, *admission);
                self.state = State::Live(Box::new(live));
                effects
            }
            (State::Admitting(_), Event::Admitted(Err(code))) => self.fail(code, code.advice()),
            (State::Live(_), Event::Checked(false)) => {
                self.fail(Code::NotAllowed, "this device is no longer in the workspace")
            }
            (State::Live(_), Event::Page(Err(refusal))) => self.fail(refusal.code, "the log cannot be read now"),
            (State::Live(_), Event::Renewed(Err(code))) => self.fail(code, code.advice()),
            (State::Live(_), Event::Saw(Err(code))) if !code.is_retryable() => self.fail(code, code.advice()),
            (State::Live(live), Event::Woken(wake)) if wake.log.is_some_and(|log| log != live.log) => {
                self.fail(Code::LogChanged, "the log has a new id: connect again and resync")
            }
            (State::Live(live), event) => live.handle(event),
            (State::Greeting | State::Admitting(_), _) => Vec::new(),
        }
    }

    fn message(&mut self, message: ClientMessage) -> Vec<Effect> {
        match (&mut self.state, message) {
            (State::Greeting, ClientMessage::Hello(hello)) => {
                let hello = Box::new(hello);
                self.state = State::Admitting(hello.clone());
                vec![Effect::Admit(hello)]
            }
            (State::Live(live), ClientMessage::Append(append)) => live.append(append),
            (State::Live(_), ClientMessage::Renew { token }) => vec![Effect::Renew(token.0)],
            (State::Live(live), ClientMessage::Seen(seen)) if seen.device == live.device => live.see(seen),
            (State::Live(_), ClientMessage::Seen(_)) => self.fail(Code::BadMessage, "a Seen of another device"),
            (State::Live(_), ClientMessage::Ephemeral { presence }) => vec![Effect::Show(presence)],
            (State::Live(_), ClientMessage::Hello(_)) => self.fail(Code::BadMessage, "a second Hello"),
            (State::Greeting | State::Admitting(_), _) => self.fail(Code::BadMessage, "Hello comes first"),
            (State::Closed, _) => Vec::new(),
        }
    }

    fn fail(&mut self, code: Code, message: &str) -> Vec<Effect> {
        self.state = State::Closed;
        let message = message.to_owned();
        vec![Effect::Send(ServerMessage::Error { code, message }), Effect::Close(close_of(code))]
    }
}

fn close_of(code: Code) -> Close {
    match code {
        Code::TokenInvalid | Code::TokenExpired | Code::ProofInvalid => Close::Token,
        Code::NotAllowed | Code::NotFound | Code::WorkspaceGone => Close::NotAllowed,
        Code::LogChanged => Close::LogChanged,
        Code::TooMany => Close::TooMany,
        code if code.is_retryable() => Close::SlowReader,
        _ => Close::Protocol,
    }
}
