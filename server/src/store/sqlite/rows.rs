//! The statements, each beside the value it reads or writes.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use roost_shared::hash::Hash;
use roost_shared::limits::HEADER_LEN;
use roost_shared::roster::{Record, RecordBody, Roster, Scope, Status};
use roost_shared::tree::Frontier;
use roost_shared::wire::http::LogLife;
use roost_shared::{Code, Cursor, DeviceId, Envelope, Kind, LogId, Seq, WorkspaceId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::refused;
use crate::store::links::{Link, open_links};
use crate::store::rules::{Author, Facts, NewEntry, State};
use crate::store::{Device, Refusal, RosterHead};

type Read<T> = Result<T, Refusal>;

/// SQLite's integers are signed. What a client asks for may lie beyond the sign; nothing stored does.
pub fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(row: &SqliteRow, column: usize) -> u64 {
    row.get::<i64, _>(column).cast_unsigned()
}

/// A fixed-size blob; anything else in the file is damage.
pub fn array<const N: usize>(row: &SqliteRow, column: usize) -> Read<[u8; N]> {
    row.get::<&[u8], _>(column).try_into().map_err(|_| Code::StorageFailed.into())
}

/// The whole state of a workspace, with its key.
pub async fn load(connection: &mut SqliteConnection, workspace: WorkspaceId) -> Read<Option<(i64, State)>> {
    let found = sqlx::query("SELECT key, frontier, bytes, log_changed_ms FROM workspace WHERE id = ?")
        .bind(&workspace.0[..])
        .fetch_optional(&mut *connection)
        .await
        .map_err(refused)?;
    let Some(row) = found else { return Ok(None) };
    let key: i64 = row.get(0);
    let frontier = Frontier::decode(row.get(1)).ok_or(Code::StorageFailed)?;
    let (bytes, log_changed_ms) = (unsigned(&row, 2), unsigned(&row, 3));
    let logs = lives(connection, key).await?;
    let chain = chain(connection, key, None).await?;
    let roster = Roster::verify(workspace, &chain).map_err(|_| Code::StorageFailed)?;
    let authors = authors(connection, key, logs.len().saturating_sub(1)).await?;
    Ok(Some((key, State { logs, frontier, roster: Arc::new(roster), authors, bytes, log_changed_ms })))
}

/// The key of a workspace.
pub async fn key(connection: &mut SqliteConnection, workspace: WorkspaceId) -> Read<Option<i64>> {
    let found = sqlx::query_scalar("SELECT key FROM workspace WHERE id = ?").bind(&workspace.0[..]);
    found.fetch_optional(connection).await.map_err(refused)
}

/// The lives of its log.
pub async fn lives(connection: &mut SqliteConnection, key: i64) -> Read<Vec<LogLife>> {
    let found = sqlx::query("SELECT log, first FROM log_life WHERE workspace = ? ORDER BY number")
        .bind(key)
        .fetch_all(connection)
        .await
        .map_err(refused)?;
    found.iter().map(|row| Ok(LogLife { log: LogId(array(row, 0)?), first: unsigned(row, 1) })).collect()
}

async fn authors(connection: &mut SqliteConnection, key: i64, life: usize) -> Read<HashMap<DeviceId, Author>> {
    // SQLite takes the bare column from the row that has the maximum.
    let found = sqlx::query(
        "SELECT author, max(author_seq), base_size FROM entry WHERE workspace = ? AND life = ? AND kind <> 3 GROUP BY author",
    )
    .bind(key)
    .bind(int(life as u64))
    .fetch_all(connection)
    .await
    .map_err(refused)?;
    found
        .iter()
        .map(|row| {
            let author = Author { last: unsigned(row, 1), base: Cursor(unsigned(row, 2)) };
            Ok((DeviceId(array(row, 0)?), author))
        })
        .collect()
}

/// The roster chain, or the first `most` records of it: the bodies of the control entries.
pub async fn chain(connection: &mut SqliteConnection, key: i64, most: Option<usize>) -> Read<Vec<Record>> {
    let found = sqlx::query(
        "SELECT body FROM entry INDEXED BY entry_control WHERE workspace = ? AND kind = 3 ORDER BY seq LIMIT ?",
    )
    .bind(key)
    .bind(int(most.map_or(u64::MAX, |most| most as u64)))
    .fetch_all(connection)
    .await
    .map_err(refused)?;
    found.iter().map(record).collect()
}

fn record(row: &SqliteRow) -> Read<Record> {
    let envelope = Envelope::parse(row.get(0)).map_err(|_| Code::StorageFailed)?;
    Record::parse(envelope.body().to_vec()).map_err(|_| Code::StorageFailed.into())
}

/// The end of the roster chain: two records at the most, however long it is.
pub async fn roster_head(connection: &mut SqliteConnection, key: i64) -> Read<RosterHead> {
    let newest = sqlx::query(
        "SELECT body FROM entry INDEXED BY entry_control WHERE workspace = ? AND kind = 3 ORDER BY seq DESC LIMIT 1",
    )
    .bind(key)
    .fetch_one(&mut *connection)
    .await
    .map_err(refused)?;
    let newest = record(&newest)?;
    let (version, hash, is_purged) = (newest.version, newest.hash(), matches!(newest.body, RecordBody::Purge));
    if let RecordBody::Owner(owner) = newest.body {
        return Ok(RosterHead { version, hash, is_purged, owner });
    }
    // Between it and the newest lie the records of joins alone: no more than it lists invites.
    let owner = sqlx::query(
        "SELECT body FROM entry INDEXED BY entry_control \
         WHERE workspace = ? AND kind = 3 AND substr(body, 157, 1) = x'01' ORDER BY seq DESC LIMIT 1",
    )
    .bind(key)
    .fetch_one(connection)
    .await
    .map_err(refused)?;
    match record(&owner)?.body {
        RecordBody::Owner(owner) => Ok(RosterHead { version, hash, is_purged, owner }),
        RecordBody::Replace(_) | RecordBody::Purge => Err(Code::StorageFailed.into()),
    }
}

/// One device.
pub async fn device(
    connection: &mut SqliteConnection,
    workspace: WorkspaceId,
    device: DeviceId,
) -> Read<Option<Device>> {
    let found = sqlx::query(
        "SELECT ed, scope, status FROM device WHERE workspace = (SELECT key FROM workspace WHERE id = ?) AND id = ?",
    )
    .bind(&workspace.0[..])
    .bind(&device.0[..])
    .fetch_optional(connection)
    .await
    .map_err(refused)?;
    let Some(row) = found else { return Ok(None) };
    let scope = if row.get::<i64, _>(1) == Scope::ReadWrite as i64 { Scope::ReadWrite } else { Scope::Read };
    let status = match row.get::<i64, _>(2) {
        1 => Status::Active,
        3 => Status::Invite,
        4 => Status::Replaced,
        _ => Status::Revoked,
    };
    Ok(Some(Device { ed: array(&row, 0)?, scope, status }))
}

/// How many entries, and the root there.
pub async fn tail(connection: &mut SqliteConnection, workspace: WorkspaceId) -> Read<(Cursor, Hash)> {
    let row = sqlx::query("SELECT frontier FROM workspace WHERE id = ?")
        .bind(&workspace.0[..])
        .fetch_optional(connection)
        .await
        .map_err(refused)?
        .ok_or(Code::NotFound)?;
    let frontier = Frontier::decode(row.get(0)).ok_or(Code::StorageFailed)?;
    Ok((Cursor(frontier.size()), frontier.root()))
}

/// The root after entry `size`.
pub async fn root_at(connection: &mut SqliteConnection, key: i64, size: Cursor) -> Read<Option<Hash>> {
    let found = sqlx::query("SELECT root FROM entry WHERE workspace = ? AND seq = ?")
        .bind(key)
        .bind(int(size.0))
        .fetch_optional(connection)
        .await
        .map_err(refused)?;
    found.map(|row| Ok(Hash(array(&row, 0)?))).transpose()
}

/// The facts of one workspace inside the writer's transaction.
pub struct SqliteFacts<'a> {
    /// The writer's connection.
    pub connection: &'a mut SqliteConnection,
    /// The workspace.
    pub key: i64,
    /// The current life.
    pub life: usize,
}

