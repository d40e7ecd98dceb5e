//! Access tokens for devices that prove their key.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use roost_shared::Code;
use roost_shared::limits::HTTP_BODY_MAX;
use roost_shared::wire::http::{AskSession, Base64, Nonce, TokenIs};

use super::body::Unread;
use super::error::ApiError;
use super::extract::Returning;
use crate::app::App;
use crate::clock::now_ms;

/// `POST /v1/session`
pub async fn ask(
    Returning(asker): Returning,
    State(app): State<Arc<App>>,
    body: Unread,
) -> Result<Json<TokenIs>, ApiError> {
    let (body, _charge) = body.json::<AskSession>(&app, asker, HTTP_BODY_MAX).await?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| Code::RetryLater)?;
    match app.access.session(&*app.logs.store, &body, now_ms(), random).await {
        Ok(token) => Ok(Json(token)),
        Err(Code::NonceInvalid) => {
            let nonce = Base64(app.access.nonce(now_ms(), random));
            let audience = app.access.audience().to_owned();
            Err(ApiError::nonce(Code::NonceInvalid, Nonce { nonce, audience }))
        }
        Err(code) => Err(code.into()),
    }
}
