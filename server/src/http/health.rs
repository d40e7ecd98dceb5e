//! For operators and load balancers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use roost_shared::Code;
use roost_shared::wire::PROTOCOL;
use roost_shared::wire::http::Capabilities;

use super::error::ApiError;
use crate::app::App;
use crate::config::Admission;

/// `GET /healthz`: the process answers.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the store reads and writes.
pub async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, ApiError> {
    if app.stop.is_cancelled() {
        return Err(ApiError::new(Code::RetryLater, "stopping"));
    }
    app.logs.store.check().await?;
    Ok("ready\n")
}

/// `GET /v1/capabilities`
pub async fn capabilities(State(app): State<Arc<App>>) -> Json<Capabilities> {
    let admission = match app.admission {
        Admission::Open => "open",
        Admission::Key(_) => "key",
        Admission::Closed => "closed",
    };
    Json(Capabilities {
        protocols: vec![PROTOCOL],
        audience: app.access.audience().to_owned(),
        admission: admission.to_owned(),
    })
}

/// Every other path.
pub async fn nothing_here() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such route; PROTOCOL.md lists them")
}
