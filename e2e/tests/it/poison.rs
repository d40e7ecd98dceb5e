//! Damaged blobs, sealed by a device of the workspace: they cost other devices the entry, never a document of another
//! name, and never the start of the app.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use roost::DocumentId;
use roost::keys::EpochKey;
use roost::keys::ring::KeyRing;
use roost::keys::seal;
use roost::loro::{ExportMode, LoroDoc};
use roost_e2e::live::damage::{Random, document, edit, mutated, repair};
use roost_e2e::live::process::{Device, Server, roost};
use roost_e2e::live::speaker::{Speaker, next};
use roost_shared::plaintext::{Compression, Head};
use roost_shared::wire::message::{Append, ClientMessage, ServerMessage};
use roost_shared::{Header, Kind};

use crate::kills::two_devices;

/// How many, where `ROOST_POISON` says nothing else.
const POISON: u64 = 10_000;
/// Damaged blobs a document.
const EACH: u64 = 100;
/// Documents that nobody poisons.
const GOOD: usize = 10;
/// Memory a command may have: Loro asks for whatever a damaged length says, and would get much of it.
const MEMORY_KIB: u64 = 1024 * 1024;

/// A device of the workspace that seals what it likes.
struct Poisoner {
    speaker: Speaker,
    key: EpochKey,
    author_seq: u64,
}

impl Poisoner {
    fn of(device: &Device) -> Self {
        let speaker = Speaker::of(device.dir()).unwrap();
        let ring = KeyRing::open(speaker.held.records(), &[&speaker.keys]);
        let key = ring.get(speaker.held.roster().epoch()).unwrap().clone();
        let author = speaker.log.authors.get(&speaker.keys.device_id());
        Self { key, author_seq: author.map_or(0, |author| author.last), speaker }
    }

    fn document(&self, name: &str) -> DocumentId {
        KeyRing::open(self.speaker.held.records(), &[&self.speaker.keys]).first().unwrap().named_document(name)
    }

    fn envelope(&mut self, document: DocumentId, kind: Kind, blob: &[u8]) -> Vec<u8> {
        self.author_seq += 1;
        let header = Header {
            kind,
            epoch: self.speaker.held.roster().epoch(),
            workspace: self.speaker.workspace,
            log: self.speaker.log.id,
            document,
            author: self.speaker.keys.device_id(),
            author_seq: self.author_seq,
            base_size: self.speaker.log.cursor(),
            base_root: self.speaker.log.frontier.root(),
            nonce: [9; 24],
        };
        let head = Head {
            compression: Compression::None,
            schema: 0,
            reader_min: 0,
            loro: (1, 17),
            part: 0,
            parts: 1,
            blob: [0; 16],
        };
        seal::envelope(&self.key, &self.speaker.keys, header, &head.plaintext(blob)).into_bytes()
    }

    /// A document's worth: what it is based on, the damaged, and an update that is not.
    fn poison(&mut self, name: &str, seed: u64, count: u64) -> Vec<Vec<u8>> {
        let id = self.document(name);
        let mut random = Random(seed);
        let based = document(&mut random).unwrap();
        let base = based.export(ExportMode::all_updates()).unwrap();
        let mut envelopes = vec![self.envelope(id, Kind::Update, &base)];
        for _ in 0..count {
            let loro = LoroDoc::new();
            if random.below(3) > 0 {
                loro.import(&base).unwrap();
            }
            let before = loro.oplog_vv();
            edit(&loro, &mut random).unwrap();
            let (kind, mode) = match random.below(2) {
                0 => (Kind::Update, ExportMode::updates(&before)),
                _ => (Kind::Snapshot, ExportMode::Snapshot),
            };
            let blob = mutated(loro.export(mode).unwrap(), kind == Kind::Snapshot, &mut random).unwrap();
            envelopes.push(self.envelope(id, kind, &blob));
        }
        envelopes.push(self.good(name, "not damaged"));
        envelopes
    }

    /// An update as it should be.
    fn good(&mut self, name: &str, text: &str) -> Vec<u8> {
        let loro = LoroDoc::new();
        loro.get_text("text").insert(0, text).unwrap();
        loro.commit();
        self.envelope(self.document(name), Kind::Update, &loro.export(ExportMode::all_updates()).unwrap())
    }

    async fn append(&self, server: &Server, envelopes: Vec<Vec<u8>>) {
        let token = self.speaker.token(&server.address()).await.unwrap();
        let mut socket = self.speaker.connect(&server.address(), &token).await.unwrap();
        for (id, envelopes) in (0..).zip(envelopes.chunks(EACH as usize)) {
            let append = Append { id, if_tail: None, envelopes: envelopes.to_vec() };
            assert!(socket.send(ClientMessage::Append(append).encode()));
            loop {
                match next(&mut *socket).await.unwrap() {
                    ServerMessage::Appended { id: answered, .. } if answered == id => break,
                    ServerMessage::Refused { code, .. } => panic!("refused: {code}"),
                    _ => {}
                }
            }
        }
    }
}

/// Runs a command within a limit of memory, of one gigabyte.
pub fn limited(device: &Device, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec \"$@\""), "sh"]);
    command.arg(roost()).arg("--data-dir").arg(device.dir()).args(arguments);
    command.output().unwrap()
}

