//! `documents.json`, beside the other golden files in `shared/tests/vectors`: digests, a derivation and a rewrite. They are
//! computed here as a stranger would who has section 18 of PROTOCOL.md and Loro, and held against what the client makes of
//! the same updates.

use std::collections::HashMap;

use roost::loro::{CommitOptions, ExportMode, IdSpan, LoroDoc, LoroResult, LoroValue};
use roost::schema::{Derive, Rewrite, Schema};
use roost::{DocumentId, Hash};
use roost_shared::roster::Scope;
use serde_json::{Value, json};

use super::bench::Bench;
use crate::keys_vectors::pinned;
use crate::machine::world::{NOTES, Team, TestLog, head};

/// When the operations were made, in seconds since 1970.
const DATE: i64 = 1_790_000_000;

#[test]
fn documents_json() {
    let digests: Vec<Value> = cases().iter().map(digest).collect();
    pinned(
        "documents.json",
        &json!({
            "comment": "section 18 of PROTOCOL.md; updates are Loro's, peers are decimal texts, other bytes lowercase hex",
            "digests": digests,
            "derivation": derivation(),
            "rewrite": rewrite(),
        }),
    );
}

/// A device that takes in what another one appends.
struct Desk {
    team: Team,
    log: TestLog,
    bench: Bench,
}

impl Desk {
    fn new(schema: Schema) -> Self {
        let team = Team::of(&[Scope::ReadWrite]);
        let log = TestLog::of(&team, 1);
        let bench = Bench::new(&team, 0, log.id).restart_with(schema);
        Self { team, log, bench }
    }

    fn take_in(&mut self, document: DocumentId, updates: &[Vec<u8>]) {
        for (update, author_seq) in updates.iter().zip(1..) {
            let mut header = self.team.header(&self.log, 1, author_seq);
            header.document = document;
            let envelope = self.team.seal(1, header, &head().plaintext(update));
            self.log.push(envelope);
        }
        self.bench.sync(&mut self.log);
        self.bench.sync(&mut self.log); // what the first time made due
    }

    /// The one peer whose operations were computed, and the JSON text of its changes.
    fn computed(&mut self, document: DocumentId) -> (u64, String) {
        let found = self.bench.replica.read(document, |loro| {
            let vv = loro.oplog_vv();
            let peers: Vec<(u64, i32)> =
                vv.iter().filter(|(peer, _)| **peer >> 63 == 1).map(|(peer, end)| (*peer, *end)).collect();
            let [(peer, end)] = peers[..] else { panic!("not one computed peer: {peers:?}") };
            let changes = loro.export_json_in_id_span(IdSpan::new(peer, 0, end));
            (peer, serde_json::to_string(&changes).unwrap())
        });
        found.unwrap()
    }

    fn digest(&mut self, document: DocumentId) -> Hash {
        self.bench.replica.digest(document).unwrap().0
    }
}

/// A document that one peer wrote.
fn written(peer: u64, edit: impl FnOnce(&LoroDoc) -> LoroResult<()>) -> LoroDoc {
    let loro = LoroDoc::new();
    loro.set_peer_id(peer).unwrap();
    edit(&loro).unwrap();
    loro.commit_with(CommitOptions::new().timestamp(DATE));
    loro
}

fn update(loro: &LoroDoc) -> Vec<u8> {
    loro.export(ExportMode::all_updates()).unwrap()
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag][..], &(bytes.len() as u64).to_be_bytes(), bytes].concat()
}

fn text(text: &str) -> Vec<u8> {
    tagged(5, text.as_bytes())
}

fn canonical(value: &LoroValue) -> Vec<u8> {
    match value {
        LoroValue::Null => tagged(0, &[]),
        LoroValue::Bool(flag) => tagged(1, &[u8::from(*flag)]),
        LoroValue::Double(number) => tagged(2, &number.to_be_bytes()),
        LoroValue::I64(number) => tagged(3, &number.to_be_bytes()),
        LoroValue::Binary(bytes) => tagged(4, bytes),
        LoroValue::String(string) => text(string),
        LoroValue::List(list) => {
            let items: Vec<u8> = list.iter().flat_map(canonical).collect();
            [tagged(7, &(list.len() as u64).to_be_bytes()), items].concat()
        }
        LoroValue::Map(map) => {
            let mut entries: Vec<(&str, &LoroValue)> = map.iter().map(|(key, item)| (key.as_str(), item)).collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            let items: Vec<u8> = entries.iter().flat_map(|(key, item)| [text(key), canonical(item)].concat()).collect();
            [tagged(8, &(map.len() as u64).to_be_bytes()), items].concat()
        }
        LoroValue::Container(id) => panic!("a deep value has no containers: {id}"),
    }
}

