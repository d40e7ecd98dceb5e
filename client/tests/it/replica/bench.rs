//! A replica, and a server small enough to read.

use std::collections::VecDeque;
use std::sync::Arc;

use roost::DocumentId;
use roost::clock::Clock;
use roost::loro::{ExportMode, LoroDoc};
use roost::replica::{Choices, Output, Replica};
use roost::store::{Durability, Identity, Store};
use roost::sync::{Event, Notice};
use roost_shared::LogId;
use roost_shared::wire::message::{ClientMessage, Item, ServerMessage};
use rusqlite::Connection;

use crate::machine::world::{Team, TestClock, TestLog, entries};

pub const CHOICES: Choices = Choices { schema: 1, reader_min: 0 };

/// A device with its own clock.
pub struct Bench {
    pub replica: Replica,
    pub clock: Arc<TestClock>,
}

impl Bench {
    /// Device `n` of the team, which holds the team's roster of this moment.
    pub fn new(team: &Team, n: usize, log: LogId) -> Self {
        let identity = Identity {
            workspace: team.workspace(),
            server: "http://127.0.0.1:7070".to_owned(),
            name: format!("device {n}"),
            device_seed: team.seeds[n].clone(),
            owner_seed: (n == 0).then(|| team.owner_seed.clone()),
            invite: None,
            joined: true,
        };
        let mut store = Store::over(Connection::open_in_memory().unwrap(), Durability::Process).unwrap();
        store.create(&identity, log, team.chain.records()).unwrap();
        let clock = TestClock::new(100 + n as u64);
        Self { replica: open(store, &clock, CHOICES), clock }
    }

    /// The process dies and starts again.
    pub fn restart(self) -> Self {
        self.restart_with(CHOICES)
    }

    pub fn restart_with(self, choices: Choices) -> Self {
        self.restart_after(choices, |_| ())
    }

    /// The same, with what happened to the file meanwhile.
    pub fn restart_after(self, choices: Choices, happened: impl FnOnce(&mut Store)) -> Self {
        let mut store = self.replica.into_store();
        happened(&mut store);
        let file = store.into_connection();
        let store = Store::over(file, Durability::Process).unwrap();
        Self { replica: open(store, &self.clock, choices), clock: self.clock }
    }

    /// Puts text at the end of the document's text.
    pub fn write(&mut self, document: DocumentId, what: &str) {
        self.replica
            .edit(document, |loro| {
                let text = loro.get_text("text");
                text.insert(text.len_unicode(), what)
            })
            .unwrap();
    }

    pub fn text(&mut self, document: DocumentId) -> String {
        self.replica.read(document, |loro| loro.get_text("text").to_string()).unwrap()
    }

    /// All work that needs no server.
    pub fn settle(&mut self) {
        while self.replica.has_work() {
            assert!(self.replica.work().unwrap().is_empty(), "nothing is said without a socket");
        }
    }

    /// Reads the log into the inbox, and merges nothing.
    pub fn take(&mut self, log: &mut TestLog) {
        self.replica.handle(Event::Pause).unwrap();
        let mut outputs = VecDeque::from(self.replica.handle(Event::Start).unwrap());
        while let Some(output) = outputs.pop_front() {
            outputs.extend(self.answer(log, output));
        }
    }

    /// A new socket; then everything goes to and fro until both are at rest.
    pub fn sync(&mut self, log: &mut TestLog) -> Vec<Notice> {
        self.replica.handle(Event::Pause).unwrap();
        let mut outputs = VecDeque::from(self.replica.handle(Event::Start).unwrap());
        loop {
            if let Some(output) = outputs.pop_front() {
                outputs.extend(self.answer(log, output));
            } else if self.replica.has_work() {
                outputs.extend(self.replica.work().unwrap());
            } else if let Some(at_ms) = self.replica.wake_at_ms() {
                self.clock.pass(at_ms.saturating_sub(self.clock.monotonic_ms()));
                outputs.extend(self.replica.handle(Event::Tick).unwrap());
            } else {
                return self.replica.take_notices();
            }
        }
    }

    fn hear(&mut self, message: &ServerMessage) -> Vec<Output> {
        self.replica.message(&message.encode()).unwrap()
    }

    fn answer(&mut self, log: &mut TestLog, output: Output) -> Vec<Output> {
        match output {
            Output::Connect => {
                let mut outputs = self.replica.handle(Event::Opened).unwrap();
                outputs.extend(self.hear(&ServerMessage::Challenge { nonce: [5; 32] }));
                outputs
            }
            Output::Hello(hello) => {
                let mut outputs = self.hear(&ServerMessage::Welcome(log.welcome(hello.cursor)));
                outputs.extend(self.hear(&entries(log.page(hello.cursor))));
                outputs
            }
            Output::Send(ClientMessage::Append(append)) => {
                assert!(append.if_tail.is_none_or(|tail| tail == log.tail()), "nobody else appends");
                let seqs: Vec<u64> = append.envelopes.into_iter().map(|bytes| log.push_bytes(bytes)).collect();
                let leaves = seqs.iter().map(|seq| log.leaf(*seq));
                let items: Vec<Item> = leaves.chain([log.tail_item()]).collect();
                let mut outputs = self.hear(&entries(items));
                outputs.extend(self.hear(&ServerMessage::Appended { id: append.id, seqs }));
                outputs
            }
            Output::Disconnect => Vec::new(),
            other => panic!("not expected here: {other:?}"),
        }
    }
}

fn open(store: Store, clock: &Arc<TestClock>, choices: Choices) -> Replica {
    let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(clock);
    Replica::open(store, clock, choices).unwrap().unwrap()
}

/// A Loro update that writes `text`, as another app instance would make it.
pub fn update(peer: u64, text: &str) -> Vec<u8> {
    let loro = LoroDoc::new();
    loro.set_peer_id(peer).unwrap();
    loro.get_text("text").insert(0, text).unwrap();
    loro.commit();
    loro.export(ExportMode::all_updates()).unwrap()
}
