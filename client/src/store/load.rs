//! What the machine starts from, and who this device is.

use std::collections::BTreeMap;

use roost_shared::hash::Hash;
use roost_shared::roster::Record;
use roost_shared::tree::Frontier;
use roost_shared::{Cursor, DeviceId, LogId, WorkspaceId};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Store, StoreError, damaged, unsigned};
use crate::keys::Seed;
use crate::keys::link::Invite;
use crate::sync::SeenAt;
use crate::sync::Stage;
use crate::sync::{Author, Chain, Loaded, Log, OutboxRow};

type Row<T> = Result<T, rusqlite::Error>;

/// Who this device is in a workspace. The seeds lie unencrypted in the file, which only this user may read.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Where it is kept.
    pub server: String,
    /// The device's name.
    pub name: String,
    /// The device's seed.
    pub device_seed: Seed,
    /// The owner's seed, on the device that created the workspace.
    pub owner_seed: Option<Seed>,
    /// The invite this device joined by, until a record wraps a key to its own.
    pub invite: Option<Invite>,
    /// Whether the device is in the workspace; false between redeeming a link and the replace record.
    pub joined: bool,
}

impl Store {
    /// Who this device is, if the file was filled.
    pub fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let found = self.connection.query_row(
            "SELECT id, server, name, device_seed, owner_seed, invite, joined FROM workspace",
            [],
            |row| {
                Ok(Identity {
                    workspace: WorkspaceId(row.get(0)?),
                    server: row.get(1)?,
                    name: row.get(2)?,
                    device_seed: Seed::new(row.get(3)?),
                    owner_seed: row.get::<_, Option<[u8; 32]>>(4)?.map(Seed::new),
                    invite: row.get(5).map(|bytes: Option<_>| bytes.as_ref().map(Invite::from_bytes))?,
                    joined: row.get(6)?,
                })
            },
        );
        Ok(found.optional()?)
    }

    /// Fills a new file; on the disk before it returns.
    pub fn create(&mut self, identity: &Identity, log: LogId, chain: &[Record]) -> Result<(), StoreError> {
        self.synced_transaction(|transaction| {
            transaction.execute(
                "INSERT INTO workspace (one, id, server, name, device_seed, owner_seed, invite, joined, log, frontier, authors_of, resync) \
                 VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?8, 0)",
                params![
                    identity.workspace.0,
                    identity.server,
                    identity.name,
                    identity.device_seed.0,
                    identity.owner_seed.as_ref().map(|seed| seed.0),
                    identity.invite.as_ref().map(Invite::to_bytes),
                    identity.joined,
                    log.0,
                    Frontier::default().encode(),
                ],
            )?;
            hold_chain(transaction, chain)
        })
    }

    /// The replace record is in, or at least the chain it goes on is known.
    pub fn join(&mut self, chain: &[Record], joined: bool) -> Result<(), StoreError> {
        self.synced_transaction(|transaction| {
            transaction.execute("UPDATE workspace SET joined = ?1", [joined])?;
            hold_chain(transaction, chain)
        })
    }

    /// A joiner tries again, perhaps by another link.
    pub fn set_invite(&mut self, invite: &Invite) -> Result<(), StoreError> {
        self.synced_transaction(|transaction| {
            transaction.execute("UPDATE workspace SET invite = ?1", [invite.to_bytes()]).map(|_| ())
        })
    }

    /// The invite has done its work.
    pub fn forget_invite(&mut self) -> Result<(), StoreError> {
        self.transaction(|transaction| transaction.execute("UPDATE workspace SET invite = NULL", []).map(|_| ()))
    }

    /// Whether sync was paused.
    pub fn is_paused(&self) -> Result<bool, StoreError> {
        Ok(self.connection.query_row("SELECT paused FROM workspace", [], |row| row.get(0))?)
    }

    /// Sync is paused, or goes on; also after a restart.
    pub fn set_paused(&mut self, paused: bool) -> Result<(), StoreError> {
        self.transaction(|transaction| transaction.execute("UPDATE workspace SET paused = ?1", [paused]).map(|_| ()))
    }

    /// Writes as little as can be written: whether the machine lets an edit be saved.
    pub fn check_writes(&mut self) -> Result<(), StoreError> {
        self.transaction(|transaction| transaction.execute("UPDATE workspace SET paused = paused", []).map(|_| ()))
    }

    /// Where the workspace is kept from now on.
    pub fn set_server(&mut self, server: &str) -> Result<(), StoreError> {
        self.transaction(|transaction| transaction.execute("UPDATE workspace SET server = ?1", [server]).map(|_| ()))
    }

    /// Everything the machine starts from.
    pub fn load(&mut self, seed: u64) -> Result<Option<Loaded>, StoreError> {
        let Some(identity) = self.identity()? else { return Ok(None) };
        let device = crate::keys::KeyPair::device(&identity.device_seed).device_id();
        let workspace = identity.workspace;
        let loaded = self.look(|transaction| {
            let held = chain(transaction, workspace, 0)?;
            let log = load_log(transaction, workspace)?;
            let (resync, pending) = transaction.query_row("SELECT resync, pending FROM workspace", [], |row| {
                let stage = match row.get::<_, i64>(0)? {
                    1 => Some(Stage::Read),
                    2 => Some(Stage::Reseal),
                    _ => None,
                };
                let pending = row.get::<_, Option<Vec<u8>>>(1)?.map(Record::parse).transpose();
                Ok((stage, pending.map_err(|_| damaged("pending record"))?))
            })?;
            let own_seq = transaction.query_row("SELECT own_seq FROM workspace", [], |row| unsigned(row, 0))?;
            let flag = |sql: &str| transaction.query_row(sql, [], |row| row.get::<_, bool>(0));
            Ok(Loaded {
                workspace,
                device,
                is_owner: identity.owner_seed.is_some(),
                log,
                held,
                pending,
                outbox: outbox(transaction)?,
                resync,
                seen: seen(transaction)?,
                own_seq,
                diverged: flag("SELECT EXISTS (SELECT 1 FROM divergence)")?,
                edited: flag("SELECT EXISTS (SELECT 1 FROM document WHERE edited = 1)")?,
                seed,
            })
        })?;
        Ok(Some(loaded))
    }

    /// Our root after entry `size`, if we read that far.
    pub fn root_at(&self, size: Cursor) -> Result<Option<Hash>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT root FROM leaf WHERE seq = ?1")?;
        Ok(statement.query_row([super::int(size.0)], |row| row.get(0).map(Hash)).optional()?)
    }

    /// The highest epoch of any record this device ever sent, whatever became of it.
    pub fn epoch_top(&self) -> Result<u32, StoreError> {
        Ok(self.connection.query_row("SELECT epoch_top FROM workspace", [], |row| row.get(0))?)
    }

    /// Devices that signed another root of this log than this one has.
    pub fn contradictions(&self) -> Result<Vec<DeviceId>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT DISTINCT device FROM contradiction")?;
        let devices = statement.query_map([], |row| row.get(0).map(DeviceId))?.collect::<Row<_>>()?;
        Ok(devices)
    }

    /// The number of entries in quarantine and of saved changes left out that nobody has accepted.
    pub fn quarantined(&self) -> Result<u64, StoreError> {
        let sql = "SELECT (SELECT count(*) FROM quarantine WHERE accepted = 0) + (SELECT count(*) FROM change WHERE left_out = 1)";
        Ok(self.connection.query_row(sql, [], |row| unsigned(row, 0))?)
    }
}

