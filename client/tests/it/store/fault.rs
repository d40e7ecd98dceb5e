//! What the machine is in the way of is told as that: nothing is lost, nothing is called damaged, and reading goes on.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use roost::clock::Clock;
use roost::replica::{EditError, Replica};
use roost::schema::Schema;
use roost::store::{Durability, Risk, Signed, Store, StoreError};
use roost::{Error, Fault};

use super::{NOTES, changes, filled, in_memory};
use crate::fixtures::StillClock;

/// The store again, with room for so many more pages: SQLite says of the rest what it says of a full disk.
pub fn with_room(store: Store, pages: i64) -> Store {
    let connection = store.into_connection();
    let held: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    connection.pragma_update(None, "max_page_count", held + pages).unwrap();
    Store::over(connection, Durability::Process).unwrap()
}

fn is_full(error: &Error) -> bool {
    error.code() == "disk_full" && error.is_retryable() && error.to_string().contains("free some space")
}

#[test]
fn what_a_full_disk_refuses_leaves_nothing_and_what_was_saved_is_read() {
    let mut store = in_memory(Durability::Process);
    store.commit(NOTES, &[b"before".to_vec()], &Signed::default()).unwrap();
    let mut store = with_room(store, 0);
    let refused = store.commit(NOTES, &[vec![7; 100_000]], &Signed::default()).unwrap_err();
    assert!(is_full(&refused.into()));
    assert_eq!(changes(&store), [b"before"]);
    assert!(store.identity().unwrap().is_some() && store.load(7).unwrap().is_some());
    assert_eq!(store.deaths(Risk::Document(NOTES)).unwrap(), 0);
    let mut store = with_room(store, 1_000);
    store.commit(NOTES, &[vec![7; 100_000]], &Signed::default()).unwrap();
    assert_eq!(changes(&store).len(), 2);
}

#[test]
fn a_full_disk_refuses_an_edit_whole_and_keeps_nobody_from_opening_and_reading() {
    let clock: Arc<dyn Clock> = Arc::new(StillClock::new(1));
    let open = |store| Replica::open(store, Arc::clone(&clock), Schema::default()).unwrap().unwrap();
    let mut replica = open(in_memory(Durability::Process));
    let notes = replica.named("notes").unwrap();
    replica.edit(notes, |loro| loro.get_text("text").insert(0, "before")).unwrap();

    let mut replica = open(with_room(replica.into_store(), 0));
    assert_eq!(replica.named("notes").unwrap(), notes, "it is listed already");
    let text = |replica: &mut Replica| replica.read(notes, |loro| loro.get_text("text").to_string()).unwrap();
    assert_eq!(text(&mut replica), "before");
    let large = "x".repeat(200_000);
    let refused: EditError = replica.edit(notes, |loro| loro.get_text("text").insert(6, &large)).unwrap_err();
    assert!(is_full(&refused.into()), "an edit says it as any other call does");
    assert_eq!(text(&mut replica), "before");

    let mut replica = open(with_room(replica.into_store(), 1_000));
    replica.edit(notes, |loro| loro.get_text("text").insert(6, " and after")).unwrap();
    assert_eq!(text(&mut replica), "before and after");
}

#[test]
fn what_stands_in_the_way_of_a_file_is_not_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("workspace.db");
    // A folder where SQLite keeps what was committed last.
    let in_the_way = folder.path().join("workspace.db-wal");
    let refused = || {
        let refused = Store::open(&path, Durability::Process).err().unwrap();
        assert!(refused.fault().is_some(), "{refused}");
        assert!(!refused.to_string().contains("damaged"), "{refused}");
    };
    fs::create_dir(&in_the_way).unwrap();
    refused();
    assert!(!path.exists(), "a file that was half made is gone");
    fs::remove_dir(&in_the_way).unwrap();

    let mut store = filled(Store::open(&path, Durability::Process).unwrap());
    store.commit(NOTES, &[b"kept".to_vec()], &Signed::default()).unwrap();
    drop(store);
    fs::create_dir(&in_the_way).unwrap();
    refused();
    assert!(path.exists(), "a file that was there stays");
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(changes(&Store::open(&path, Durability::Process).unwrap()), [b"kept"]);
}

#[test]
fn a_folder_that_is_no_folder_is_not_damage() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "a file in the place of a folder").unwrap();
    let refused = Store::open(&file.join("workspace.db"), Durability::Process).err().unwrap();
    assert!(matches!(refused, StoreError::Io { .. }), "{refused}");
    assert_eq!(Error::from(refused).code(), "store_unreachable");
}

#[test]
#[cfg(target_os = "linux")]
fn who_may_not_write_is_told_so() {
    // Nobody may make a file there, whoever it is.
    let refused = Store::open(Path::new("/sys/workspace.db"), Durability::Process).err().unwrap();
    assert!(matches!(refused.fault(), Some(Fault::Forbidden | Fault::ReadOnly)), "{refused}");
    let refused = Error::from(refused);
    assert!(["no_permission", "disk_read_only"].contains(&refused.code()) && !refused.is_retryable());
}
