//! Tokens for clients without device keys: the owner's device gives them out and takes them back.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use roost_shared::Code;
use roost_shared::hash::Hash;
use roost_shared::limits::{HTTP_BODY_MAX, KEYLESS_LIFE_MAX_S, KEYLESS_TOKENS_MAX, LABEL_TEXT_MAX};
use roost_shared::wire::http::{IssueToken, IssuedToken, TokenInfo, TokensAre};

use super::body::Unread;
use super::error::{ApiError, Done};
use super::extract::{InPathToken, Master};
use crate::app::App;
use crate::clock::now_ms;
use crate::store::{KeylessToken, TokenChange};

/// `POST /v1/workspaces/{ws}/tokens`
pub async fn issue(master: Master, State(app): State<Arc<App>>, body: Unread) -> Result<Json<IssuedToken>, ApiError> {
    let (body, _charge) = body.json::<IssueToken>(&app, master.claims.asker(), HTTP_BODY_MAX).await?;
    if body.label.len() > LABEL_TEXT_MAX || !(1..=KEYLESS_LIFE_MAX_S).contains(&body.expires_in_s) {
        return Err(ApiError::new(Code::BadMessage, "a label has at most 55 bytes, a life 1 second to 366 days"));
    }
    let workspace = master.claims.ws;
    let (now_ms, mut jti) = (now_ms(), [0; 16]);
    getrandom::fill(&mut jti).map_err(|_| Code::RetryLater)?;
    let token = app.access.issue_keyless(workspace, body.expires_in_s, now_ms, jti)?;
    let id = Hash::of(&[&jti]);
    let kept = KeylessToken { id, label: body.label, created_ms: now_ms, expires_ms: token.expires_at_ms };
    let change = TokenChange::Put { token: kept, now_ms, most: KEYLESS_TOKENS_MAX };
    let store = Arc::clone(&app.logs.store);
    let kept = tokio::spawn(async move { store.change_token(workspace, change).await });
    kept.await.map_err(|_| Code::RetryLater)??;
    Ok(Json(IssuedToken { id, token: token.token, expires_at_ms: token.expires_at_ms }))
}

/// `GET /v1/workspaces/{ws}/tokens`: never a token itself.
pub async fn list(master: Master, State(app): State<Arc<App>>) -> Result<Json<TokensAre>, ApiError> {
    let found = app.logs.store.tokens(master.claims.ws).await?;
    let tokens = found.into_iter().map(|token| TokenInfo {
        id: token.id,
        label: token.label,
        created_at_ms: token.created_ms,
        expires_at_ms: token.expires_ms,
    });
    Ok(Json(TokensAre { tokens: tokens.collect() }))
}

/// `DELETE /v1/workspaces/{ws}/tokens/{id}`
pub async fn withdraw(
    master: Master,
    InPathToken(id): InPathToken,
    State(app): State<Arc<App>>,
) -> Result<Done, ApiError> {
    let (workspace, store) = (master.claims.ws, Arc::clone(&app.logs.store));
    let withdrawn = tokio::spawn(async move { store.change_token(workspace, TokenChange::Withdraw { id }).await });
    match withdrawn.await.map_err(|_| Code::RetryLater)?? {
        true => Ok(Done),
        false => Err(Code::NotFound.into()),
    }
}
