//! A simulated device: the real replica over real SQLite in memory, and what its person typed.

use std::sync::Arc;

use roost::json::json;
use roost::keys::KeyPair;
use roost::loro::{LoroDoc, LoroResult};
use roost::replica::{OpenError, Replica};
use roost::schema::Fault;
use roost::store::{Durability, Store};
use roost::{DocumentId, Presence};
use roost_shared::hash::Hash;
use rusqlite::Connection;

use super::app::App;
use super::clock::SimClock;
use super::plant::Plant;
use super::random::Random;

/// The documents people edit.
pub const DOCUMENTS: [&str; 3] = ["notes", "todos", "diary"];
/// The root map that holds one key an edit: whatever else happens, none of them may go missing.
const MARKS: &str = "marks";

/// An edit that was committed.
#[derive(Debug, Clone)]
pub struct Mark {
    pub document: &'static str,
    pub key: String,
}

/// One device.
pub struct Device {
    pub number: usize,
    pub keys: KeyPair,
    /// The link it came by.
    pub link: Option<usize>,
    pub clock: Arc<SimClock>,
    /// None while its process is dead.
    pub replica: Option<Replica>,
    /// The file of a dead process.
    file: Option<Connection>,
    /// Counts sockets: what belongs to an earlier one is void.
    pub socket: u64,
    /// Whether the network reaches the server.
    pub is_connected: bool,
    pub marks: Vec<Mark>,
    edits: u64,
    /// What its person looks at.
    pub shows: Option<Presence>,
    plant: Option<Plant>,
    /// The app, where the world is about its versions.
    pub app: Option<App>,
    /// A backup of its file, and how many edits its person had made.
    pub kept: Option<(Vec<u8>, usize)>,
    /// With [`Plant::CommitNotDurable`]: the file as it was some commits ago.
    earlier: Option<Vec<u8>>,
}

impl Device {
    pub fn new(
        number: usize,
        link: Option<usize>,
        store: Store,
        clock: Arc<SimClock>,
        plant: Option<Plant>,
        app: Option<App>,
    ) -> Self {
        let Some(replica) = open(store, &clock, app.as_ref()) else { panic!("nothing is there to die of yet") };
        let keys = replica.device().clone();
        Self {
            number,
            keys,
            link,
            clock,
            replica: Some(replica),
            file: None,
            socket: 0,
            is_connected: true,
            marks: Vec::new(),
            edits: 0,
            shows: None,
            plant,
            app,
            kept: None,
            earlier: None,
        }
    }

    pub fn replica(&mut self) -> Option<&mut Replica> {
        self.replica.as_mut()
    }

    /// The process dies between two steps. What was committed stays in the file.
    pub fn crash(&mut self) {
        if let Some(replica) = self.replica.take() {
            self.file = Some(replica.into_store().into_connection());
            self.socket += 1;
            self.shows = None;
        }
    }

    /// The process starts again, and the person's edits must all be there; false if it died again on the way.
    pub fn start(&mut self) -> Result<bool, String> {
        let Some(mut file) = self.file.take() else { return Ok(true) };
        match self.plant {
            Some(Plant::CursorAheadOfBytes) => {
                let _ = file.execute("DELETE FROM inbox", []);
            }
            Some(Plant::CommitNotDurable) => {
                if let Some(earlier) = self.earlier.take() {
                    file = file_of(&earlier);
                }
            }
            _ => {}
        }
        let store = Store::over(file, Durability::Process).map_err(|error| error.to_string())?;
        let image = self.app.as_ref().and_then(|_| store.image().ok());
        self.replica = open(store, &self.clock, self.app.as_ref());
        let Some(replica) = &mut self.replica else {
            // As a process that dies in a transaction leaves it: what was committed before stays.
            self.file = image.map(|image| file_of(&image));
            return Ok(false);
        };
        if let Some(app) = &self.app {
            app.started(replica);
        }
        self.check_marks().map_err(|missing| format!("after a crash {missing}"))?;
        Ok(true)
    }

    /// The next start is that of this release, now and then an older one, and dies in its nth step.
    pub fn update(&mut self, version: u32, dies_in: u32) {
        if let Some(app) = &mut self.app {
            app.version = version;
            app.die_in(dies_in);
        }
    }

    /// Makes a backup of its file.
    pub fn keep(&mut self) {
        let image = self.replica.as_ref().and_then(|replica| replica.store().image().ok());
        self.kept = image.map(|image| (image, self.marks.len()));
    }

    /// The backup takes the place of a dead process's file; what was typed since is lost, as far as it left no trace.
    pub fn go_back(&mut self) {
        if let Some((image, marks)) = self.kept.take() {
            self.file = Some(file_of(&image));
            self.marks.truncate(marks);
            if let Some(app) = &mut self.app {
                app.forget();
            }
        }
    }

    /// Another copy of its file.
    pub fn copy(&self) -> Option<Store> {
        let image = self.replica.as_ref()?.store().image().ok()?;
        Store::over(file_of(&image), Durability::Process).ok()
    }

