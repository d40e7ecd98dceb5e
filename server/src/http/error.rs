//! What a refusal looks like over HTTP: `application/problem+json` with a stable code. The only file that names a
//! status.

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use roost_shared::Code;
use roost_shared::wire::http::{Nonce, Problem};

use crate::store::Refusal;

/// A refusal with the sentence that says what to do.
pub struct ApiError {
    code: Code,
    detail: String,
    log: Option<roost_shared::LogId>,
    nonce: Option<Nonce>,
}

impl ApiError {
    /// A refusal.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), log: None, nonce: None }
    }

    /// A refusal that brings the nonce to sign.
    pub fn nonce(code: Code, nonce: Nonce) -> Self {
        let detail = "sign the nonce with the device key and ask again";
        Self { nonce: Some(nonce), ..Self::new(code, detail) }
    }

    /// The HTTP status that its code goes with.
    pub const fn status(&self) -> u16 {
        status(self.code).as_u16()
    }

    /// The time after which the same request may be tried again, if that alone may help.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.code.is_retryable().then_some(1_000)
    }

    /// A sentence on the cause, and what to do.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self { log: refusal.log, ..refusal.code.into() }
    }
}

impl From<Code> for ApiError {
    fn from(code: Code) -> Self {
        Self::new(code, code.advice())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(Code::BadMessage, rejection.body_text())
    }
}

impl From<WebSocketUpgradeRejection> for ApiError {
    fn from(rejection: WebSocketUpgradeRejection) -> Self {
        Self::new(Code::BadMessage, rejection.body_text())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = status(self.code);
        let mut random = [0; 8];
        let _ = getrandom::fill(&mut random); // an id that repeats is no reason to fail twice
        let request_id = hex::encode(random);
        if self.code != Code::NonceInvalid {
            // A nonce handed out is no refusal worth a line.
            tracing::info!(code = %self.code, %request_id, "refused");
        }
        let retry_after_ms = self.retry_after_ms();
        let problem = Problem {
            kind: format!("about:blank#{}", self.code),
            title: self.code.as_str().replace('_', " "),
            status: status.as_u16(),
            detail: self.detail,
            code: self.code,
            request_id,
            retry_after_ms,
            log: self.log,
            nonce: self.nonce,
        };
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
        if retry_after_ms.is_some() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Done, and nothing to say.
pub struct Done;

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

const fn status(code: Code) -> StatusCode {
    match code {
        Code::BadMessage | Code::ProtocolVersion | Code::EnvelopeInvalid | Code::RosterInvalid => {
            StatusCode::BAD_REQUEST
        }
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::TokenInvalid | Code::TokenExpired | Code::ProofInvalid | Code::NonceInvalid | Code::AudienceMismatch => {
            StatusCode::UNAUTHORIZED
        }
        Code::NotAllowed
        | Code::WrongWorkspace
        | Code::WrongAuthor
        | Code::SignatureInvalid
        | Code::LinkUnavailable
        | Code::AdmissionClosed => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::WorkspaceGone => StatusCode::GONE,
        Code::WorkspaceExists
        | Code::Equivocation
        | Code::LogChanged
        | Code::EpochStale
        | Code::AuthorGap
        | Code::BaseMismatch
        | Code::TailMoved
        | Code::RosterMoved
        | Code::LogKept => StatusCode::CONFLICT,
        Code::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Code::QuotaExceeded | Code::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        Code::Unsupported => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}
