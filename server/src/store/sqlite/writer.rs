//! The one task that writes. It gathers what waits into one transaction, commits once, and answers after that.
//!
//! No savepoints: a refused write is refused before its first statement, and a statement that fails ends the whole
//! batch, the connection with it (after SQLITE_FULL inside a transaction sqlx's connection is of no more use), and
//! everything kept in memory. Each of the batch is then told to try again, which is always safe.

use std::collections::HashMap;

use roost_shared::roster::Record;
use roost_shared::wire::message::Seen;
use roost_shared::{Code, LogId, Seq, WorkspaceId};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::mpsc;

use super::rows::{self, SqliteFacts};
use super::write::{Answer, Write, after_commit};
use super::{refused, seen, tokens};
use crate::store::links::{admit, invite_of};
use crate::store::rules::{State, created_before};
use crate::store::{Append, Appended, ChangeLog, Redeem, Refusal, TokenChange};

/// Writes in one transaction at the most.
const BATCH_MAX: usize = 64;
/// Workspaces whose state is kept between transactions.
const CACHED_MAX: usize = 4_096;
/// Commits between two attempts to bring the WAL file back to nothing.
const COMMITS_PER_CHECKPOINT: u32 = 4_096;

pub struct Writer {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    quota_bytes: u64,
    cache: HashMap<WorkspaceId, (i64, State)>,
    commits: u32,
}

impl Writer {
    pub fn new(options: SqliteConnectOptions, connection: SqliteConnection, quota_bytes: u64) -> Self {
        Self { options, connection: Some(connection), quota_bytes, cache: HashMap::new(), commits: 0 }
    }

