//! Statements about keyless tokens.

use roost_shared::hash::Hash;
use roost_shared::{Code, WorkspaceId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::refused;
use super::rows::{array, int};
use crate::store::{KeylessToken, Refusal, TokenChange};

const COLUMNS: &str = "SELECT id, label, created_ms, expires_ms FROM keyless_token \
     WHERE workspace = (SELECT key FROM workspace WHERE id = ?)";

fn token(row: &SqliteRow) -> Result<KeylessToken, Refusal> {
    Ok(KeylessToken {
        id: Hash(array(row, 0)?),
        label: row.get(1),
        created_ms: row.get::<i64, _>(2).cast_unsigned(),
        expires_ms: row.get::<i64, _>(3).cast_unsigned(),
    })
}

/// All of a workspace, the oldest first.
pub async fn list(connection: &mut SqliteConnection, workspace: WorkspaceId) -> Result<Vec<KeylessToken>, Refusal> {
    let found = sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} ORDER BY created_ms, id")))
        .bind(&workspace.0[..])
        .fetch_all(connection)
        .await
        .map_err(refused)?;
    found.iter().map(token).collect()
}

/// One of them.
pub async fn find(
    connection: &mut SqliteConnection,
    workspace: WorkspaceId,
    id: Hash,
) -> Result<Option<KeylessToken>, Refusal> {
    let found = sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} AND id = ?")))
        .bind(&workspace.0[..])
        .bind(&id.0[..])
        .fetch_optional(connection)
        .await
        .map_err(refused)?;
    found.as_ref().map(token).transpose()
}

/// Changes one, in the writer's transaction; whether it was there before.
pub async fn change(
    connection: &mut SqliteConnection,
    key: i64,
    change: TokenChange,
) -> Result<Result<bool, Refusal>, sqlx::Error> {
    let affected = match change {
        TokenChange::Put { token, now_ms, most } => {
            sqlx::query("DELETE FROM keyless_token WHERE workspace = ? AND expires_ms <= ?")
                .bind(key)
                .bind(int(now_ms))
                .execute(&mut *connection)
                .await?;
            let count: i64 = sqlx::query_scalar("SELECT count(*) FROM keyless_token WHERE workspace = ?")
                .bind(key)
                .fetch_one(&mut *connection)
                .await?;
            if count.cast_unsigned() >= most as u64 {
                return Ok(Err(Code::TooMany.into()));
            }
            sqlx::query(
                "INSERT INTO keyless_token (workspace, id, label, created_ms, expires_ms) VALUES (?, ?, ?, ?, ?) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(key)
            .bind(&token.id.0[..])
            .bind(token.label)
            .bind(int(token.created_ms))
            .bind(int(token.expires_ms))
            .execute(connection)
            .await?
        }
        TokenChange::Withdraw { id } => {
            sqlx::query("DELETE FROM keyless_token WHERE workspace = ? AND id = ?")
                .bind(key)
                .bind(&id.0[..])
                .execute(connection)
                .await?
        }
    };
    Ok(Ok(affected.rows_affected() > 0))
}
