//! Equal operations are equal documents, whatever order they came in, after restarts, and from a snapshot: digests, the
//! values of roots with their counters, and the records of a collection under every merge policy.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use roost::json::{Value, json};
use roost::keys::seal;
use roost::loro::{ContainerTrait, ExportMode, LoroDoc, LoroResult, LoroValue};
use roost::replica::{CollectionForm, EditError};
use roost::schema::Schema;
use roost::store::Risk;
use roost::{Fields, Hash, Merge};
use roost_shared::Kind;
use roost_shared::roster::Scope;

use super::bench::Bench;
use super::writing::{EXTREME, Write, roots, value, write};
use crate::machine::world::{NOTES, Team, TestLog, head};

/// Devices that write; one more reads.
const WRITERS: usize = 3;
/// The root map of the records.
const RECORDS: &str = "records";

static TEAM: LazyLock<Team> = LazyLock::new(|| Team::of(&[Scope::ReadWrite; WRITERS]));

/// A write of one field of a record, as a collection keeps a field of each policy.
#[derive(Debug, Clone)]
enum Field {
    LastWriter(LoroValue),
    /// One for each device: first writer, max, min.
    OfDevice(&'static str, LoroValue),
    Counter(f64),
    Text(usize, String),
    Set(u8, bool),
    /// All that were seen are answered by this one: keep all, resolve.
    Answer(&'static str, LoroValue),
    Deleted(bool),
}

/// A record by its key, which names a life of it, and what is written into it.
#[derive(Debug, Clone)]
struct RecordWrite {
    key: &'static str,
    field: Field,
}

#[derive(Debug, Clone)]
enum Wrote {
    Anywhere(Write),
    Record(RecordWrite),
}

#[derive(Debug, Clone)]
enum Step {
    Edit(Vec<Wrote>),
    Sync,
    Restart,
}

impl Wrote {
    fn apply(&self, loro: &LoroDoc, device: &str) -> LoroResult<()> {
        match self {
            Self::Anywhere(write) => write.apply(loro, ""),
            Self::Record(write) => write.apply(loro, device),
        }
    }
}

impl RecordWrite {
    fn apply(&self, loro: &LoroDoc, device: &str) -> LoroResult<()> {
        let record = loro.get_map(RECORDS).ensure_mergeable_map(self.key)?;
        match &self.field {
            Field::LastWriter(value) => record.insert("last", value.clone()),
            Field::OfDevice(field, value) => record.ensure_mergeable_map(field)?.insert(device, value.clone()),
            Field::Counter(by) => record.ensure_mergeable_counter("counter")?.increment(*by),
            Field::Text(to, words) => {
                let text = record.ensure_mergeable_text("text")?;
                text.insert(to % (text.len_unicode() + 1), words)
            }
            Field::Set(item, is_in) => {
                let (set, item) = (record.ensure_mergeable_map("set")?, item.to_string());
                match (is_in, set.get(&item).is_some()) {
                    (true, _) => set.insert(&item, true),
                    (false, true) => set.delete(&item),
                    (false, false) => Ok(()),
                }
            }
            Field::Answer(field, value) => {
                let all = record.ensure_mergeable_map(field)?;
                let seen: Vec<String> = all.keys().map(|key| key.to_string()).collect();
                seen.iter().try_for_each(|key| all.delete(key))?;
                all.insert(&format!("{}-{}", loro.peer_id(), loro.len_ops()), value.clone())
            }
            Field::Deleted(deleted) => record.insert("~deleted", *deleted),
        }
    }
}

/// Every merge policy.
fn form() -> Arc<CollectionForm> {
    let resolve = |all: &[Value]| json!({ "first": all.first(), "of": all.len() });
    let fields = Fields::default()
        .index("last")
        .merge("last", Merge::LastWriter)
        .merge("first", Merge::FirstWriter)
        .merge("max", Merge::Max)
        .merge("min", Merge::Min)
        .merge("counter", Merge::Counter)
        .merge("text", Merge::Text)
        .merge("set", Merge::Set)
        .merge("all", Merge::KeepAll)
        .merge("resolved", Merge::resolve(resolve));
    Arc::new(CollectionForm { document: NOTES, name: RECORDS.to_owned(), fields })
}

fn wrote() -> impl Strategy<Value = Wrote> {
    let field = prop_oneof![
        value().prop_map(Field::LastWriter),
        (select(vec!["first", "max", "min"]), value()).prop_map(|(field, value)| Field::OfDevice(field, value)),
        select(EXTREME).prop_map(Field::Counter),
        (0..12_usize, "\\PC{1,4}").prop_map(|(to, words)| Field::Text(to, words)),
        (0..3_u8, any::<bool>()).prop_map(|(item, is_in)| Field::Set(item, is_in)),
        (select(vec!["all", "resolved"]), value()).prop_map(|(field, value)| Field::Answer(field, value)),
        any::<bool>().prop_map(Field::Deleted),
    ];
    let record = (select(vec!["one", "one~2", "two"]), field);
    prop_oneof![
        2 => write(EXTREME).prop_map(Wrote::Anywhere),
        1 => record.prop_map(|(key, field)| Wrote::Record(RecordWrite { key, field })),
    ]
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        4 => vec(wrote(), 1..5).prop_map(Step::Edit),
        1 => Just(Step::Sync),
        1 => Just(Step::Restart),
    ];
    vec((0..WRITERS, step), 1..14)
}

/// What a person, an app and a digest see of a document.
#[derive(Debug, PartialEq)]
struct Seen {
    digest: (Hash, Vec<(u64, i32)>),
    values: Vec<(String, Option<Value>)>,
    records: Vec<Option<Value>>,
}

fn seen(bench: &mut Bench) -> Seen {
    let table = bench.replica.use_collection(&form()).unwrap();
    let store = bench.replica.followed(NOTES).unwrap();
    let record = |id: &str| -> Option<Value> {
        let fields = store.record(table, id).unwrap()?;
        Some(roost::json::from_str(&fields).unwrap())
    };
    let records: Vec<Option<Value>> = ["one", "two"].into_iter().map(record).collect();
    let ids = bench.replica.read(NOTES, |loro| {
        let ids = roots(loro, "").into_iter().map(|(name, root)| (name, root.id()));
        ids.collect::<Vec<_>>()
    });
    let mut value = |id| bench.replica.value_of(NOTES, id).unwrap().map(Value::from);
    let values = ids.unwrap().iter().map(|(name, id)| (name.clone(), value(id))).collect();
    Seen { digest: bench.replica.digest(NOTES).unwrap(), values, records }
}

/// An edit is made, or refused and leaves the document as it was.
fn edit(bench: &mut Bench, all: &[Wrote]) {
    let device = bench.replica.device().device_id().to_string();
    let before = bench.replica.digest(NOTES).unwrap();
    match bench.replica.edit(NOTES, |loro| all.iter().try_for_each(|wrote| wrote.apply(loro, &device))) {
        Ok(()) => {}
        Err(EditError::Uncountable) => assert_eq!(bench.replica.digest(NOTES).unwrap(), before),
        Err(error) => panic!("{error}"),
    }
    bench.clock.pass(1_000);
}

/// The writers as they are at rest, and their log.
fn written(steps: &[(usize, Step)]) -> (TestLog, Vec<Bench>) {
    let mut log = TestLog::of(&TEAM, 1);
    let mut benches: Vec<Bench> = (0..WRITERS).map(|n| Bench::new(&TEAM, n, log.id)).collect();
    for (n, step) in steps {
        match step {
            Step::Edit(all) => edit(&mut benches[*n], all),
            Step::Sync => drop(benches[*n].sync(&mut log)),
            Step::Restart => {
                let mut again = benches.remove(*n).restart();
                again.replica.use_collection(&form()).unwrap();
                benches.insert(*n, again);
            }
        }
    }
    for _ in 0..2 {
        benches.iter_mut().for_each(|bench| drop(bench.sync(&mut log)));
    }
    (log, benches)
}

/// What each device wrote, by its number, in the order of the log.
fn entries(log: &TestLog) -> Vec<(usize, Vec<u8>)> {
    let ring = TEAM.ring();
    let ids: Vec<_> = (0..WRITERS).map(|n| TEAM.id(n)).collect();
    let updates = (1..=log.tail()).map(|seq| log.entry(seq)).filter(|entry| entry.header().kind == Kind::Update);
    let opened = updates.map(|entry| {
        let author = ids.iter().position(|id| *id == entry.header().author).unwrap();
        (author, seal::plaintext(ring.get(entry.header().epoch).unwrap(), entry).unwrap())
    });
    opened.collect()
}

/// The same in another order, in which each device's own stand as it wrote them.
fn permuted(entries: &[(usize, Vec<u8>)], picks: &[usize]) -> Vec<(usize, Vec<u8>)> {
    let mut left: Vec<_> = (0..WRITERS).map(|n| entries.iter().filter(move |(author, _)| *author == n)).collect();
    let mut waiting: Vec<usize> = (0..WRITERS).filter(|n| entries.iter().any(|(author, _)| author == n)).collect();
    let (mut found, mut picks) = (Vec::new(), picks.iter().cycle());
    while !waiting.is_empty() {
        let at = picks.next().unwrap() % waiting.len();
        match left[waiting[at]].next() {
            Some(entry) => found.push(entry.clone()),
            None => drop(waiting.remove(at)),
        }
    }
    found
}

/// A log that is written entry by entry.
struct Written {
    log: TestLog,
    last: HashMap<usize, u64>,
}

impl Written {
    fn new() -> Self {
        Self { log: TestLog::of(&TEAM, 1), last: HashMap::new() }
    }

