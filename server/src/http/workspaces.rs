//! Workspaces: create, show, give the log a new id.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use roost_shared::limits::{HTTP_BODY_MAX, HTTP_CHAIN_MAX, ROSTER_CHAIN_MAX};
use roost_shared::roster::{Record, Roster};
use roost_shared::wire::http::{Base64, CreateWorkspace, LogIs, ProposeLog, TokenScope, WorkspaceIs};
use roost_shared::{Code, Cursor, LogId};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use super::body::Unread;
use super::error::ApiError;
use super::extract::{Anonymous, Bearer};
use crate::app::App;
use crate::clock::now_ms;
use crate::config::Admission;
use crate::store::{ChangeLog, rules};

/// Carries the admission key, where one is asked for.
const ADMISSION_HEADER: &str = "roost-admission-key";

/// `POST /v1/workspaces`. Admission comes before all else, whether the workspace exists or not: of who is not let in
/// nothing is read, and it is told nothing.
pub async fn create(
    Anonymous(asker): Anonymous,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Unread,
) -> Result<Json<LogIs>, ApiError> {
    if !is_admitted(&app.admission, &headers) {
        return Err(Code::AdmissionClosed.into());
    }
    let (body, charge) = body.json::<CreateWorkspace>(&app, asker, HTTP_CHAIN_MAX).await?;
    let log = body.log;
    let chain = parse_chain(body.chain)?;
    let workspace = chain.first().ok_or(Code::RosterInvalid)?.workspace;
    if log == LogId::ZERO {
        return Err(Code::BadMessage.into());
    }
    // Signatures cost the most: they are verified off the threads that answer others, and before the one that writes.
    let judged = tokio::task::spawn_blocking(move || (Roster::verify(workspace, &chain).err(), chain, charge));
    let (fault, chain, charge) = judged.await.map_err(|_| Code::RetryLater)?;
    if let Some(fault) = fault
        && app.logs.store.roster_head(workspace).await?.is_none()
    {
        return Err(rules::code_of(fault).into());
    }
    // Detached: a client that goes away must not leave a half-told outcome.
    let store = Arc::clone(&app.logs.store);
    let created = tokio::spawn(async move {
        let created = store.create(workspace, log, chain).await;
        drop(charge);
        created
    });
    let log = created.await.map_err(|_| Code::RetryLater)??;
    Ok(Json(LogIs { log }))
}

fn is_admitted(admission: &Admission, headers: &HeaderMap) -> bool {
    match admission {
        Admission::Open => true,
        Admission::Closed => false,
        Admission::Key(key) => headers
            .get(ADMISSION_HEADER)
            .is_some_and(|shown| bool::from(shown.as_bytes().ct_eq(key.expose_secret().as_bytes()))),
    }
}

/// A chain from JSON; every record well-formed.
pub fn parse_chain(chain: Vec<Base64>) -> Result<Vec<Record>, ApiError> {
    if chain.len() > ROSTER_CHAIN_MAX {
        return Err(Code::TooLarge.into());
    }
    let records = chain.into_iter().map(|record| Record::parse(record.0));
    records.collect::<Result<_, _>>().map_err(|error| ApiError::new(Code::RosterInvalid, error.to_string()))
}

/// `GET /v1/workspaces/{ws}`
pub async fn show(bearer: Bearer, State(app): State<Arc<App>>) -> Result<Json<WorkspaceIs>, ApiError> {
    let found = app.logs.store.workspace(bearer.claims.ws).await?;
    let workspace = found.ok_or(Code::NotFound)?;
    Ok(Json(WorkspaceIs {
        tail: workspace.tail().0,
        root: workspace.frontier.root(),
        floor: 0,
        epoch: workspace.roster.epoch(),
        bytes: workspace.bytes,
        quota_bytes: workspace.quota_bytes,
        logs: workspace.logs,
    }))
}

/// `POST /v1/workspaces/{ws}/log`
pub async fn change_log(bearer: Bearer, State(app): State<Arc<App>>, body: Unread) -> Result<Json<LogIs>, ApiError> {
    let claims = bearer.claims;
    if claims.scope == TokenScope::Join || claims.keyless_id().is_some() {
        return Err(Code::NotAllowed.into());
    }
    let (body, _charge) = body.json::<ProposeLog>(&app, claims.asker(), HTTP_BODY_MAX).await?;
    let change = ChangeLog {
        workspace: claims.ws,
        old: body.old,
        proposed: body.proposed,
        cursor: Cursor(body.cursor),
        root: body.root,
        now_ms: now_ms(),
    };
    let changed = tokio::spawn(async move { app.logs.change(change).await });
    let log = changed.await.map_err(|_| Code::RetryLater)??;
    tracing::warn!(workspace = %change.workspace, device = %claims.sub, %log, "the log has a new id: a device showed that history was lost");
    Ok(Json(LogIs { log }))
}
