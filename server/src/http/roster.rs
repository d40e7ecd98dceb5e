//! The roster: successor records in, the chain out.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use roost_shared::hash::Hash;
use roost_shared::limits::HTTP_BODY_MAX;
use roost_shared::roster::Record;
use roost_shared::wire::http::{Base64, Chain, PostRecord, RecordIs, Recover};
use roost_shared::{Code, WorkspaceId};
use subtle::ConstantTimeEq as _;

use super::body::Unread;
use super::error::ApiError;
use super::extract::{Anonymous, Bearer, InPath};
use crate::app::App;

/// `POST /v1/workspaces/{ws}/roster`. No session: the record carries its own signature.
pub async fn append(
    Anonymous(asker): Anonymous,
    InPath(workspace): InPath,
    State(app): State<Arc<App>>,
    body: Unread,
) -> Result<Json<RecordIs>, ApiError> {
    let (body, charge) = body.json::<PostRecord>(&app, asker, HTTP_BODY_MAX).await?;
    let record = Record::parse(body.record.0).map_err(|error| ApiError::new(Code::RosterInvalid, error.to_string()))?;
    if record.workspace != workspace {
        return Err(Code::WrongWorkspace.into());
    }
    app.logs.may_follow(workspace, &record).await?;
    let version = record.version;
    let appended = tokio::spawn(async move {
        let appended = app.logs.append_record(workspace, record).await;
        drop(charge);
        appended
    });
    let seq = appended.await.map_err(|_| Code::RetryLater)??;
    Ok(Json(RecordIs { seq: seq.get(), version }))
}

/// `POST /v1/workspaces/{ws}/recovery`: the chain, for whoever has the recovery phrase. One answer for a workspace that is
/// not there, one without a phrase, and a wrong proof.
pub async fn recover(
    Anonymous(asker): Anonymous,
    InPath(workspace): InPath,
    State(app): State<Arc<App>>,
    body: Unread,
) -> Result<Json<Chain>, ApiError> {
    // Of the asker: counted for the workspace, a stranger's tries would be taken from its owner.
    app.rates.recovery(asker)?;
    let (body, _charge) = body.json::<Recover>(&app, asker, HTTP_BODY_MAX).await?;
    let head = app.logs.store.roster_head(workspace).await?;
    let verifier = head.map(|head| head.owner.recovery_verifier);
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