#[async_trait]
impl Facts for SqliteFacts<'_> {
    async fn known(&mut self, author: DeviceId, author_seq: u64) -> Read<Option<(Seq, Hash)>> {
        let found = sqlx::query(
            "SELECT seq, envelope_hash FROM entry WHERE workspace = ? AND life = ? AND author = ? AND author_seq = ?",
        )
        .bind(self.key)
        .bind(int(self.life as u64))
        .bind(&author.0[..])
        .bind(int(author_seq))
        .fetch_optional(&mut *self.connection)
        .await
        .map_err(refused)?;
        let Some(row) = found else { return Ok(None) };
        let seq = Seq::new(unsigned(&row, 0)).ok_or(Code::StorageFailed)?;
        Ok(Some((seq, Hash(array(&row, 1)?))))
    }

    async fn root_at(&mut self, size: Cursor) -> Read<Option<Hash>> {
        root_at(self.connection, self.key, size).await
    }
}

/// Inserts a workspace without entries.
pub async fn insert_workspace(
    connection: &mut SqliteConnection,
    workspace: WorkspaceId,
    state: &State,
) -> Result<i64, sqlx::Error> {
    let inserted =
        sqlx::query("INSERT INTO workspace (id, tail, frontier, bytes, log_changed_ms) VALUES (?, 0, ?, 0, 0)")
            .bind(&workspace.0[..])
            .bind(Frontier::default().encode())
            .execute(&mut *connection)
            .await?;
    let key = inserted.last_insert_rowid();
    insert_life(connection, key, state).await?;
    Ok(key)
}

