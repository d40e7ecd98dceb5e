//! Share links are used up here; they live in the roster.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use roost_shared::hash::Hash;
use roost_shared::limits::HTTP_BODY_MAX;
use roost_shared::wire::http::{Base64, Redeem, Redeemed, TokenScope};
use roost_shared::{Code, DeviceId};

use super::body::Unread;
use super::error::ApiError;
use super::extract::Anonymous;
use crate::app::App;
use crate::clock::now_ms;
use crate::store;

/// `POST /v1/links/redeem`. GET never uses a link up.
pub async fn redeem(
    Anonymous(asker): Anonymous,
    State(app): State<Arc<App>>,
    body: Unread,
) -> Result<Json<Redeemed>, ApiError> {
    let (body, _charge) = body.json::<Redeem>(&app, asker, HTTP_BODY_MAX).await?;
    if body.device == DeviceId::ZERO {
        return Err(ApiError::new(Code::BadMessage, "a link is redeemed by a device: its id is not zeros"));
    }
    let redeem = store::Redeem {
        workspace: body.workspace,
        link_hash: Hash::of(&[&body.link_proof.0]),
        access_hash: Hash::of(&[&body.access_proof.0]),
        device: body.device,
        now_ms: now_ms(),
    };
    let redeeming = Arc::clone(&app);
    let redeemed = tokio::spawn(async move { redeeming.logs.store.redeem(redeem).await });
    redeemed.await.map_err(|_| Code::RetryLater)??;
    let mut jti = [0; 16];
    getrandom::fill(&mut jti).map_err(|_| Code::RetryLater)?;
    let token = app.access.issue(body.workspace, body.device, TokenScope::Join, now_ms(), jti)?;
    let chain = app.logs.store.chain(body.workspace).await?;
    let chain = chain.iter().map(|record| Base64(record.as_bytes().to_vec())).collect();
    Ok(Json(Redeemed { token, chain }))
}
