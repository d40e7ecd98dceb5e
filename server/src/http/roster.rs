//! The roster: successor records in, the chain out.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use roost_shared::hash::Hash;
use roost_shared::roster::Record;
use roost_shared::wire::http::{Base64, Chain, PostRecord, RecordIs, Recover};
use roost_shared::{Code, WorkspaceId};
use subtle::ConstantTimeEq as _;

use super::error::ApiError;
use super::extract::{Anonymous, Bearer, InPath};
use crate::App;

/// `POST /v1/workspaces/{ws}/roster`. No session: the record carries its own signature.
pub async fn append(
    _: Anonymous,
    InPath(workspace): InPath,
    State(app): State<Arc<App>>,
    body: Result<Json<PostRecord>, JsonRejection>,
) -> Result<Json<RecordIs>, ApiError> {
    let Json(body) = body?;
    let record = Record::parse(body.record.0).map_err(|error| ApiError::new(Code::RosterInvalid, error.to_string()))?;
    if record.workspace != workspace {
        return Err(Code::WrongWorkspace.into());
    }
    let version = record.version;
    let appended = tokio::spawn(async move { app.logs.append_record(workspace, record).await });
    let seq = appended.await.map_err(|_| Code::RetryLater)??;
    Ok(Json(RecordIs { seq: seq.get(), version }))
}

/// `POST /v1/workspaces/{ws}/recovery`: the chain, for whoever has the recovery phrase. One answer for a workspace that is
/// not there, one without a phrase, and a wrong proof.
pub async fn recover(
    _: Anonymous,
    InPath(workspace): InPath,
    State(app): State<Arc<App>>,
    body: Result<Json<Recover>, JsonRejection>,
) -> Result<Json<Chain>, ApiError> {
    let Json(body) = body?;
    app.recoveries.check_key(&workspace).map_err(|_| Code::TooMany)?;
    let found = app.logs.store.workspace(workspace).await?;
    let verifier = found.and_then(|found| found.roster.owner().map(|owner| owner.recovery_verifier));
    let verifier = verifier.filter(|verifier| *verifier != [0; 32]).ok_or(Code::ProofInvalid)?;
    if !bool::from(Hash::of(&[&body.proof.0]).0.ct_eq(&verifier)) {
        return Err(Code::ProofInvalid.into());
    }
    answer(&app, workspace).await
}

async fn answer(app: &App, workspace: WorkspaceId) -> Result<Json<Chain>, ApiError> {
    let chain = app.logs.store.chain(workspace).await?;
    Ok(Json(Chain { chain: chain.iter().map(|record| Base64(record.as_bytes().to_vec())).collect() }))
}

/// `GET /v1/workspaces/{ws}/roster`
pub async fn chain(bearer: Bearer, State(app): State<Arc<App>>) -> Result<Json<Chain>, ApiError> {
    answer(&app, bearer.claims.ws).await
}
