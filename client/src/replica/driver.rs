//! The sync driver of a replica: the machine, with the keys and the identity that the machine does not have.

use roost_shared::DocumentId;
use roost_shared::LogId;
use roost_shared::proof::{self, Challenge};
use roost_shared::roster::Scope;
use roost_shared::wire::PROTOCOL;
use roost_shared::wire::http::{Base64, CreateWorkspace, ProposeLog};
use roost_shared::wire::message::{ClientMessage, Hello, Seen, Token};

use super::output::Output;
use crate::clock::Clock;
use crate::keys::KeyPair;
use crate::keys::ring::KeyRing;
use crate::members::propose::Proposer;
use crate::members::republish::Republish;
use crate::members::standing::{Standing, ring};
use crate::store::Identity;
use crate::sync::{Chain, Effect, Loaded, Machine, Notice, SealAt, SyncReport};

/// Work that the replica does by itself, a piece at a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    Seal(SealAt),
    Merge,
    AdvanceEpoch,
    Rewrite(DocumentId),
}

/// An effect of the machine, as an output or as work.
pub(super) enum Asked {
    Output(Output),
    Work(Work),
    /// Nothing: the effect has lost its object.
    Nothing,
}

/// The machine and what it stands on.
pub(super) struct SyncDriver {
    pub(super) identity: Identity,
    pub(super) device: KeyPair,
    pub(super) ring: KeyRing,
    pub(super) machine: Machine,
    /// Since when this device syncs, and what that brought so far; None while all is equal here and there.
    pub(super) round: Option<(u64, SyncReport)>,
    polling_ms: Option<u64>,
    pub(super) is_running: bool,
    /// The machine is ahead of what is durable.
    pub(super) is_broken: bool,
}

impl SyncDriver {
    pub(super) fn new(identity: Identity, loaded: Loaded) -> Self {
        let device = KeyPair::device(&identity.device_seed);
        let ring = ring(&identity, loaded.held.records());
        let machine = Machine::new(loaded);
        let (round, polling_ms) = (None, None);
        Self { identity, device, ring, machine, round, polling_ms, is_running: false, is_broken: false }
    }

    /// The machine as the store has it, after an error.
    pub(super) fn restart(&mut self, loaded: Loaded) {
        self.machine = Machine::new(loaded);
        self.machine.poll_every(self.polling_ms);
    }

    /// Looks at the server every so often, rather than to keep a socket open.
    pub(super) fn poll_every(&mut self, every_ms: Option<u64>) {
        self.polling_ms = every_ms;
        self.machine.poll_every(every_ms);
    }

    /// The newest roster may bring keys.
    pub(super) fn refresh_keys(&mut self) {
        self.ring = ring(&self.identity, self.machine.held().records());
    }

    /// The newest roster, with its records.
    pub(super) const fn held(&self) -> &Chain {
        self.machine.held()
    }

    /// What this device may do.
    pub(super) fn scope(&self) -> Option<Scope> {
        self.held().roster().scope(self.device.device_id())
    }

    /// The standing of this device among the members.
    pub(super) fn standing(&self) -> Standing<'_> {
        Standing {
            workspace: self.identity.workspace,
            device: &self.device,
            ring: &self.ring,
            roster: self.held().roster(),
        }
    }

    /// The proposer that builds owner records for this device.
    pub(super) const fn proposer<'a>(&'a self, clock: &'a dyn Clock, epoch_top: u32) -> Proposer<'a> {
        let Self { identity, device, ring, machine, .. } = self;
        Proposer { clock, identity, device, ring, machine, epoch_top }
    }

    /// A round of sync goes from the first thing that is to be fetched or sent until all is equal here and there. The notice
    /// that one began or ended.
    pub(super) fn track_round(&mut self, now_ms: u64, has_work: bool) -> Option<Notice> {
        let view = self.machine.view();
        let is_same = view.synced && !has_work;
        match self.round {
            _ if !view.online => {
                self.round = None; // that is told as it is
                None
            }
            None if !is_same => {
                self.round = Some((now_ms, SyncReport::default()));
                Some(Notice::SyncStarted)
            }
            Some((since_ms, report)) if is_same => {
                self.round = None;
                Some(Notice::SyncFinished(SyncReport { duration_ms: now_ms - since_ms, ..report }))
            }
            _ => None,
        }
    }

    /// What creates the workspace: under our own log id if nothing was ever read of it, else under a new one.
    fn create_again(&self, clock: &dyn Clock) -> CreateWorkspace {
        let log = self.machine.log();
        let is_first = log.cursor().0 == 0 && log.id != LogId::ZERO;
        let chain = self.held().records().iter().map(|record| Base64(record.as_bytes().to_vec())).collect();
        CreateWorkspace { log: if is_first { log.id } else { LogId(clock.random()) }, chain }
    }

    /// Turns an effect into an output or into work, with the signatures and random numbers it needs.
    pub(super) fn asked(&self, clock: &dyn Clock, effect: Effect) -> Asked {
        Asked::Output(match effect {
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
            Effect::Rejoin => match self.identity.invite.clone() {
                Some(invite) => Output::Rejoin(invite),
                None => return Asked::Nothing,
            },
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
                Output::ProposeLog(ProposeLog { old, proposed: LogId(clock.random()), cursor: cursor.0, root })
            }
            Effect::Republish { records } => Output::Republish(Republish::new(records, self.create_again(clock))),
            Effect::Seal(at) => return Asked::Work(Work::Seal(at)),
            Effect::Merge => return Asked::Work(Work::Merge),
            Effect::AdvanceEpoch => return Asked::Work(Work::AdvanceEpoch),
        })
    }
}
