//! The way from a request to a socket.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use roost_shared::limits::MESSAGE_MAX;

use super::error::ApiError;
use super::extract::{Anonymous, InPath};
use crate::{App, socket};

/// axum's own defaults cost 133 KiB an idle socket.
const SOCKET_BUFFER: usize = 4 * 1024;
/// Room for one message that could not be written whole, with its frame.
const WRITE_BUFFER_MAX: usize = MESSAGE_MAX + 1024;

/// `GET /v1/workspaces/{ws}/live`. The token comes in Hello, never in a request line.
pub async fn upgrade(
    _: Anonymous,
    InPath(workspace): InPath,
    State(app): State<Arc<App>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade?
        .read_buffer_size(SOCKET_BUFFER)
        .write_buffer_size(SOCKET_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
        .max_message_size(MESSAGE_MAX)
        .max_frame_size(MESSAGE_MAX);
    let tracked = app.sockets.token();
    let stop = app.stop.clone();
    Ok(upgrade.on_upgrade(move |socket| async move {
        socket::serve(app, socket, workspace, stop).await;
        drop(tracked);
    }))
}