    /// Until [`Write::Close`], or until nobody is left who could send one.
    pub async fn run(mut self, mut waiting: mpsc::Receiver<Write>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let mut closing = None;
            let (mut writes, mut drained) = (Vec::with_capacity(batch.len()), batch.drain(..));
            for write in drained.by_ref() {
                match write {
                    Write::Close { reply } => closing = Some(reply),
                    other => writes.push(other),
                }
            }
            drop(drained);
            if !writes.is_empty() {
                self.commit(writes).await;
            }
            if let Some(reply) = closing {
                self.close().await;
                let _ = reply.send(Ok(()));
                return;
            }
        }
        self.close().await;
    }

    async fn close(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await;
            let _ = connection.close().await;
        }
    }

    async fn commit(&mut self, writes: Vec<Write>) {
        let mut answers = Vec::with_capacity(writes.len());
        let done = self.transaction(writes, &mut answers).await;
        let committed = match done {
            Ok(()) => Ok(()),
            Err(error) => {
                self.connection = None; // drop closes it, and closing rolls back
                self.cache.clear();
                Err(refused(error))
            }
        };
        for answer in answers {
            answer(committed);
        }
        self.checkpoint().await;
    }

    async fn transaction(&mut self, writes: Vec<Write>, answers: &mut Vec<Answer>) -> Result<(), sqlx::Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match SqliteConnection::connect_with(&self.options).await {
                Ok(connection) => connection,
                Err(error) => {
                    for write in writes {
                        answers.push(write.refuse());
                    }
                    return Err(error);
                }
            },
        };
        if self.cache.len() > CACHED_MAX {
            self.cache.clear();
        }
        let begun = sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await;
        let mut failed = begun.err();
        for write in writes {
            if failed.is_some() {
                answers.push(write.refuse());
                continue;
            }
            failed = self.write(&mut connection, write, answers).await.err();
        }
        if let Some(error) = failed {
            return Err(error);
        }
        sqlx::query("COMMIT").execute(&mut connection).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn write(
        &mut self,
        connection: &mut SqliteConnection,
        write: Write,
        answers: &mut Vec<Answer>,
    ) -> Result<(), sqlx::Error> {
        // Whatever happens below, the one who waits gets an answer after the commit.
        macro_rules! answer {
            ($reply:ident, $work:expr) => {{
                let outcome = $work;
                let (outcome, failed) = match outcome {
                    Ok(done) => (done, Ok(())),
                    Err(error) => (Err(Code::RetryLater.into()), Err(error)),
                };
                answers.push(after_commit($reply, outcome));
                failed
            }};
        }
        match write {
            Write::Create { workspace, log, chain, reply } => {
                answer!(reply, self.create(connection, workspace, log, &chain).await)
            }
            Write::Append { append, reply } => answer!(reply, self.append(connection, append).await),
            Write::Record { workspace, record, reply } => {
                answer!(reply, self.record(connection, workspace, &record).await)
            }
            Write::Redeem { redeem, reply } => answer!(reply, self.redeem(connection, redeem).await),
            Write::ChangeLog { change, reply } => answer!(reply, self.change_log(connection, change).await),
            Write::Token { workspace, change, reply } => {
                answer!(reply, self.token(connection, workspace, change).await)
            }
            Write::See { workspace, seen, reply } => answer!(reply, self.see(connection, workspace, seen).await),
            Write::Check { reply } | Write::Close { reply } => {
                answers.push(after_commit(reply, Ok(())));
                Ok(())
            }
        }
    }

    /// The state of a workspace, taken out of the cache: whoever changes it puts it back once its rows are written.
    async fn take(
        &mut self,
        connection: &mut SqliteConnection,
        workspace: WorkspaceId,
    ) -> Result<(i64, State), Refusal> {
        match self.cache.remove(&workspace) {
            Some(held) => Ok(held),
            None => rows::load(connection, workspace).await?.ok_or_else(|| Code::NotFound.into()),
        }
    }

    async fn append(
        &mut self,
        connection: &mut SqliteConnection,
        append: Append,
    ) -> Result<Result<Appended, Refusal>, sqlx::Error> {
        let workspace = append.workspace;
        let (key, mut state) = match self.take(connection, workspace).await {
            Ok(held) => held,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let life = state.life();
        let mut facts = SqliteFacts { connection: &mut *connection, key, life };
        let judged = state.append(&mut facts, append, self.quota_bytes).await;
        let outcome = match judged {
            Ok((appended, new)) => {
                let changed = !new.is_empty();
                for entry in new {
                    rows::insert_entry(connection, key, life, entry).await?;
                }
                if changed {
                    rows::update_workspace(connection, key, &state).await?;
                }
                Ok(appended)
            }
            Err(refusal) => Err(refusal),
        };
        self.cache.insert(workspace, (key, state));
        Ok(outcome)
    }

    async fn create(
        &mut self,
        connection: &mut SqliteConnection,
        workspace: WorkspaceId,
        log: LogId,
        chain: &[Record],
    ) -> Result<Result<LogId, Refusal>, sqlx::Error> {
        match rows::key(connection, workspace).await {
            Ok(Some(key)) => return Ok(create_again(connection, key, log, chain).await),
            Ok(None) => {}
            Err(refusal) => return Ok(Err(refusal)),
        }
        let mut state = State::new(workspace, log);
        let mut entries = Vec::with_capacity(chain.len());
        for record in chain {
            match state.append_record(workspace, record) {
                Ok(row) => entries.push(row),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        let key = rows::insert_workspace(connection, workspace, &state).await?;
        for entry in entries {
            rows::insert_entry(connection, key, 0, entry).await?;
        }
        rows::update_workspace(connection, key, &state).await?;
        rows::derive_tables(connection, key, &state.roster).await?;
        self.cache.insert(workspace, (key, state));
        Ok(Ok(log))
    }

    async fn record(
        &mut self,
        connection: &mut SqliteConnection,
        workspace: WorkspaceId,
        record: &Record,
    ) -> Result<Result<Seq, Refusal>, sqlx::Error> {
        let (key, mut state) = match self.take(connection, workspace).await {
            Ok(held) => held,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let link = match invite_of(record) {
            Some(invite) => rows::link_of_invite(connection, key, invite).await?,
            None => None,
        };
        let admitted = admit(link.as_ref(), record);
        let outcome = match admitted.and_then(|()| state.append_record(workspace, record)) {
            Ok(entry) => {
                let seq = entry.seq;
                rows::insert_entry(connection, key, state.life(), entry).await?;
                rows::update_workspace(connection, key, &state).await?;
                rows::derive_tables(connection, key, &state.roster).await?;
                Ok(seq)
            }
            Err(refusal) => Err(refusal),
        };
        self.cache.insert(workspace, (key, state));
        Ok(outcome)
    }

    async fn redeem(
        &mut self,
        connection: &mut SqliteConnection,
        redeem: Redeem,
    ) -> Result<Result<(), Refusal>, sqlx::Error> {
        let key = match rows::key(connection, redeem.workspace).await {
            Ok(Some(key)) => key,
            Ok(None) => return Ok(Err(Code::LinkUnavailable.into())),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(mut link) = rows::link_row(connection, key, redeem.link_hash).await? else {
            return Ok(Err(Code::LinkUnavailable.into()));
        };
        let before = link;
        let outcome = link.redeem(&redeem);
        if link != before {
            rows::put_link(connection, key, &link).await?;
        }
        Ok(outcome)
    }

    async fn change_log(
        &mut self,
        connection: &mut SqliteConnection,
        change: ChangeLog,
    ) -> Result<Result<LogId, Refusal>, sqlx::Error> {
        let (key, mut state) = match self.take(connection, change.workspace).await {
            Ok(held) => held,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut facts = SqliteFacts { connection: &mut *connection, key, life: state.life() };
        let outcome = match state.change_log(&mut facts, &change).await {
            Ok(changed) => {
                if changed {
                    rows::insert_life(connection, key, &state).await?;
                    rows::update_workspace(connection, key, &state).await?;
                }
                Ok(state.log())
            }
            Err(refusal) => Err(refusal),
        };
        self.cache.insert(change.workspace, (key, state));
        Ok(outcome)
    }

    async fn token(
        &mut self,
        connection: &mut SqliteConnection,
        workspace: WorkspaceId,
        change: TokenChange,
    ) -> Result<Result<bool, Refusal>, sqlx::Error> {
        match self.take(connection, workspace).await {
            Ok((key, state)) => {
                self.cache.insert(workspace, (key, state));
                tokens::change(connection, key, change).await
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    async fn see(
        &mut self,
        connection: &mut SqliteConnection,
        workspace: WorkspaceId,
        new: Seen,
    ) -> Result<Result<bool, Refusal>, sqlx::Error> {
        let (key, state) = match self.take(connection, workspace).await {
            Ok(held) => held,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let kept = seen::keep(connection, key, &state, new).await;
        self.cache.insert(workspace, (key, state));
        kept
    }

    /// SQLite moves WAL pages back by itself, but only a moment without readers lets the file start over.
    async fn checkpoint(&mut self) {
        self.commits += 1;
        if self.commits < COMMITS_PER_CHECKPOINT {
            return;
        }
        self.commits = 0;
        if let Some(connection) = &mut self.connection {
            // Busy readers make it do less; the next one does the rest.
            let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await;
        }
    }
}

/// The answer to creating a workspace that exists. Of its chain as much is read as the request brought: whoever asks need
/// not be anyone in it.
async fn create_again(
    connection: &mut SqliteConnection,
    key: i64,
    log: LogId,
    chain: &[Record],
) -> Result<LogId, Refusal> {
    let logs = rows::lives(connection, key).await?;
    let held = rows::chain(connection, key, Some(chain.len())).await?;
    created_before(&logs, &held, log, chain)
}
