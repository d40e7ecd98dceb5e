//! One file, private, for one process; what is damaged or newer is left as it is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use roost::Error;
use roost::keys::KeyPair;
use roost::keys::link::Invite;
use roost::store::{Durability, Identity, Signed, Store, StoreError};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{LOG, NOTES, changes, filled, identity, in_memory, sealed};
use crate::fixtures::{PHONE, StillClock, device, invite, owner, shared, workspace};

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("workspace.db");
    (folder, path)
}

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(path, Durability::Process)
}

fn refusal(path: &Path) -> StoreError {
    open(path).err().expect("it does not open")
}

#[test]
fn its_files_are_for_this_user_alone() {
    let (folder, path) = folder();
    let mut store = filled(open(&path).unwrap());
    store.commit(NOTES, &[b"update"], &Signed::default()).unwrap();
    let mut seen = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        seen.push(name);
    }
    // The log of the last commits holds as much as the file does.
    for name in ["workspace.db", "workspace.db-wal", "workspace.lock"] {
        assert!(seen.iter().any(|seen| seen == name), "{name} of {seen:?}");
    }
}

#[test]
fn one_process_at_a_time() {
    let (_folder, path) = folder();
    let mut first = filled(open(&path).unwrap());
    for _ in 0..2 {
        let refused = refusal(&path);
        assert!(matches!(&refused, StoreError::Locked(named) if *named == path), "{refused}");
        let refused = Error::from(refused);
        assert_eq!((refused.code(), refused.is_retryable()), ("store_locked", true));
    }
    first.commit(NOTES, &[b"update"], &Signed::default()).unwrap();
    drop(first);
    let second = open(&path).unwrap();
    assert_eq!(changes(&second), [b"update"]);
}

/// It does not open, says that it is damaged, and is not touched, however often it is tried.
fn is_left_as_it_is(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    for _ in 0..2 {
        let refused = refusal(path);
        assert!(matches!(&refused, StoreError::Corrupt { path: named, .. } if named == path), "{refused}");
        assert_eq!(Error::from(refused).code(), "store_corrupt");
        assert!(fs::read(path).unwrap() == bytes, "the damaged file was changed");
    }
}

#[test]
fn a_damaged_file_is_left_as_it_is() {
    let (_folder, path) = folder();
    let mut store = filled(open(&path).unwrap());
    for _ in 0..20 {
        store.commit(NOTES, &[[0xab; 1_000]], &Signed::default()).unwrap();
    }
    drop(store);
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() > 5 * 4_096, "several pages: {}", whole.len());

    let mut header = whole.clone();
    header[..16].fill(0xa5);
    is_left_as_it_is(&path, &header);

    let mut pages = whole.clone();
    pages[4_096..].fill(0xa5);
    is_left_as_it_is(&path, &pages);

    is_left_as_it_is(&path, &whole[..whole.len() / 2]);
    is_left_as_it_is(&path, b"This was never a database. It is only a text that somebody put here, some way or other.");

    fs::write(&path, &whole).unwrap();
    let store = open(&path).unwrap();
    assert_eq!(store.document(NOTES).unwrap().unwrap().changes.len(), 20, "the whole file still opens");
}

