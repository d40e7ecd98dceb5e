//! Statements about how far devices have verified the log.

use roost_shared::wire::message::Seen;
use roost_shared::{DeviceId, LogId, WorkspaceId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::refused;
use super::rows::{array, int};
use crate::store::{Refusal, rules};

const COLUMNS: &str = "SELECT device, log, epoch, size, root, at_ms, signature FROM seen";

fn seen(row: &SqliteRow) -> Result<Seen, Refusal> {
    Ok(Seen {
        device: DeviceId(array(row, 0)?),
        log: LogId(array(row, 1)?),
        epoch: row.get(2),
        size: row.get::<i64, _>(3).cast_unsigned(),
        root: roost_shared::Hash(array(row, 4)?),
        at_ms: row.get::<i64, _>(5).cast_unsigned(),
        signature: array(row, 6)?,
    })
}

/// Of every device of a workspace.
pub async fn list(connection: &mut SqliteConnection, workspace: WorkspaceId) -> Result<Vec<Seen>, Refusal> {
    let sql = format!("{COLUMNS} WHERE workspace = (SELECT key FROM workspace WHERE id = ?) ORDER BY device");
    let found = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&workspace.0[..]).fetch_all(connection).await;
    found.map_err(refused)?.iter().map(seen).collect()
}

/// Keeps one in the writer's transaction, if it is news; whether it is.
pub async fn keep(
    connection: &mut SqliteConnection,
    key: i64,
    state: &rules::State,
    new: Seen,
) -> Result<Result<bool, Refusal>, sqlx::Error> {
    let sql = format!("{COLUMNS} WHERE workspace = ? AND device = ?");
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(key).bind(&new.device.0[..]);
    let held = match query.fetch_optional(&mut *connection).await?.as_ref().map(seen).transpose() {
        Ok(held) => held,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if !state.is_news(&new, held.as_ref()) {
        return Ok(Ok(false));
    }
    sqlx::query(
        "INSERT OR REPLACE INTO seen (workspace, device, log, epoch, size, root, at_ms, signature) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(key)
    .bind(&new.device.0[..])
    .bind(&new.log.0[..])
    .bind(new.epoch)
    .bind(int(new.size))
    .bind(&new.root.0[..])
    .bind(int(new.at_ms))
    .bind(&new.signature[..])
    .execute(connection)
    .await?;
    Ok(Ok(true))
}