/// Inserts the current life of the log.
pub async fn insert_life(connection: &mut SqliteConnection, key: i64, state: &State) -> Result<(), sqlx::Error> {
    let Some(life) = state.logs.last() else { return Ok(()) };
    sqlx::query("INSERT INTO log_life (workspace, number, log, first) VALUES (?, ?, ?, ?)")
        .bind(key)
        .bind(int(state.life() as u64))
        .bind(&life.log.0[..])
        .bind(int(life.first))
        .execute(connection)
        .await?;
    Ok(())
}

/// Inserts one entry.
pub async fn insert_entry(
    connection: &mut SqliteConnection,
    key: i64,
    life: usize,
    entry: NewEntry,
) -> Result<(), sqlx::Error> {
    let header = entry.envelope.header();
    sqlx::query(
        "INSERT INTO entry (workspace, seq, life, kind, document, author, author_seq, base_size, envelope_hash, root, body) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(key)
    .bind(int(entry.seq.get()))
    .bind(int(life as u64))
    .bind(header.kind as i64)
    .bind(&header.document.0[..])
    .bind(&header.author.0[..])
    .bind(int(header.author_seq))
    .bind(int(header.base_size.0))
    .bind(&entry.envelope_hash.0[..])
    .bind(&entry.root.0[..])
    .bind(entry.envelope.into_bytes())
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes what changes with every entry.
pub async fn update_workspace(connection: &mut SqliteConnection, key: i64, state: &State) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE workspace SET tail = ?, frontier = ?, bytes = ?, log_changed_ms = ? WHERE key = ?")
        .bind(int(state.tail().0))
        .bind(state.frontier.encode())
        .bind(int(state.bytes))
        .bind(int(state.log_changed_ms))
        .bind(key)
        .execute(connection)
        .await?;
    Ok(())
}

/// Rewrites the device and link tables from the roster.
pub async fn derive_tables(connection: &mut SqliteConnection, key: i64, roster: &Roster) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM device WHERE workspace = ?").bind(key).execute(&mut *connection).await?;
    for member in roster.members() {
        let device = &member.device;
        sqlx::query("INSERT INTO device (workspace, id, ed, scope, status) VALUES (?, ?, ?, ?, ?)")
            .bind(key)
            .bind(&device.id.0[..])
            .bind(&device.ed[..])
            .bind(device.scope as i64)
            .bind(device.status as i64)
            .execute(&mut *connection)
            .await?;
    }
    // What the roster does not say (who redeemed, wrong tries) stays with links that are still open.
    let mut open: Vec<Link> = open_links(roster).collect();
    for link in &mut open {
        if let Some(old) = link_row(connection, key, link.link_hash).await? {
            *link = Link { redeemed: old.redeemed, wrong: old.wrong, ..*link };
        }
    }
    sqlx::query("DELETE FROM link WHERE workspace = ?").bind(key).execute(&mut *connection).await?;
    for link in &open {
        put_link(connection, key, link).await?;
    }
    Ok(())
}

