//! A step's writes: all or none, and what each does.

use loro::VersionVector;
use roost::store::{ConflictRow, Durability, Merged, Signed, Store};
use roost::sync::Stage;
use roost::sync::Write;
use roost_shared::roster::Record;
use roost_shared::tree::Frontier;
use roost_shared::{Cursor, Hash, LogId, Seq};
use rusqlite::types::Value;

use super::{LOG, NOTES, changes, in_memory, rows, sealed};
use crate::fixtures::{PHONE, StillClock, device, next_epoch, shared};

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

fn leaf(number: u8) -> Write {
    Write::Leaf { seq: seq(number.into()), leaf: Hash([number; 32]), root: Hash([number | 0x80; 32]) }
}

fn frontier(leaves: u8) -> Frontier {
    let mut frontier = Frontier::default();
    (1..=leaves).for_each(|number| frontier.append(Hash([number; 32])));
    frontier
}

fn version(counters: &[(u64, i32)]) -> VersionVector {
    let mut version = VersionVector::default();
    for (peer, counter) in counters {
        version.insert(*peer, *counter);
    }
    version
}

fn record(at: usize) -> Record {
    shared(&StillClock::new(1)).records()[at].clone()
}

fn fourth_record() -> Record {
    next_epoch(&StillClock::new(2), &shared(&StillClock::new(1)))
}

/// Each leaves a trace of its own in a store that has a document, two outbox rows and a proposed record.
fn writes() -> Vec<Write> {
    vec![
        leaf(1),
        Write::Advance(frontier(1)),
        Write::AuthorsOf(LogId([0x23; 16])),
        Write::Author { device: device(PHONE).device_id(), last: 7, base: Cursor(3) },
        Write::Inbox { seq: seq(1), document: NOTES, bytes: b"entry".to_vec() },
        Write::Quarantine { seq: seq(2), reason: "why", bytes: b"bad".to_vec() },
        Write::Met { author_seq: 1 },
        Write::LogRecord(record(0)),
        Write::HeldRecord(fourth_record()),
        Write::NotPending,
        Write::Resync(Some(Stage::Reseal)),
        Write::Diverged { what: "two tales".to_owned(), evidence: b"proof".to_vec() },
    ]
}

fn busy() -> Store {
    let mut store = in_memory(Durability::Process);
    store.commit(NOTES, &[b"update"], &Signed::default()).unwrap();
    store.seal(&[sealed(1, None), sealed(2, Some(version(&[(5, 9)])))]).unwrap();
    store.propose(&fourth_record()).unwrap();
    store
}

#[test]
fn a_step_is_written_whole_or_not_at_all() {
    let mut store = busy();
    let before = rows(&store);
    for at in 1..=writes().len() {
        let mut failing = writes();
        failing.insert(at, leaf(1)); // the same entry twice
        assert!(store.apply(&failing, usize::MAX).is_err(), "at {at}");
        assert_eq!(rows(&store), before, "at {at}");
    }
    let mut traces = vec![before];
    for write in writes() {
        store.apply(std::slice::from_ref(&write), usize::MAX).unwrap();
        let now = rows(&store);
        assert!(traces.last() != Some(&now), "{write:?} leaves no trace: above it proved nothing");
        traces.push(now);
    }
    let mut at_once = busy();
    at_once.apply(&writes(), usize::MAX).unwrap();
    assert_eq!(traces.last(), Some(&rows(&at_once)));
}

#[test]
fn what_was_written_is_loaded() {
    let mut store = busy();
    assert_eq!(store.load(7).unwrap().unwrap().pending, Some(fourth_record()));
    store.apply(&writes(), usize::MAX).unwrap();
    let loaded = store.load(7).unwrap().unwrap();
    assert_eq!((loaded.log.id, &loaded.log.frontier, loaded.seed), (LOG, &frontier(1), 7));
    let author = loaded.log.authors[&device(PHONE).device_id()];
    assert_eq!((author.last, author.base, loaded.log.authors.len()), (7, Cursor(3), 1));
    assert_eq!(loaded.log.chain.records(), [record(0)]);
    assert_eq!(loaded.held.records().len(), 4);
    assert_eq!(loaded.held.records()[3], fourth_record());
    assert_eq!((loaded.pending, loaded.resync), (None, Some(Stage::Reseal)));
    assert!(loaded.diverged && loaded.edited);
    assert_eq!(loaded.outbox, [sealed(2, None).row]);
    assert_eq!(store.root_at(Cursor(1)).unwrap(), Some(Hash([0x81; 32])));
    assert_eq!(store.root_at(Cursor(2)).unwrap(), None);
    assert_eq!(store.quarantined().unwrap(), 1);
    let inbox: Vec<_> = store.inbox(1_000).unwrap().into_iter().map(|row| (row.seq, row.document, row.bytes)).collect();
    assert_eq!(inbox, [(seq(1), NOTES, b"entry".to_vec())]);
}

#[test]
fn authors_count_anew_under_another_log() {
    let mut store = busy();
    store.apply(&writes(), usize::MAX).unwrap();
    assert!(!store.load(7).unwrap().unwrap().log.authors.is_empty());
    let other = LogId([0x24; 16]);
    store.apply(&[Write::AuthorsOf(other)], usize::MAX).unwrap();
    let loaded = store.load(7).unwrap().unwrap();
    assert_eq!((loaded.log.id, loaded.log.authors_of), (LOG, other));
    assert!(loaded.log.authors.is_empty());
}