    fn push(&mut self, author: usize, kind: Kind, plaintext: &[u8]) {
        let author_seq = self.last.entry(author).or_insert(0);
        *author_seq += 1;
        let mut header = TEAM.header(&self.log, author, *author_seq);
        header.kind = kind;
        self.log.push(TEAM.seal(author, header, plaintext));
    }
}

fn reader(log: &TestLog) -> Bench {
    Bench::new(&TEAM, WRITERS, log.id)
}

/// Reads all of it at once.
fn read_at_once(entries: &[(usize, Vec<u8>)]) -> Bench {
    let mut written = Written::new();
    entries.iter().for_each(|(author, plaintext)| written.push(*author, Kind::Update, plaintext));
    let mut reader = reader(&written.log);
    reader.sync(&mut written.log);
    reader
}

/// Reads entry by entry, searches the collection from the start, and dies now and then.
fn read_piecemeal(entries: &[(usize, Vec<u8>)], deaths: &[bool]) -> Bench {
    let mut written = Written::new();
    let mut reader = reader(&written.log);
    for ((author, plaintext), dies) in entries.iter().zip(deaths.iter().cycle()) {
        reader.replica.use_collection(&form()).unwrap();
        written.push(*author, Kind::Update, plaintext);
        if *dies {
            reader.take(&mut written.log);
            reader = reader.restart();
        }
        reader.sync(&mut written.log);
    }
    reader
}

/// Reads a snapshot first, and then what it holds.
fn read_snapshot(snapshot: &[u8], entries: &[(usize, Vec<u8>)]) -> Bench {
    let mut written = Written::new();
    written.push(0, Kind::Snapshot, &head().plaintext(snapshot));
    let mut reader = reader(&written.log);
    reader.sync(&mut written.log);
    entries.iter().for_each(|(author, plaintext)| written.push(*author, Kind::Update, plaintext));
    reader.sync(&mut written.log);
    reader
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn equal_operations_are_equal_documents(
        steps in steps(),
        picks in vec(0..WRITERS, 1..12),
        deaths in vec(any::<bool>(), 1..4),
    ) {
        let (log, mut writers) = written(&steps);
        let wanted = seen(&mut writers[0]);
        for writer in &mut writers {
            assert!(writer.replica.view().synced, "{:?}", writer.replica.view());
            assert_eq!(writer.replica.store().quarantined().unwrap(), 0);
            assert_eq!(seen(writer), wanted, "those who wrote it");
        }
        let entries = entries(&log);
        if entries.is_empty() {
            return Ok(());
        }
        let mixed = permuted(&entries, &picks);
        assert_eq!(seen(&mut read_at_once(&entries)), wanted, "in the order of the log");
        assert_eq!(seen(&mut read_at_once(&mixed)), wanted, "in another order");
        let snapshot = writers[1].replica.read(NOTES, |loro| loro.export(ExportMode::Snapshot).unwrap()).unwrap();
        assert_eq!(seen(&mut read_snapshot(&snapshot, &mixed)), wanted, "from a snapshot");
        let mut reader = read_piecemeal(&mixed, &deaths);
        assert_eq!(seen(&mut reader), wanted, "one by one, with restarts");
        // Loaded change by change, it is saved as one snapshot; that is loaded next.
        let mut reader = reader.restart_after(Schema::default(), |store| store.risk(&[Risk::Document(NOTES)]).unwrap());
        assert_eq!(seen(&mut reader), wanted, "change by change");
        let mut reader = reader.restart();
        assert_eq!(seen(&mut reader), wanted, "from its own snapshot");
        assert_eq!(reader.replica.store().quarantined().unwrap(), 0);
    }
}
