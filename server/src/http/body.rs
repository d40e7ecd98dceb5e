//! The body of a request, which nobody reads before a handler asks for it: what the head alone refuses costs no byte.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use roost_shared::Code;
use roost_shared::limits::{HTTP_BODY_GRACE_MS, HTTP_BODY_RATE_MIN};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::error::ApiError;
use crate::access::{Asker, Charge};
use crate::app::App;

/// A body that was not read yet.
pub struct Unread {
    body: Body,
    is_json: bool,
}

impl FromRequest<Arc<App>> for Unread {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, Infallible> {
        let is_json = is_json(request.headers());
        Ok(Self { body: request.into_body(), is_json })
    }
}

impl Unread {
    /// Reads the body whole. Its bytes are charged to the asker, as they arrive and for as long as the charge is kept: until
    /// what they hold was dealt with.
    pub async fn bytes(mut self, app: &App, asker: Asker, max: usize) -> Result<(Vec<u8>, Charge), ApiError> {
        let too_large = || ApiError::new(Code::TooLarge, format!("the body is longer than {max} bytes"));
        let announced = usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > max {
            return Err(too_large());
        }
        let mut charge = app.in_flight.charge(asker, announced);
        let mut bytes = Vec::new();
        let began = Instant::now();
        loop {
            let frame = match timeout_at(began + patience(bytes.len()), self.body.frame()).await {
                Ok(Some(frame)) => frame.map_err(|_| ApiError::new(Code::BadMessage, "the body breaks off"))?,
                Ok(None) => return Ok((bytes, charge)),
                Err(_) => return Err(ApiError::new(Code::RetryLater, "the body comes too slowly: send it again")),
            };
            let Ok(chunk) = frame.into_data() else { continue };
            if bytes.len() + chunk.len() > max {
                return Err(too_large());
            }
            charge.add(chunk.len())?;
            if bytes.capacity() - bytes.len() < chunk.len() {
                // By a quarter: what is held stays near what was charged.
                bytes.reserve_exact(chunk.len().max(bytes.len() / 4));
            }
            bytes.extend_from_slice(&chunk);
        }
    }

    /// Reads the body whole, as JSON.
    pub async fn json<T: DeserializeOwned>(self, app: &App, asker: Asker, max: usize) -> Result<(T, Charge), ApiError> {
        if !self.is_json {
            return Err(ApiError::new(Code::BadMessage, "the body needs Content-Type: application/json"));
        }
        let (bytes, charge) = self.bytes(app, asker, max).await?;
        let value = serde_json::from_slice(&bytes);
        let value =
            value.map_err(|error| ApiError::new(Code::BadMessage, format!("the body does not parse: {error}")))?;
        Ok((value, charge))
    }
}

/// The time from its beginning within which a body has to bring more than these bytes.
fn patience(arrived: usize) -> Duration {
    Duration::from_millis(HTTP_BODY_GRACE_MS + arrived as u64 * 1_000 / HTTP_BODY_RATE_MIN)
}

/// `application/json`, or what ends in `+json`, whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.strip_prefix("application/").is_some_and(|rest| rest == "json" || rest.ends_with("+json"))
}
