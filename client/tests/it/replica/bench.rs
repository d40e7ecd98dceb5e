//! A replica, and a server small enough to read.

use std::sync::Arc;

use roost::DocumentId;
use roost::clock::Clock;
use roost::loro::{ExportMode, LoroDoc};
use roost::replica::{OpenError, Output, Replica};
use roost::schema::Schema;
use roost::store::{Durability, Identity, Store};
use roost::sync::{Event, Notice};
use roost_shared::wire::message::{ClientMessage, Item, ServerMessage};
use roost_shared::{Code, LogId};
use rusqlite::Connection;

use crate::machine::world::{Team, TestClock, TestLog, entries};

type Meanwhile = Box<dyn FnOnce(&mut TestLog)>;

/// A device with its own clock.
pub struct Bench {
    pub replica: Replica,
    pub clock: Arc<TestClock>,
    /// What others append just before this device's next conditional Append arrives.
    pub meanwhile: Option<Meanwhile>,
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
        Self { replica: open(store, &clock, Schema::default()).unwrap(), clock, meanwhile: None }
    }

    /// The process dies and starts again.
    pub fn restart(self) -> Self {
        self.restart_with(Schema::default())
    }

    pub fn restart_with(self, schema: Schema) -> Self {
        self.restart_after(schema, |_| ())
    }

    /// The same, with what happened to the file meanwhile.
    pub fn restart_after(self, schema: Schema, happened: impl FnOnce(&mut Store)) -> Self {
        let mut store = self.replica.into_store();
        happened(&mut store);
        let replica = open(reopened(store), &self.clock, schema).unwrap();
        Self { replica, clock: self.clock, meanwhile: None }
    }

    /// A device with a copy of another's file, opened by another release of the app.
    pub fn of_image(image: &[u8], of: &Self, schema: Schema) -> Self {
        let clock = Arc::clone(&of.clock);
        Self { replica: open(of_image(image), &clock, schema).unwrap(), clock, meanwhile: None }
    }

    /// It does not open with this schema; it still does with the one of before.
    pub fn restart_failing(self, schema: Schema) -> (Self, OpenError) {
        let image = self.replica.into_store().image().unwrap();
        let failed = open(of_image(&image), &self.clock, schema).err().expect("it does not open");
        let replica = open(of_image(&image), &self.clock, Schema::default()).unwrap();
        (Self { replica, clock: self.clock, meanwhile: None }, failed)
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
            self.replica.work().unwrap();
            let said = self.replica.take_outputs();
            assert!(said.is_empty(), "without a socket nothing is said: {said:?}");
        }
    }

    /// Reads the log into the inbox, and merges nothing.
    pub fn take(&mut self, log: &mut TestLog) {
        self.replica.handle(Event::Pause).unwrap();
        self.replica.handle(Event::Start).unwrap();
        self.answer_all(log);
    }

    /// A new socket; then everything goes to and fro until both are at rest.
    pub fn sync(&mut self, log: &mut TestLog) -> Vec<Notice> {
        self.replica.handle(Event::Pause).unwrap();
        self.replica.handle(Event::Start).unwrap();
        loop {
            self.answer_all(log);
            if self.replica.has_work() {
                self.replica.work().unwrap();
            } else if let Some(at_ms) = self.replica.wake_at_ms() {
                self.clock.pass(at_ms.saturating_sub(self.clock.monotonic_ms()));
                self.replica.handle(Event::Tick).unwrap();
            } else {
                return self.replica.take_notices();
            }
        }
    }

    fn hear(&mut self, message: &ServerMessage) {
        self.replica.message(&message.encode()).unwrap();
    }

    fn answer_all(&mut self, log: &mut TestLog) {
        let mut outputs = self.replica.take_outputs();
        while let Some(output) = outputs.pop_front() {
            self.answer(log, output);
            outputs.extend(self.replica.take_outputs());
        }
    }

    fn answer(&mut self, log: &mut TestLog, output: Output) {
        match output {
            Output::Connect => {
                self.replica.handle(Event::Opened).unwrap();
                self.hear(&ServerMessage::Challenge { nonce: [5; 32] });
            }
            Output::Hello(hello) => {
                self.hear(&ServerMessage::Welcome(log.welcome(hello.cursor)));
                // Four of the largest fit a message.
                for items in log.page(hello.cursor).chunks(4) {
                    self.hear(&entries(items.to_vec()));
                }
            }
            Output::Send(ClientMessage::Append(append)) => {
                if let Some(meanwhile) = append.if_tail.and_then(|_| self.meanwhile.take()) {
                    meanwhile(log);
                }
                if append.if_tail.is_some_and(|tail| tail != log.tail()) {
                    let (id, code) = (append.id, Code::TailMoved);
                    self.hear(&ServerMessage::Refused { id, code, retry_after_ms: 0 });
                    let cursor = self.replica.machine().log().cursor().0;
                    self.hear(&entries(log.page(cursor)));
                    return;
                }
                if let Some(seqs) = append.envelopes.iter().map(|bytes| log.find(bytes)).collect::<Option<Vec<u64>>>() {
                    self.hear(&ServerMessage::Appended { id: append.id, seqs }); // it has them
                    return;
                }
                let seqs: Vec<u64> = append.envelopes.into_iter().map(|bytes| log.push_bytes(bytes)).collect();
                let leaves = seqs.iter().map(|seq| log.leaf(*seq));
                let items: Vec<Item> = leaves.chain([log.tail_item()]).collect();
                self.hear(&entries(items));
                self.hear(&ServerMessage::Appended { id: append.id, seqs });
            }
            Output::Disconnect => {}
            other => panic!("not expected here: {other:?}"),
        }
    }
}

pub fn open(store: Store, clock: &Arc<TestClock>, schema: Schema) -> Result<Replica, OpenError> {
    let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(clock);
    schema.check().unwrap();
    Ok(Replica::open(store, clock, schema)?.unwrap())
}

fn reopened(store: Store) -> Store {
    Store::over(store.into_connection(), Durability::Process).unwrap()
}

fn of_image(image: &[u8]) -> Store {
    let mut file = Connection::open_in_memory().unwrap();
    file.deserialize_read_exact("main", image, image.len(), false).unwrap();
    Store::over(file, Durability::Process).unwrap()
}

/// A Loro update that writes `text`, as another app instance would make it.
pub fn update(peer: u64, text: &str) -> Vec<u8> {
    let loro = LoroDoc::new();
    loro.set_peer_id(peer).unwrap();
    loro.get_text("text").insert(0, text).unwrap();
    loro.commit();
    loro.export(ExportMode::all_updates()).unwrap()
}
