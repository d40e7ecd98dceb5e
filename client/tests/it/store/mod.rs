//! The local store: its file, and its transactions.

pub mod fault;
mod file;
mod open_rows;
mod writes;

use std::collections::BTreeMap;

use roost::keys::Seed;
use roost::store::{Durability, Identity, SealedRow, Store};
use roost::sync::OutboxRow;
use roost_shared::{DocumentId, Hash, LogId};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::fixtures::{PHONE, StillClock, shared, workspace};

const LOG: LogId = LogId([0x22; 16]);
const NOTES: DocumentId = DocumentId([0x33; 16]);

fn identity() -> Identity {
    Identity {
        workspace: workspace(),
        server: "https://roost.example".to_owned(),
        name: "phone".to_owned(),
        device_seed: Seed::new([PHONE; 32]),
        owner_seed: Some(Seed::new([1; 32])),
        invite: None,
        joined: true,
    }
}

/// With an identity and a chain of three records.
fn filled(mut store: Store) -> Store {
    let chain = shared(&StillClock::new(1));
    store.create(&identity(), LOG, chain.records()).unwrap();
    store
}

/// What is saved of the notes beside their snapshot.
fn changes(store: &Store) -> Vec<Vec<u8>> {
    store.document(NOTES).unwrap().unwrap().changes.into_iter().map(|change| change.bytes).collect()
}

fn in_memory(durability: Durability) -> Store {
    filled(Store::over(Connection::open_in_memory().unwrap(), durability).unwrap())
}

fn sealed(author_seq: u64, until: Option<loro::VersionVector>) -> SealedRow {
    let bytes = vec![author_seq as u8; 300];
    SealedRow { row: OutboxRow { author_seq, document: NOTES, hash: Hash::of(&[&bytes]), if_tail: None, bytes }, until }
}

/// Every row of every table of a store in memory, as the file has them.
fn rows(store: &Store) -> BTreeMap<String, Vec<Vec<Value>>> {
    let image = store.image().unwrap();
    let mut connection = Connection::open_in_memory().unwrap();
    connection.deserialize_read_exact("main", image.as_slice(), image.len(), false).unwrap();
    let mut tables = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let names: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    names.into_iter().map(|name| (name.clone(), rows_of(&connection, &name))).collect()
}

fn rows_of(connection: &Connection, table: &str) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns = statement.column_count();
    let rows = statement
        .query_map([], |row| (0..columns).map(|column| row.get::<_, Value>(column)).collect::<Result<Vec<_>, _>>());
    rows.unwrap().map(Result::unwrap).collect()
}
