//! Entries over HTTP, for a device without a live socket.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use roost_shared::limits::{HTTP_BODY_MAX, PAGE_TARGET};
use roost_shared::wire::codec::{decode_envelopes, encode_items};
use roost_shared::wire::http::{AppendedIs, TreeIs};
use roost_shared::wire::message::Item;
use roost_shared::{Code, Cursor, Envelope};
use serde::Deserialize;

use super::body::Unread;
use super::error::ApiError;
use super::extract::Bearer;
use crate::app::App;
use crate::log;
use crate::store::Append;

/// `POST /v1/workspaces/{ws}/entries?if_tail=`
#[derive(Deserialize)]
pub struct AppendQuery {
    if_tail: Option<u64>,
}

/// Appends. Without a Hello, the envelope signatures are the proof that goes with the token.
pub async fn append(
    bearer: Bearer,
    State(app): State<Arc<App>>,
    query: Result<Query<AppendQuery>, QueryRejection>,
    body: Unread,
) -> Result<Json<AppendedIs>, ApiError> {
    let Query(query) = query?;
    let claims = bearer.claims;
    if !claims.may_append() {
        return Err(Code::NotAllowed.into()); // before its body and signatures cost anything
    }
    let (body, charge) = body.bytes(&app, claims.asker(), HTTP_BODY_MAX).await?;
    let envelopes = decode_envelopes(&body).map_err(|error| ApiError::new(log::code_of(error), error.to_string()))?;
    let envelopes = log::parse(envelopes)?;
    drop(body);
    let workspace = app.logs.store.workspace(claims.ws).await?.ok_or(Code::NotFound)?;
    let member = workspace.roster.member(claims.sub).ok_or(Code::NotAllowed)?;
    // Signatures cost the most: off the threads that answer others.
    let key = member.key;
    let checked = tokio::task::spawn_blocking(move || {
        let signed = envelopes.iter().all(|envelope: &Envelope| envelope.is_signed_by(&key));
        signed.then_some(envelopes)
    });
    let envelopes = checked.await.map_err(|_| Code::RetryLater)?.ok_or(Code::SignatureInvalid)?;
    let append = Append {
        workspace: claims.ws,
        device: claims.sub,
        may_append: true,
        if_tail: query.if_tail.map(Cursor),
        envelopes,
    };
    let appended = tokio::spawn(async move {
        let appended = app.logs.append(append).await;
        drop(charge);
        appended
    });
    let appended = appended.await.map_err(|_| Code::RetryLater)??;
    Ok(Json(AppendedIs { seqs: appended.seqs.iter().map(|seq| seq.get()).collect() }))
}

/// `GET /v1/workspaces/{ws}/entries?after=&max_bytes=`
#[derive(Deserialize)]
pub struct ReadQuery {
    #[serde(default)]
    after: u64,
    max_bytes: Option<usize>,
}

/// Reads a page.
pub async fn read(
    bearer: Bearer,
    State(app): State<Arc<App>>,
    query: Result<Query<ReadQuery>, QueryRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let Query(query) = query?;
    let claims = bearer.claims;
    let max_bytes = query.max_bytes.unwrap_or(PAGE_TARGET);
    let page = app.logs.read(claims.ws, Cursor(query.after), max_bytes).await?;
    let reached = page.entries.last().map_or(query.after, |entry| entry.seq.get());
    let mut items: Vec<Item> = page
        .entries
        .into_iter()
        .map(|entry| match entry.body {
            Some(bytes) => Item::Envelope { seq: entry.seq.get(), bytes },
            None => Item::Leaf { seq: entry.seq.get(), document: entry.document, envelope_hash: entry.envelope_hash },
        })
        .collect();
    if reached == page.tail.0 {
        items.push(Item::Tail { seq: page.tail.0, root: page.root });
    }
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], encode_items(&items)))
}

/// `GET /v1/workspaces/{ws}/tree?first=&second=`
#[derive(Deserialize)]
pub struct TreeQuery {
    first: u64,
    second: u64,
}

/// Two roots and a consistency proof.
pub async fn tree(
    bearer: Bearer,
    State(app): State<Arc<App>>,
    query: Result<Query<TreeQuery>, QueryRejection>,
) -> Result<Json<TreeIs>, ApiError> {
    let Query(query) = query?;
    Ok(Json(app.logs.tree(bearer.claims.ws, Cursor(query.first), Cursor(query.second)).await?))
}
