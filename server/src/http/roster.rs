//! The roster: successor records in, the chain out.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use roost_shared::Code;
use roost_shared::roster::Record;
use roost_shared::wire::http::{Base64, Chain, PostRecord, RecordIs};

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

/// `GET /v1/workspaces/{ws}/roster`
pub async fn chain(bearer: Bearer, State(app): State<Arc<App>>) -> Result<Json<Chain>, ApiError> {
    let chain = app.logs.store.chain(bearer.claims.ws).await?;
    Ok(Json(Chain { chain: chain.iter().map(|record| Base64(record.as_bytes().to_vec())).collect() }))
}
