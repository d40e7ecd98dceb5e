//! Who asks: taken from a request before a handler runs.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{Version, header};
use axum::middleware::Next;
use axum::response::Response;
use roost_shared::hash::Hash;
use roost_shared::roster::Status;
use roost_shared::wire::http::TokenScope;
use roost_shared::{Code, WorkspaceId};

use super::error::ApiError;
use crate::access::{Asker, Claims};
use crate::app::App;
use crate::clock::now_ms;

/// A request for which no token is needed, within what its address may ask.
pub struct Anonymous(pub Asker);

impl FromRequestParts<Arc<App>> for Anonymous {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let asker = at_address(parts);
        app.rates.stranger(asker)?;
        Ok(Self(asker))
    }
}

/// A device that comes back for a session or a socket, within what its address may ask. A token it may show: then only
/// what it asks itself counts, whoever else is behind its address.
pub struct Returning(pub Asker);

impl FromRequestParts<Arc<App>> for Returning {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let claims = token(parts).and_then(|token| app.access.verify(token, now_ms()).ok());
        let asker = claims.map_or_else(|| at_address(parts), |claims| claims.asker());
        app.rates.returning(asker)?;
        Ok(Self(asker))
    }
}

fn at_address(parts: &Parts) -> Asker {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|connection| connection.0.ip());
    Asker::at(peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

/// The token a request shows; the scheme's name is the same in any case (RFC 9110, section 11.1).
fn token(parts: &Parts) -> Option<&str> {
    let shown = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = shown.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

/// Refuses a request that names no host or more than one (RFC 9112, section 3.2): two proxies would read it in two ways.
pub async fn names_one_host(request: Request, next: Next) -> Result<Response, ApiError> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let is_older = request.version() < Version::HTTP_11;
    match hosts {
        1 => Ok(next.run(request).await),
        0 if is_older => Ok(next.run(request).await),
        _ => Err(ApiError::new(Code::BadMessage, "the request needs one Host header")),
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
        let claims = app.access.verify(token(parts).ok_or(Code::TokenInvalid)?, now_ms())?;
        app.rates.bearer(claims.asker())?;
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