#[test]
fn the_held_roster_becomes_the_logs() {
    let mut store = busy();
    store.apply(&[Write::LogRecord(record(0)), Write::LogRecord(record(1)), Write::HoldLogChain], usize::MAX).unwrap();
    let loaded = store.load(7).unwrap().unwrap();
    assert_eq!(loaded.held.records(), [record(0), record(1)]);
    assert_eq!(loaded.log.chain.records(), [record(0), record(1)]);
}

#[test]
fn rows_are_sealed_all_or_none() {
    let mut store = busy();
    let before = rows(&store);
    let twice = [sealed(3, None), sealed(4, None), sealed(3, None)];
    assert!(store.seal(&twice).is_err());
    assert_eq!(rows(&store), before);
    store.seal(&twice[..2]).unwrap();
    let numbers: Vec<_> = store.load(7).unwrap().unwrap().outbox.iter().map(|row| row.author_seq).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[test]
fn a_row_that_was_met_says_what_the_log_has() {
    let mut store = in_memory(Durability::Process);
    store.commit(NOTES, &[b"update"], &Signed::default()).unwrap();
    let merged = Merged {
        roots: Vec::new(),
        document: NOTES,
        changes: Vec::new(),
        log_vv: version(&[(5, 2), (6, 8)]),
        edited: true,
        schema: 0,
        reader_min: 0,
        peers: Vec::new(),
        done: Vec::new(),
    };
    store.merged(&merged).unwrap();
    // Two parts of one blob; what the blob held is known once the second is in the log.
    store.seal(&[sealed(1, None), sealed(2, Some(version(&[(5, 9), (6, 3), (7, 1)])))]).unwrap();
    store.apply(&[Write::Met { author_seq: 1 }], usize::MAX).unwrap();
    assert_eq!(store.log_vv(NOTES).unwrap(), version(&[(5, 2), (6, 8)]));
    store.apply(&[Write::Met { author_seq: 2 }], usize::MAX).unwrap();
    assert_eq!(store.log_vv(NOTES).unwrap(), version(&[(5, 9), (6, 8), (7, 1)]), "the higher of each");
    assert!(store.load(7).unwrap().unwrap().outbox.is_empty());

    let before = rows(&store);
    store.apply(&[Write::Met { author_seq: 2 }, Write::Met { author_seq: 99 }], usize::MAX).unwrap();
    assert_eq!(rows(&store), before, "met again, or never sealed here");
}

#[test]
fn an_outbox_that_is_cleared_says_nothing_of_the_log() {
    let mut store = busy();
    store.apply(&[Write::ClearOutbox], usize::MAX).unwrap();
    assert!(store.load(7).unwrap().unwrap().outbox.is_empty());
    assert_eq!(store.log_vv(NOTES).unwrap(), VersionVector::default());
}

#[test]
fn another_log_takes_nothing_of_the_documents() {
    let mut store = busy();
    store.apply(&writes(), usize::MAX).unwrap();
    store.apply(&[Write::Met { author_seq: 2 }], usize::MAX).unwrap();
    store.seal(&[sealed(3, None)]).unwrap();
    store.not_edited(NOTES).unwrap();
    assert_ne!(store.log_vv(NOTES).unwrap(), VersionVector::default());
    let before = rows(&store);
    for table in ["leaf", "author", "outbox", "inbox"] {
        assert!(!before[table].is_empty(), "{table} has nothing to lose");
    }

    let other = LogId([0x24; 16]);
    store.apply(&[Write::NewLog(other)], usize::MAX).unwrap();
    let after = rows(&store);
    for table in ["leaf", "author", "outbox", "inbox"] {
        assert_eq!(after[table], [] as [Vec<Value>; 0], "{table} belonged to the log");
    }
    assert_eq!(after["quarantine"], [] as [Vec<Value>; 0], "numbers begin anew");
    assert_eq!(after["quarantine_of_old_logs"].len(), before["quarantine"].len(), "what was put aside is kept");
    for table in ["change", "divergence"] {
        assert!(!after[table].is_empty(), "{table}");
        assert_eq!(after[table], before[table], "{table} stays");
    }
    let loaded = store.load(7).unwrap().unwrap();
    assert_eq!((loaded.log.id, loaded.log.authors_of), (other, other));
    assert_eq!(loaded.log.frontier, Frontier::default());
    assert!(loaded.log.chain.records().is_empty());
    assert_eq!(loaded.held.records().len(), 4, "the roster this device knows stays");
    assert!(loaded.edited, "all it holds is offered again");
    assert_eq!(store.edited_documents().unwrap(), [NOTES]);
    assert_eq!(store.log_vv(NOTES).unwrap(), VersionVector::default(), "of the new log nothing is known");
    assert_eq!(changes(&store), [b"update"]);
}

#[test]
fn each_value_that_was_hidden_is_kept_until_it_was_looked_at() {
    let mut store = in_memory(Durability::Process);
    let conflict = |kept: &str, hidden: &str| ConflictRow {
        key: 0,
        document: NOTES,
        collection: "foods".to_owned(),
        record: "apple".to_owned(),
        field: "name".to_owned(),
        kept: kept.to_owned(),
        kept_peer: 1,
        kept_by: None,
        hidden: hidden.to_owned(),
        hidden_peer: 2,
        hidden_by: None,
    };
    // The same two processes collide twice, and the first of it is met again.
    for (kept, hidden, added) in [("1", "2", 1), ("3", "4", 1), ("1", "2", 0), ("5", "2", 1)] {
        assert_eq!(store.add_conflicts(&[conflict(kept, hidden)]).unwrap(), added, "{kept} over {hidden}");
    }
    let held: Vec<_> = store.conflicts().unwrap().into_iter().map(|row| (row.kept, row.hidden)).collect();
    assert_eq!(held, [("5".to_owned(), "2".to_owned()), ("3".to_owned(), "4".to_owned())]);
}
