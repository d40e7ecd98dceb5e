//! The route table, nothing else.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use roost_shared::limits::{HTTP_BODY_MAX, HTTP_CHAIN_MAX};

use crate::App;
use crate::http::{entries, health, links, live, roster, session, workspaces};

/// Every route there is.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/workspaces", post(workspaces::create).layer(DefaultBodyLimit::max(HTTP_CHAIN_MAX)))
        .route("/v1/workspaces/{ws}", get(workspaces::show))
        .route("/v1/workspaces/{ws}/roster", post(roster::append).get(roster::chain))
        .route("/v1/workspaces/{ws}/entries", post(entries::append).get(entries::read))
        .route("/v1/workspaces/{ws}/tree", get(entries::tree))
        .route("/v1/workspaces/{ws}/log", post(workspaces::change_log))
        .route("/v1/workspaces/{ws}/live", get(live::upgrade))
        .route("/v1/session", post(session::ask))
        .route("/v1/links/redeem", post(links::redeem))
        .route("/v1/capabilities", get(health::capabilities))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(health::nothing_here)
        .layer(DefaultBodyLimit::max(HTTP_BODY_MAX))
        .with_state(app)
}