#[test]
fn a_file_of_a_newer_version_is_left_as_it_is() {
    let (_folder, path) = folder();
    drop(filled(open(&path).unwrap()));
    let later = Connection::open(&path).unwrap();
    let now: i64 = later.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(now, 7);
    later.pragma_update(None, "user_version", now + 1).unwrap();
    drop(later);
    let bytes = fs::read(&path).unwrap();
    for _ in 0..2 {
        let refused = refusal(&path);
        assert!(matches!(&refused, StoreError::Newer(named) if *named == path), "{refused}");
        assert_eq!(Error::from(refused).code(), "store_newer");
        assert!(fs::read(&path).unwrap() == bytes, "the newer file was changed");
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let (folder, _) = folder();
    let refused = refusal(&folder.path().join("none/workspace.db"));
    assert!(matches!(&refused, StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound));
}

#[test]
fn who_the_device_is_comes_back() {
    let (_folder, path) = folder();
    let store = open(&path).unwrap();
    assert!(store.identity().unwrap().is_none(), "a new file is nobody's");
    drop(filled(store));

    let mut store = open(&path).unwrap();
    let found = store.identity().unwrap().unwrap();
    assert_eq!((found.workspace, found.server.as_str()), (workspace(), "https://roost.example"));
    assert_eq!((found.name.as_str(), found.joined), ("phone", true));
    assert_eq!(KeyPair::device(&found.device_seed).device_id(), device(PHONE).device_id());
    assert_eq!(found.owner_seed.as_ref().map(|seed| KeyPair::owner(seed).ed()), Some(owner().ed()));
    assert!(found.invite.is_none());

    let loaded = store.load(7).unwrap().unwrap();
    assert_eq!((loaded.workspace, loaded.device), (workspace(), device(PHONE).device_id()));
    assert_eq!((loaded.log.id, loaded.log.cursor().0, loaded.log.authors_of), (LOG, 0, LOG));
    assert_eq!(loaded.held.roster(), shared(&StillClock::new(1)).roster());
    assert!(loaded.is_owner && loaded.pending.is_none() && loaded.outbox.is_empty());
    assert!(!loaded.edited && !loaded.diverged && loaded.resync.is_none());
    assert!(store.create(&identity(), LOG, &[]).is_err(), "one workspace a file");
}

#[test]
fn a_joiner_comes_back_as_far_as_it_got() {
    let (_folder, path) = folder();
    let mut store = open(&path).unwrap();
    let joiner = Identity { owner_seed: None, invite: Some(invite()), joined: false, ..identity() };
    store.create(&joiner, LOG, &[]).unwrap();
    drop(store);

    let mut store = open(&path).unwrap();
    let found = store.identity().unwrap().unwrap();
    assert!(!found.joined && found.owner_seed.is_none());
    assert_eq!(found.invite.as_ref().map(Invite::to_bytes), Some(invite().to_bytes()));
    store.join(shared(&StillClock::new(1)).records(), true).unwrap();
    store.forget_invite().unwrap();
    store.set_server("https://other.example").unwrap();
    drop(store);

    let mut store = open(&path).unwrap();
    let found = store.identity().unwrap().unwrap();
    assert!(found.joined && found.invite.is_none());
    assert_eq!(found.server, "https://other.example");
    let loaded = store.load(7).unwrap().unwrap();
    assert_eq!(loaded.held.records().len(), 3);
    assert!(!loaded.is_owner);
}

#[test]
fn an_image_is_a_whole_copy() {
    let (folder, path) = folder();
    let mut store = filled(open(&path).unwrap());
    store.commit(NOTES, &[b"update"], &Signed::default()).unwrap();
    let image = store.image().unwrap();
    store.commit(NOTES, &[b"later"], &Signed::default()).unwrap();
    // The store is open, and its last commits may be in no page of its file yet.
    let copy = folder.path().join("copy.db");
    fs::write(&copy, image).unwrap();
    let copy = open(&copy).unwrap();
    assert_eq!(copy.identity().unwrap().unwrap().workspace, workspace());
    assert_eq!(changes(&copy), [b"update"]);
}

/// How SQLite syncs (1 normal, 2 full) while it commits an edit, seals rows, proposes a record, commits again.
fn levels(durability: Durability) -> Vec<i64> {
    let connection = in_memory(durability).into_connection();
    connection.execute_batch("CREATE TEMP TABLE seen (level INTEGER)").unwrap();
    let events = ["INSERT ON main.change", "INSERT ON main.outbox", "UPDATE OF pending ON main.workspace"];
    for (number, event) in events.iter().enumerate() {
        let note = "INSERT INTO seen SELECT synchronous FROM pragma_synchronous";
        let trigger = format!("CREATE TEMP TRIGGER see_{number} AFTER {event} BEGIN {note}; END");
        connection.execute_batch(&trigger).unwrap();
    }
    let mut store = Store::over(connection, durability).unwrap();
    store.commit(NOTES, &[b"update"], &Signed::default()).unwrap();
    store.seal(&[sealed(1, None)]).unwrap();
    store.commit(NOTES, &[b"update"], &Signed::default()).unwrap();
    store.propose(&shared(&StillClock::new(1)).records()[0]).unwrap();
    assert!(store.seal(&[sealed(1, None)]).is_err());
    store.commit(NOTES, &[b"update"], &Signed::default()).unwrap();
    let connection = store.into_connection();
    let mut seen = connection.prepare("SELECT level FROM seen").unwrap();
    seen.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn what_leaves_the_device_waits_for_the_disk() {
    assert_eq!(levels(Durability::Process), [1, 2, 1, 2, 1], "commit, seal, commit, propose, commit");
    assert_eq!(levels(Durability::Power), [2; 5]);
}

/// A file as the first release of the store wrote it.
fn of_the_first_release(path: &Path) {
    let first = Connection::open(path).unwrap();
    first.execute_batch(include_str!("../../../src/store/migrations/0001_store.sql")).unwrap();
    first.pragma_update(None, "user_version", 1).unwrap();
    let vv = roost::loro::VersionVector::default().encode();
    first.execute("INSERT INTO document (id, log_vv, edited, schema) VALUES (?1, ?2, 1, 0)", (NOTES.0, vv)).unwrap();
    first.execute("INSERT INTO change (document, bytes) VALUES (?1, ?2)", (NOTES.0, b"from before")).unwrap();
}

#[test]
fn an_older_file_is_copied_before_it_is_migrated() {
    let (folder, path) = folder();
    of_the_first_release(&path);
    assert_eq!(changes(&open(&path).unwrap()), [b"from before"]);
    let backup = folder.path().join("workspace.before-sql-7.db");
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    let copy = Connection::open(&backup).unwrap();
    let version: i64 = copy.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    let saved: Vec<u8> = copy.query_row("SELECT bytes FROM change", [], |row| row.get(0)).unwrap();
    assert_eq!((version, &saved[..]), (1, &b"from before"[..]));
    assert!(!folder.path().join("workspace.before-sql-7.part").exists());
    fs::remove_file(&backup).unwrap();
    drop(open(&path).unwrap());
    assert!(!backup.exists(), "what is migrated is not copied again");
}

#[test]
fn without_a_backup_nothing_is_migrated() {
    let (folder, path) = folder();
    of_the_first_release(&path);
    // A folder in the place of the copy: it can neither be made nor be removed.
    let in_the_way = folder.path().join("workspace.before-sql-7.part");
    fs::create_dir_all(in_the_way.join("full")).unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, StoreError::Io { .. }), "{refused}");
    let file = Connection::open(&path).unwrap();
    let version: i64 = file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 1);
    drop(file);
    fs::remove_dir_all(&in_the_way).unwrap();
    assert_eq!(changes(&open(&path).unwrap()), [b"from before"]);
}

#[test]
fn one_backup_of_each_kind_is_kept() {
    let (folder, path) = folder();
    let mut store = filled(open(&path).unwrap());
    for version in [2, 3] {
        let made = store.begin_migrating(version).unwrap().unwrap();
        assert_eq!(made, folder.path().join(format!("workspace.before-schema-{version}.db")));
        assert_eq!(store.begin_migrating(version).unwrap(), None, "after a crash on the way the copy of before stays");
        store.end_migrating(version).unwrap();
    }
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let backups: Vec<String> = names.filter(|name| name.contains("before")).collect();
    assert_eq!(backups, ["workspace.before-schema-3.db"]);
}