fn content_peer(label: &[u8], document: DocumentId, version: u32, base: &LoroDoc, written: &[u8]) -> u64 {
    let mut heads: Vec<(u64, i32)> = base.oplog_frontiers().iter().map(|id| (id.peer, id.counter)).collect();
    heads.sort_unstable();
    let heads: Vec<u8> = heads
        .iter()
        .flat_map(|(peer, counter)| [&peer.to_be_bytes()[..], &counter.to_be_bytes()[..]].concat())
        .collect();
    let hash = Hash::of(&[label, &document.0, &version.to_be_bytes(), &heads, written]);
    let number = u64::from_be_bytes(hash.0[..8].try_into().unwrap());
    (number | 1 << 63).min(u64::MAX - 1)
}

struct Case {
    why: &'static str,
    updates: Vec<Vec<u8>>,
    /// The roots that are not empty, under their keys, of the document that holds the updates.
    roots: fn(&LoroDoc) -> Vec<(&'static str, LoroValue)>,
}

fn cases() -> Vec<Case> {
    let emptied = written(5, |loro| {
        let text = loro.get_text("text");
        text.insert(0, "a")?;
        text.delete(0, 1)
    });
    let one = written(3, |loro| loro.get_text("text").insert(0, "one"));
    let two = written(9, |loro| loro.get_text("text").insert(0, "two"));
    let two_types = written(7, |loro| {
        loro.get_text("both").insert(0, "text")?;
        loro.get_map("both").insert("key", 1)?;
        loro.get_list("both"); // an empty one is no third
        loro.get_text("one").insert(0, "text")
    });
    vec![
        Case {
            why: "an empty root is left out; its operations count in the version",
            updates: vec![update(&emptied)],
            roots: |_| Vec::new(),
        },
        Case {
            why: "every kind of value and container",
            updates: vec![update(&written(0x0102_0304_0506_0708, every_kind))],
            roots: every_root,
        },
        Case {
            why: "two peers, in the order of their numbers, not of their arrival",
            updates: vec![update(&two), update(&one)],
            roots: |loro| vec![("text", loro.get_text("text").to_string().into())],
        },
        Case {
            why: "one name is the root of two types",
            updates: vec![update(&two_types)],
            roots: |_| {
                vec![("both\0Map", json!({ "key": 1 }).into()), ("both\0Text", "text".into()), ("one", "text".into())]
            },
        },
    ]
}

fn every_kind(loro: &LoroDoc) -> LoroResult<()> {
    let map = loro.get_map("map");
    map.insert("null", LoroValue::Null)?;
    map.insert("true", true)?;
    map.insert("double", 1.5)?;
    map.insert("i64", i64::MIN)?;
    map.insert("binary", LoroValue::from(vec![0u8, 255]))?;
    map.insert("ä", "Pflaume 🪶")?;
    map.insert("Z", LoroValue::from(json!([1, [], { "b": false, "a": null }])))?;
    let record = loro.get_map("records").ensure_mergeable_map("one")?;
    record.insert("name", "soup")?;
    record.ensure_mergeable_counter("eaten")?.increment(2.5)?;
    record.ensure_mergeable_text("note")?.insert(0, "hot")?;
    loro.get_list("list").push("one")?;
    loro.get_movable_list("movable list").push(2)?;
    loro.get_text("text").insert(0, "plums")?;
    loro.get_counter("counter").increment(-0.5)?;
    let tree = loro.get_tree("tree");
    let node = tree.create(None)?;
    tree.get_meta(node)?.insert("name", "branch")
}

/// The same by hand, but for the tree: how Loro writes a node is Loro's.
fn every_root(loro: &LoroDoc) -> Vec<(&'static str, LoroValue)> {
    let deep = loro.get_deep_value().into_map().unwrap();
    let map = HashMap::from([
        ("null", LoroValue::Null),
        ("true", true.into()),
        ("double", LoroValue::Double(1.5)),
        ("i64", i64::MIN.into()),
        ("binary", LoroValue::from(vec![0u8, 255])),
        ("ä", "Pflaume 🪶".into()),
        ("Z", json!([1, [], { "b": false, "a": null }]).into()),
    ]);
    vec![
        ("map", map.into()),
        ("records", json!({ "one": { "name": "soup", "eaten": 2.5, "note": "hot" } }).into()),
        ("list", json!(["one"]).into()),
        ("movable list", json!([2]).into()),
        ("text", "plums".into()),
        ("counter", LoroValue::Double(-0.5)),
        ("tree", deep.get("tree").unwrap().clone()),
    ]
}

fn digest(case: &Case) -> Value {
    let merged = LoroDoc::new();
    for update in &case.updates {
        merged.import(update).unwrap();
    }
    let mut version: Vec<(u64, i32)> = merged.oplog_vv().iter().map(|(peer, end)| (*peer, *end)).collect();
    version.sort_unstable();
    let roots: HashMap<&str, LoroValue> = (case.roots)(&merged).into_iter().collect();
    let value = canonical(&LoroValue::from(roots));
    let versions: Vec<u8> = version
        .iter()
        .flat_map(|(peer, counter)| [&peer.to_be_bytes()[..], &counter.to_be_bytes()[..]].concat())
        .collect();
    let digest = Hash::of(&[b"roost/v1/digest\0", &value, &versions]);

    let mut desk = Desk::new(Schema::default());
    desk.take_in(NOTES, &case.updates);
    assert_eq!(desk.bench.replica.digest(NOTES).unwrap(), (digest, version.clone()), "{}", case.why);
    let version = version.iter().map(|(peer, counter)| json!({ "peer": peer.to_string(), "counter": counter }));
    json!({
        "why": case.why,
        "updates": case.updates.iter().map(hex::encode).collect::<Vec<_>>(),
        "canonical": hex::encode(value),
        "version": version.collect::<Vec<_>>(),
        "digest": digest,
    })
}

/// On two heads: `minutes` of each record is 60 times its `hours`.
fn derivation() -> Value {
    let minutes = |meal: &Value| json!({ "minutes": meal["hours"].as_i64().unwrap_or(0) * 60 });
    let step = Derive::each("meals", ["hours"], ["minutes"], minutes);
    let mut desk = Desk::new(Schema::new().version(2, |version| version.derive("diary", step)));
    let diary = desk.bench.replica.named("diary").unwrap();
    let before = written(9, |loro| loro.get_map("meals").ensure_mergeable_map("soup")?.insert("hours", 2));
    let other = written(3, |loro| loro.get_map("meals").ensure_mergeable_map("bread")?.insert("hours", 5));
    before.import(&update(&other)).unwrap();

    let mut writes = Vec::new();
    let mut froms = Vec::new();
    for (record, hours) in [("bread", 5), ("soup", 2)] {
        let sources = [text("hours"), canonical(&LoroValue::I64(hours))].concat();
        let from = Hash::of(&[b"roost/v1/derived\0", &sources]).0[..16].to_vec();
        froms.push(json!({ "record": record, "from": hex::encode(&from) }));
        let register = HashMap::from([
            ("by", LoroValue::I64(2)),
            ("from", LoroValue::from(from)),
            ("value", LoroValue::I64(hours * 60)),
        ]);
        writes.extend([text(record), text("meals"), text("~derived:minutes"), canonical(&register.into())].concat());
    }
    let peer = content_peer(b"roost/v1/derive\0", diary, 2, &before, &writes);

    desk.take_in(diary, &[update(&before)]);
    let (computed, changes) = desk.computed(diary);
    assert_eq!(computed, peer, "the client derives {changes}");
    json!({
        "step": "the field minutes of each record of the root map meals is 60 times its hours",
        "schema_version": 2,
        "document": diary,
        "update": hex::encode(update(&before)),
        "from": froms,
        "writes": hex::encode(&writes),
        "peer": peer.to_string(),
        "changes": changes,
        "digest": desk.digest(diary),
    })
}

/// Each line of the text `text` goes to the list `lines`.
fn rewrite() -> Value {
    let step = Rewrite::of(["text"], |loro| {
        let lines = loro.get_list("lines");
        loro.get_text("text").to_string().lines().try_for_each(|line| lines.push(line))
    });
    let mut desk = Desk::new(Schema::new().version(2, |version| version.rewrite("note/*", step)));
    let note = desk.bench.replica.named("note/one").unwrap();
    let before = written(3, |loro| loro.get_text("text").insert(0, "eggs\nplums\n"));
    desk.take_in(note, &[update(&before)]);
    let (peer, changes) = desk.computed(note);
    let written = changes.replace(&peer.to_string(), "");
    assert_eq!(peer, content_peer(b"roost/v1/rewrite\0", note, 2, &before, written.as_bytes()), "of {written}");
    json!({
        "step": "each line of the root text text is pushed to the root list lines",
        "schema_version": 2,
        "document": note,
        "update": hex::encode(update(&before)),
        "changes_without_peer": written,
        "peer": peer.to_string(),
        "digest": desk.digest(note),
    })
}