    /// Types something into one of the documents.
    pub fn edit(&mut self, random: &mut Random) -> Result<(), String> {
        if self.app.is_some() {
            return self.use_app(random);
        }
        let document = DOCUMENTS[random.index(DOCUMENTS.len())];
        let key = format!("{}-{}", self.number, self.edits);
        let Some(replica) = self.replica.as_mut() else { return Ok(()) };
        if self.plant == Some(Plant::CommitNotDurable) && self.edits.is_multiple_of(4) {
            self.earlier = replica.store().image().ok();
        }
        let Ok(id) = replica.named(document) else { return Ok(()) }; // read only, or no key yet
        if replica.scope() != Some(roost::Scope::ReadWrite) {
            return Ok(());
        }
        self.edits += 1;
        let (place, what) = (random.next(), random.below(4));
        replica.edit(id, |loro| type_something(loro, &key, place, what)).map_err(|error| error.to_string())?;
        self.marks.push(Mark { document, key });
        Ok(())
    }

    /// Its person looks at something else, or away.
    pub fn look(&mut self, random: &mut Random) {
        let Some(replica) = self.replica.as_mut().filter(|_| random.one_in(3)) else { return };
        let state = (!random.one_in(4)).then(|| json!({ "line": self.edits, "of": self.number }));
        self.shows = state.map(|state| Presence { document: None, state });
        if let Err(error) = replica.show(self.shows.clone()) {
            panic!("{error}");
        }
    }

    fn use_app(&mut self, random: &mut Random) -> Result<(), String> {
        let key = format!("{}-{}", self.number, self.edits);
        let (Some(replica), Some(app)) = (self.replica.as_mut(), self.app.as_mut()) else { return Ok(()) };
        if replica.scope() != Some(roost::Scope::ReadWrite) || replica.named(DOCUMENTS[0]).is_err() {
            return Ok(());
        }
        self.edits += 1;
        if let Some(document) = app.edit(replica, random, &key)? {
            self.marks.push(Mark { document, key });
        }
        Ok(())
    }

    /// What became of the edits, under the newest release.
    pub fn check_app(&mut self, marks: &[Mark], may_double: bool) -> Result<(), String> {
        let (Some(replica), Some(app)) = (self.replica.as_mut(), self.app.as_mut()) else { return Ok(()) };
        let notes = marks.iter().filter(|mark| mark.document == DOCUMENTS[0]);
        let lines: Vec<String> = notes.map(|mark| mark.key.clone()).collect();
        app.check_gate(replica)?;
        app.check(replica, &lines, may_double)
    }

    /// Everything this device's person typed is in its documents.
    pub fn check_marks(&mut self) -> Result<(), String> {
        let marks = self.marks.clone();
        self.has_marks(&marks).map_err(|missing| format!("device {} lost its own edit {missing}", self.number))
    }

    /// Whether all of these edits are here; the first that is not.
    pub fn has_marks(&mut self, marks: &[Mark]) -> Result<(), String> {
        let Some(replica) = self.replica.as_mut() else { return Ok(()) };
        for document in DOCUMENTS {
            let id = replica.named(document).map_err(|error| error.to_string())?;
            let missing = replica.read(id, |loro| {
                let held = loro.get_map(MARKS);
                let mut wanted = marks.iter().filter(|mark| mark.document == document);
                wanted.find(|mark| held.get(&mark.key).is_none()).map(|mark| mark.key.clone())
            });
            if let Some(missing) = missing.map_err(|error| error.to_string())? {
                return Err(format!("{missing} of {document}"));
            }
        }
        Ok(())
    }

    /// The digest of each document.
    pub fn digests(&mut self) -> Vec<Hash> {
        let Some(replica) = self.replica.as_mut() else { return Vec::new() };
        let ids: Vec<DocumentId> = DOCUMENTS.iter().filter_map(|name| replica.named(name).ok()).collect();
        ids.into_iter().filter_map(|id| replica.digest(id).ok()).map(|(digest, _)| digest).collect()
    }
}

fn file_of(image: &[u8]) -> Connection {
    let opened = Connection::open_in_memory().and_then(|mut file| {
        file.deserialize_read_exact("main", std::io::Cursor::new(image), image.len(), false)?;
        Ok(file)
    });
    match opened {
        Ok(file) => file,
        Err(error) => panic!("SQLite opens a file in memory: {error}"),
    }
}

/// None if the process died in a step of a migration.
fn open(store: Store, clock: &Arc<SimClock>, app: Option<&App>) -> Option<Replica> {
    let clock: Arc<dyn roost::clock::Clock> = Arc::<SimClock>::clone(clock);
    match Replica::open(store, clock, app.map(App::schema).unwrap_or_default()) {
        Ok(Some(replica)) => Some(replica),
        Ok(None) => panic!("the store was never filled"),
        Err(OpenError::Migration(error)) if matches!(error.fault, Fault::Panicked) => None,
        Err(error) => panic!("the store does not open: {error}"),
    }
}

/// Whatever else an edit does, it leaves this.
pub fn type_mark(loro: &LoroDoc, key: &str, place: u64) -> LoroResult<()> {
    loro.get_map(MARKS).insert(key, i64::try_from(place % 1_000).unwrap_or(0))
}

fn type_something(loro: &LoroDoc, key: &str, place: u64, what: u64) -> LoroResult<()> {
    type_mark(loro, key, place)?;
    let text = loro.get_text("text");
    let len = text.len_unicode();
    let at = usize::try_from(place % (len as u64 + 1)).unwrap_or(0);
    match what {
        0 if len > 8 => text.delete(at.min(len - 4), 4),
        1 => loro.get_map("root").ensure_mergeable_map("shared")?.insert("last", key),
        2 => loro.get_list("list").push(key),
        _ => text.insert(at, key),
    }
}