/// One link.
pub async fn link_row(
    connection: &mut SqliteConnection,
    key: i64,
    link_hash: Hash,
) -> Result<Option<Link>, sqlx::Error> {
    let found = sqlx::query(
        "SELECT access_hash, invite, not_after_ms, redeemed_by, redeemed_ms, wrong FROM link WHERE workspace = ? AND link_hash = ?",
    )
    .bind(key)
    .bind(&link_hash.0[..])
    .fetch_optional(connection)
    .await?;
    let Some(row) = found else { return Ok(None) };
    let damaged = |_| sqlx::Error::Protocol("a link row is damaged".to_owned());
    let redeemed_by = row.get::<Option<Vec<u8>>, _>(3).map(|id| id.try_into().map(DeviceId)).transpose();
    let redeemed_by = redeemed_by.map_err(|_| sqlx::Error::Protocol("a link row is damaged".to_owned()))?;
    Ok(Some(Link {
        link_hash,
        access_hash: Hash(array(&row, 0).map_err(damaged)?),
        invite: DeviceId(array(&row, 1).map_err(damaged)?),
        not_after_ms: unsigned(&row, 2),
        redeemed: redeemed_by.zip(row.get::<Option<i64>, _>(4).map(i64::cast_unsigned)),
        wrong: u32::try_from(row.get::<i64, _>(5)).unwrap_or(u32::MAX),
    }))
}

/// The link of an invite.
pub async fn link_of_invite(
    connection: &mut SqliteConnection,
    key: i64,
    invite: DeviceId,
) -> Result<Option<Link>, sqlx::Error> {
    let found: Option<Vec<u8>> = sqlx::query_scalar("SELECT link_hash FROM link WHERE workspace = ? AND invite = ?")
        .bind(key)
        .bind(&invite.0[..])
        .fetch_optional(&mut *connection)
        .await?;
    match found.and_then(|hash| hash.try_into().ok()) {
        Some(hash) => link_row(connection, key, Hash(hash)).await,
        None => Ok(None),
    }
}

/// Writes one link.
pub async fn put_link(connection: &mut SqliteConnection, key: i64, link: &Link) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT OR REPLACE INTO link (workspace, link_hash, access_hash, invite, not_after_ms, redeemed_by, redeemed_ms, wrong) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(key)
    .bind(&link.link_hash.0[..])
    .bind(&link.access_hash.0[..])
    .bind(&link.invite.0[..])
    .bind(int(link.not_after_ms))
    .bind(link.redeemed.map(|(device, _)| device.0.to_vec()))
    .bind(link.redeemed.map(|(_, at_ms)| int(at_ms)))
    .bind(i64::from(link.wrong))
    .execute(connection)
    .await?;
    Ok(())
}

const _: () = assert!(Kind::Control as u8 == 3 && HEADER_LEN == 152, "the statements above say so");