fn load_log(transaction: &Connection, workspace: WorkspaceId) -> Row<Log> {
    let (id, frontier, authors_of) =
        transaction.query_row("SELECT log, frontier, authors_of FROM workspace", [], |row| {
            Ok((LogId(row.get(0)?), row.get::<_, Vec<u8>>(1)?, LogId(row.get(2)?)))
        })?;
    let frontier = Frontier::decode(&frontier).ok_or_else(|| damaged("frontier"))?;
    let mut statement = transaction.prepare("SELECT device, last, base_size FROM author")?;
    let authors = statement.query_map([], |row| {
        let author = Author { last: unsigned(row, 1)?, base: Cursor(unsigned(row, 2)?) };
        Ok((DeviceId(row.get(0)?), author))
    })?;
    let authors = authors.collect::<Row<_>>()?;
    Ok(Log { id, frontier, authors_of, authors, chain: chain(transaction, workspace, 1)? })
}

fn chain(transaction: &Connection, workspace: WorkspaceId, branch: i64) -> Row<Chain> {
    let mut statement = transaction.prepare("SELECT bytes FROM record WHERE branch = ?1 ORDER BY version")?;
    let records = statement.query_map([branch], |row| row.get::<_, Vec<u8>>(0))?;
    let records: Vec<Record> =
        records.map(|bytes| Record::parse(bytes?).map_err(|_| damaged("roster record"))).collect::<Row<_>>()?;
    Chain::verify(workspace, records).map_err(|_| damaged("roster chain"))
}

fn seen(transaction: &Connection) -> Row<BTreeMap<DeviceId, SeenAt>> {
    let mut statement = transaction.prepare("SELECT device, log, size, root, at_ms FROM seen")?;
    let rows = statement.query_map([], |row| {
        let (size, at_ms) = (unsigned(row, 2)?, unsigned(row, 4)?);
        Ok((DeviceId(row.get(0)?), SeenAt { log: LogId(row.get(1)?), size, root: Hash(row.get(3)?), at_ms }))
    })?;
    rows.collect()
}

fn outbox(transaction: &Connection) -> Row<Vec<OutboxRow>> {
    let mut statement =
        transaction.prepare("SELECT author_seq, document, hash, if_tail, bytes FROM outbox ORDER BY author_seq")?;
    let rows = statement.query_map([], |row| {
        Ok(OutboxRow {
            author_seq: unsigned(row, 0)?,
            document: roost_shared::DocumentId(row.get(1)?),
            hash: Hash(row.get(2)?),
            if_tail: row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned),
            bytes: row.get(4)?,
        })
    })?;
    rows.collect()
}

pub(super) fn hold_chain(transaction: &Connection, chain: &[Record]) -> Row<()> {
    transaction.execute("DELETE FROM record WHERE branch = 0", [])?;
    for record in chain {
        transaction.execute(
            "INSERT INTO record (branch, version, bytes) VALUES (0, ?1, ?2)",
            params![super::int(record.version), record.as_bytes()],
        )?;
    }
    Ok(())
}
