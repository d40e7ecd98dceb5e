//! Who asks: taken from a request before a handler runs.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Path};
use axum::http::header;
use axum::http::request::Parts;
use roost_shared::hash::Hash;
use roost_shared::roster::Status;
use roost_shared::wire::http::TokenScope;
use roost_shared::{Code, WorkspaceId};

use super::error::ApiError;
use crate::App;
use crate::access::Claims;
use crate::telemetry::now_ms;

/// A request without a session, within what its address may ask.
pub struct Anonymous;

impl FromRequestParts<Arc<App>> for Anonymous {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|connection| connection.0.ip());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        app.anonymous.check_key(&peer).map_err(|_| Code::TooMany)?;
        Ok(Self)
    }
}

/// The workspace of the path.
pub struct InPath(pub WorkspaceId);

impl FromRequestParts<Arc<App>> for InPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let path = Path::<HashMap<String, String>>::from_request_parts(parts, app).await;
        let path = path.map_err(|_| Code::NotFound)?;
        let workspace = path.get("ws").and_then(|text| text.parse().ok());
        workspace.map(Self).ok_or_else(|| Code::NotFound.into())
    }
}

/// The token id of the path.
pub struct InPathToken(pub Hash);

impl FromRequestParts<Arc<App>> for InPathToken {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let path = Path::<HashMap<String, String>>::from_request_parts(parts, app).await;
        let path = path.map_err(|_| Code::NotFound)?;
        let id = path.get("token").and_then(|text| Hash::parse(text));
        id.map(Self).ok_or_else(|| Code::NotFound.into())
    }
}

/// A valid token for the workspace of the path. No handler can reach another one.
pub struct Bearer {
    /// What the token says.
    pub claims: Claims,
}

impl FromRequestParts<Arc<App>> for Bearer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or(Code::TokenInvalid)?;
        let claims = app.access.verify(token, now_ms())?;
        let InPath(workspace) = InPath::from_request_parts(parts, app).await?;
        if claims.ws != workspace {
            return Err(Code::NotAllowed.into());
        }
        // The roster has the last word: a device that went reads nothing, whatever its token says. A joiner is not
        // listed yet. A token without a device is good until it is withdrawn.
        let store = &app.logs.store;
        let is_in = match (claims.keyless_id(), store.device(claims.ws, claims.sub).await?) {
            (Some(id), _) => store.token(claims.ws, id).await?.is_some(),
            (None, Some(device)) => device.status == Status::Active,
            (None, None) => claims.scope == TokenScope::Join,
        };
        if is_in { Ok(Self { claims }) } else { Err(Code::NotAllowed.into()) }
    }
}

/// The same, shown by a device that holds the owner key.
pub struct Master {
    /// What the token says.
    pub claims: Claims,
}

impl FromRequestParts<Arc<App>> for Master {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let Bearer { claims } = Bearer::from_request_parts(parts, app).await?;
        if claims.scope == TokenScope::Master { Ok(Self { claims }) } else { Err(Code::NotAllowed.into()) }
    }
}
