//! Rows that are asked for after every edit and every merge: what it costs to find them does not depend on the others.

use roost::store::{Durability, Signed};
use roost::sync::Write;
use roost::tally;
use roost_shared::{DocumentId, Seq};

use super::{NOTES, in_memory};

const OTHERS: u16 = 500;

#[test]
fn edited_documents_are_found_without_a_look_at_the_others() {
    let mut store = in_memory(Durability::Process);
    for number in 0..OTHERS {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        store.commit(DocumentId(id), &[b"update"], &Signed::default()).unwrap();
        store.not_edited(DocumentId(id)).unwrap();
    }
    store.commit(NOTES, &[b"update"], &Signed::default()).unwrap();
    tally::take();
    assert_eq!(store.edited_documents().unwrap(), [NOTES]);
    let scanned = tally::take().scanned_rows;
    assert!(scanned <= 2, "{scanned} rows among {OTHERS}");
    assert_eq!(store.documents().unwrap().len(), usize::from(OTHERS) + 1);
}

#[test]
fn entries_to_be_merged_are_found_without_a_look_at_those_that_wait() {
    let mut store = in_memory(Durability::Process);
    let seq = |number: u16| Seq::new(number.into()).unwrap();
    let entry = |number| Write::Inbox { seq: seq(number), document: NOTES, bytes: b"entry".to_vec() };
    store.apply(&(1..=OTHERS).map(entry).collect::<Vec<_>>(), usize::MAX).unwrap();
    store.wait(&(1..=OTHERS).map(|number| (seq(number), None)).collect::<Vec<_>>()).unwrap();
    store.apply(&[entry(OTHERS + 1)], usize::MAX).unwrap();
    tally::take();
    assert!(store.has_inbox().unwrap());
    let found: Vec<Seq> = store.inbox(1_000_000).unwrap().into_iter().map(|row| row.seq).collect();
    assert_eq!(found, [seq(OTHERS + 1)]);
    let scanned = tally::take().scanned_rows;
    assert!(scanned <= 2, "{scanned} rows among {OTHERS}");
    store.look_again().unwrap();
    assert_eq!(store.inbox(1_000_000).unwrap().len(), usize::from(OTHERS) + 1);
    assert!(tally::take().scanned_rows >= u64::from(OTHERS) - 1, "the rows are counted");
}
