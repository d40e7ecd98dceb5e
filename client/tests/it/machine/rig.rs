//! A machine on a bench.

use std::collections::BTreeMap;

use roost::sync::{Effect, Event, Loaded, Log, Machine, OutboxRow, SealAt, Step, Write};
use roost_shared::hash::Hash;
use roost_shared::wire::message::{Append, ClientMessage, Item, ServerMessage, Welcome};
use roost_shared::{Code, Envelope, LogId};

use super::world::{Team, TestLog, entries, head};

/// What a store holds before anything was read.
pub fn loaded(team: &Team, n: usize, log: LogId) -> Loaded {
    Loaded {
        workspace: team.workspace(),
        device: team.id(n),
        is_owner: n == 0,
        log: Log::new(team.workspace(), log),
        held: team.chain.clone(),
        pending: None,
        outbox: Vec::new(),
        resync: None,
        seen: BTreeMap::new(),
        own_seq: 0,
        diverged: false,
        edited: false,
        seed: 7,
    }
}

/// A machine, its time, and the roots its writes made durable.
pub struct Rig {
    pub machine: Machine,
    pub now_ms: u64,
    roots: BTreeMap<u64, Hash>,
}

impl Rig {
    pub fn new(loaded: Loaded) -> Self {
        Self { machine: Machine::new(loaded), now_ms: 1_000, roots: BTreeMap::new() }
    }

    /// Device `n`, on a socket, with all of `log` read.
    pub fn at(team: &Team, n: usize, log: &TestLog) -> Self {
        let mut rig = Self::new(loaded(team, n, log.id));
        rig.start(log);
        rig.read(log);
        rig
    }

    pub fn handle(&mut self, event: Event) -> Step {
        let step = self.machine.handle(self.now_ms, event);
        for write in &step.writes {
            match write {
                Write::Leaf { seq, root, .. } => {
                    self.roots.insert(seq.get(), *root);
                }
                Write::NewLog(_) => self.roots.clear(),
                _ => {}
            }
        }
        step
    }

    pub fn hear(&mut self, message: ServerMessage) -> Step {
        self.handle(Event::Message { message, past_roots: self.roots.clone() })
    }

    pub fn items(&mut self, items: Vec<Item>) -> Step {
        self.hear(entries(items))
    }

    /// All that was not read yet, and the tail.
    pub fn read(&mut self, log: &TestLog) -> Step {
        self.items(log.page(self.cursor()))
    }

    pub fn cursor(&self) -> u64 {
        self.machine.log().cursor().0
    }

    pub fn wake_ms(&self) -> u64 {
        self.machine.wake_at_ms().unwrap()
    }

    /// What the server's Welcome led to.
    pub fn start(&mut self, log: &TestLog) -> Step {
        assert_eq!(effects(&self.handle(Event::Start)), ["connect"]);
        self.greet(log.welcome(self.cursor()))
    }

    /// The same after the backoff.
    pub fn reconnect(&mut self, log: &TestLog) -> Step {
        self.now_ms = self.wake_ms();
        assert_eq!(effects(&self.handle(Event::Tick)), ["connect"]);
        self.greet(log.welcome(self.cursor()))
    }

    pub fn greet(&mut self, welcome: Welcome) -> Step {
        self.handle(Event::Opened);
        assert_eq!(effects(&self.hear(ServerMessage::Challenge { nonce: [3; 32] })), ["hello"]);
        self.hear(ServerMessage::Welcome(welcome))
    }

    pub fn closed(&mut self, code: Option<Code>, retry_after_ms: u64) -> Step {
        self.handle(Event::Closed { code, retry_after_ms })
    }

    pub fn refused(&mut self, id: u64, code: Code, retry_after_ms: u64) -> Step {
        self.hear(ServerMessage::Refused { id, code, retry_after_ms })
    }

    /// One entry, sealed as it was asked for.
    pub fn seal(&mut self, team: &Team, n: usize, log: &TestLog, at: SealAt) -> (Envelope, Step) {
        let mut header = team.header(log, n, at.author_seq);
        (header.log, header.epoch) = (at.log, at.epoch);
        (header.base_size, header.base_root) = (at.base_size, at.base_root);
        let envelope = team.seal(n, header, &head().plaintext(b"an edit"));
        let step = self.handle(Event::Sealed { rows: vec![row(&envelope)], left: false });
        (envelope, step)
    }

    /// An edit of device `n`, sealed and sent.
    pub fn edit(&mut self, team: &Team, n: usize, log: &TestLog) -> (Envelope, Append) {
        let step = self.handle(Event::Edited);
        let (envelope, step) = self.seal(team, n, log, sealing(&step));
        (envelope, appending(&step))
    }
}

pub fn row(envelope: &Envelope) -> OutboxRow {
    let header = envelope.header();
    let (author_seq, document) = (header.author_seq, header.document);
    OutboxRow { author_seq, document, hash: envelope.hash(), if_tail: None, bytes: envelope.as_bytes().to_vec() }
}

/// The names of a step's effects.
pub fn effects(step: &Step) -> Vec<&'static str> {
    let name = |effect: &Effect| match effect {
        Effect::Connect => "connect",
        Effect::Disconnect => "disconnect",
        Effect::Hello { .. } => "hello",
        Effect::Send(_) => "send",
        Effect::Seen { .. } => "seen",
        Effect::Seal(_) => "seal",
        Effect::Merge => "merge",
        Effect::ProposeLog { .. } => "propose log",
        Effect::Republish { .. } => "republish",
        Effect::Post(_) => "post",
        Effect::Rejoin => "rejoin",
        Effect::AdvanceEpoch => "advance epoch",
    };
    step.effects.iter().map(name).collect()
}

/// The Append of a step that sends one.
pub fn appending(step: &Step) -> Append {
    let append = step.effects.iter().find_map(|effect| match effect {
        Effect::Send(ClientMessage::Append(append)) => Some(append.clone()),
        _ => None,
    });
    append.expect("an Append is sent")
}

/// The seal of a step that asks for one.
pub fn sealing(step: &Step) -> SealAt {
    let at = step.effects.iter().find_map(|effect| match effect {
        Effect::Seal(at) => Some(*at),
        _ => None,
    });
    at.expect("a seal is asked for")
}

pub fn is_idle(step: &Step) -> bool {
    step.writes.is_empty() && step.effects.is_empty() && step.notices.is_empty()
}
