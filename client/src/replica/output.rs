//! What the machine's effects are to the outside, with the keys and the signatures that the machine does not have.

use roost_shared::LogId;
use roost_shared::proof::{self, Challenge};
use roost_shared::roster::Record;
use roost_shared::wire::PROTOCOL;
use roost_shared::wire::http::{Base64, CreateWorkspace, ProposeLog};
use roost_shared::wire::message::{ClientMessage, Hello, Seen, Token};

use super::{Replica, Work};
use crate::keys::link::Invite;
use crate::sync::Effect;

/// What the outside is to do, in this order.
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
    /// Bring the server what it lost; then [`crate::sync::Event::Carried`].
    Carry {
        /// The records it may lack, in order.
        records: Vec<Record>,
        /// The whole chain, and the log to create the workspace with if it is gone altogether.
        create: CreateWorkspace,
    },
    /// Take the place of this invite in the roster once more; then [`crate::sync::Event::Carried`].
    Rejoin(Invite),
    /// Post a roster record; then [`crate::sync::Event::Posted`].
    Post(Record),
}

impl Replica {
    /// What creates the workspace: under our own log id if nothing was ever read of it, else under a new one.
    fn create_again(&self) -> CreateWorkspace {
        let log = self.machine.log();
        let is_first = log.cursor().0 == 0 && log.id != LogId::ZERO;
        let chain = self.held().records().iter().map(|record| Base64(record.as_bytes().to_vec())).collect();
        CreateWorkspace { log: if is_first { log.id } else { LogId(self.clock.random()) }, chain }
    }

    pub(super) fn output(&mut self, effect: Effect) -> Option<Output> {
        Some(match effect {
            Effect::Connect => Output::Connect,
            Effect::Disconnect => Output::Disconnect,
            Effect::Send(message) => Output::Send(message),
            Effect::Post(record) => Output::Post(record),
            Effect::Seen { log, epoch, size, root } => {
                let device = self.device.device_id();
                let text = proof::seen(self.identity.workspace, device, log, epoch, size, root);
                let signature = self.device.sign(&text);
                let seen = Seen { device, log, epoch, size: size.0, root, at_ms: 0, signature };
                Output::Send(ClientMessage::Seen(seen))
            }
            Effect::Rejoin => Output::Rejoin(self.identity.invite.clone()?),
            Effect::Hello { nonce, log, cursor, root } => {
                let challenge = Challenge {
                    nonce: &nonce,
                    audience: &self.identity.server,
                    workspace: self.identity.workspace,
                    device: self.device.device_id(),
                };
                Output::Hello(Box::new(Hello {
                    protocol: PROTOCOL,
                    token: Token(String::new()),
                    proof: self.device.sign(&challenge.hello()),
                    workspace: self.identity.workspace,
                    device: self.device.device_id(),
                    log,
                    cursor: cursor.0,
                    root,
                    documents: None,
                }))
            }
            Effect::ProposeLog { old, cursor, root } => {
                Output::ProposeLog(ProposeLog { old, proposed: LogId(self.clock.random()), cursor: cursor.0, root })
            }
            Effect::Carry { records } => Output::Carry { records, create: self.create_again() },
            Effect::Seal(at) => {
                self.work.push_back(Work::Seal(at));
                return None;
            }
            Effect::Merge => {
                self.work.push_back(Work::Merge);
                return None;
            }
            Effect::AdvanceEpoch => {
                self.work.push_back(Work::AdvanceEpoch);
                return None;
            }
        })
    }
}
