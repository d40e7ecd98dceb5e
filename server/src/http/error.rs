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

    /// When the same request may be tried again, if that alone may help.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.code.is_retryable().then_some(1_000)
    }

    /// What happened, and what to do.
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
        Self::new(code, advice(code))
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

const fn advice(code: Code) -> &'static str {
    match code {
        Code::TokenInvalid => "the token is not one of this server: ask POST /v1/session for one",
        Code::TokenExpired => "the token ran out: ask POST /v1/session for a new one",
        Code::ProofInvalid => "the signature is not that of an active device over this nonce",
        Code::NotAllowed => "the token's scope or the roster does not allow this",
        Code::NotFound => "there is no such thing here",
        Code::WorkspaceGone => "the owner purged this workspace; devices keep what they have",
        Code::WorkspaceExists => "the workspace exists: use it, its log id is in this answer",
        Code::Equivocation => "other bytes are in the log under this author_seq: resync",
        Code::LogChanged => "the log has the id in this answer now: resync",
        Code::EpochStale => "the epoch has moved on: read to the tail and seal again",
        Code::AuthorGap => "author_seq is not the next one: resync",
        Code::BaseMismatch => "the signed base is not this log's: resync",
        Code::TailMoved => "the log has grown since: read to the tail and try again",
        Code::QuotaExceeded => "the workspace is full: compact it, or raise the server's --quota-bytes",
        Code::RosterMoved => "the roster has moved: read it and build the record again",
        Code::RosterInvalid => "the record breaks a rule of the roster",
        Code::LinkUnavailable => "the link is used, expired, revoked or wrong: ask for a new one",
        Code::LogKept => {
            "the evidence shows no other log, the proposed id was used before, or the last change is less than an hour old"
        }
        Code::AdmissionClosed => "this server does not take new workspaces without its admission key",
        Code::StorageFull => "the server's disk is full: nothing was lost, free some space and try again",
        Code::StorageFailed => "the server's database does not work: see its log",
        Code::TooMany => "too many requests, or too much unfinished, from this address or device: wait",
        Code::Unsupported => "this server does not do that yet",
        Code::SignatureInvalid => "the signature is not that of the key that must sign",
        Code::WrongWorkspace => "it belongs to another workspace",
        Code::WrongAuthor => "the envelope names another author than the device that sent it",
        Code::EnvelopeInvalid => "the bytes are no envelope that may be appended",
        _ if code.is_retryable() => "try again later",
        _ => "the request breaks a rule of the protocol: PROTOCOL.md has this code",
    }
}