/// Starts the app until it is at rest; how often it died.
fn at_rest(device: &Device) -> u32 {
    let mut deaths = 0;
    loop {
        let output = limited(device, &["sync", "--wait", "120s"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            None => deaths += 1,
            // 4: it wants attention, for there are entries that were put aside.
            Some(0 | 4) => return deaths,
            Some(code) => panic!("sync ended with {code}: {said}"),
        }
        assert!(deaths < 1_000, "it dies at every start: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poisoned_documents_harm_no_other_and_keep_no_app_from_starting() {
    let count = std::env::var("ROOST_POISON").map_or(POISON, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_quiet(&dir.path().join("server"), &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    let good: Vec<String> = (0..GOOD).map(|number| format!("good {number}")).collect();
    for name in &good {
        one.ok(&["insert", name, "0", "before"]);
    }
    one.ok(&["sync"]);

    let mut poisoner = Poisoner::of(&one);
    let names: Vec<String> = (0..count.div_ceil(EACH)).map(|number| format!("poisoned {number}")).collect();
    for (seed, name) in (0..).zip(&names) {
        let envelopes = poisoner.poison(name, seed, EACH);
        poisoner.append(&server, envelopes).await;
    }
    let after: Vec<Vec<u8>> = good.iter().map(|name| poisoner.good(name, " and after")).collect();
    poisoner.append(&server, after).await;

    let deaths = at_rest(&other);
    for name in &good {
        let text = other.ok(&["cat", name]);
        assert!(text.contains("before") && text.contains(" and after"), "{name}: {text}");
    }
    // The poisoned ones go on as well: what was not damaged is there, and edits are taken.
    let mut ends = BTreeMap::<&str, u32>::new();
    for name in &names {
        let text = limited(&other, &["cat", name]);
        let edit = limited(&other, &["insert", name, "0", "mine "]);
        let end = match (text.status.code(), edit.status.code()) {
            (None, _) | (_, None) => "died",
            (Some(0), Some(0)) if String::from_utf8_lossy(&text.stdout).contains("not damaged") => "go on",
            (Some(0), Some(0)) => "go on without the last update",
            (Some(0), _) => "can be read",
            _ => "are lost",
        };
        *ends.entry(end).or_default() += 1;
    }
    let later_deaths = at_rest(&other);
    let status = String::from_utf8(other.run(&["status", "--json"]).stdout).unwrap();
    let status: serde_json::Value = serde_json::from_str(status.lines().next().unwrap()).unwrap();
    let put_aside = status["quarantined"].as_u64().unwrap();
    println!(
        "figure: {count} damaged blobs with right checksums in {} documents: {put_aside} put aside; the app died of {deaths} imports, and of {later_deaths} later, and went on at each next start; {GOOD} of {GOOD} other documents whole; of the damaged: {ends:?}",
        names.len(),
    );
    assert_eq!(ends.get("died"), None);
    assert!(put_aside > count / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_aside_is_listed_tried_again_and_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_quiet(&dir.path().join("server"), &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    one.ok(&["insert", "notes", "0", "good"]);
    one.ok(&["sync"]);
    let mut poisoner = Poisoner::of(&one);
    let notes = poisoner.document("notes");
    let bad = vec![poisoner.envelope(notes, Kind::Update, b"no update of any kind")];
    poisoner.append(&server, bad).await;

    let (code, error) = other.fails(&["sync"]);
    assert!(code == 4 && error.contains("1 entry was put aside") && error.contains("roost quarantine"), "{error}");
    assert_eq!(other.ok(&["cat", "notes"]), "good");
    let listed = other.ok(&["quarantine"]);
    let seq = listed.split(' ').next().unwrap();
    assert!(listed.lines().count() == 1 && listed.contains("  notes  by one: "), "{listed}");
    for retry in [&["quarantine", "retry"][..], &["quarantine", "retry", seq]] {
        let (code, error) = other.fails(retry);
        assert!(code == 4 && error.contains("accept"), "{code} {error}");
    }
    for wrong in [&["quarantine", "retry", "1"][..], &["quarantine", "accept", "1"]] {
        let (code, error) = other.fails(wrong);
        assert!(code == 1 && error.contains("no entry 1 is put aside"), "{code} {error}");
    }
    other.ok(&["quarantine", "accept", seq]);
    assert_eq!(other.ok(&["quarantine"]), "");
    other.ok(&["sync"]);
    other.ok(&["status"]);
    other.ok(&["doctor"]);
}

#[test]
fn what_is_repaired_is_what_loro_checks() {
    for seed in 0..50 {
        let loro = document(&mut Random(seed)).unwrap();
        for (mode, is_snapshot) in [(ExportMode::all_updates(), false), (ExportMode::Snapshot, true)] {
            let blob = loro.export(mode).unwrap();
            let mut repaired = blob.clone();
            repair(&mut repaired, is_snapshot);
            assert!(repaired == blob, "an intact blob is left as it is");
            repaired[16..20].fill(0);
            repair(&mut repaired, is_snapshot);
            assert!(repaired == blob, "and its checksum is found");
        }
    }
}
