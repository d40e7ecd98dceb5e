//! The way from a request to a socket.

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, State};
use axum::response::Response;
use roost_shared::limits::MESSAGE_MAX;

use super::error::ApiError;
use super::extract::{InPath, Returning};
use crate::app::App;
use crate::line::Valve;
use crate::socket;

/// axum's own defaults cost 133 KiB an idle socket.
const SOCKET_BUFFER: usize = 4 * 1024;
/// Room for one message that could not be written whole, with its frame.
const WRITE_BUFFER_MAX: usize = MESSAGE_MAX + 1024;

/// `GET /v1/workspaces/{ws}/live`. The token that lets a device in comes in Hello, never in a request line.
pub async fn upgrade(
    Returning(asker): Returning,
    InPath(workspace): InPath,
    State(app): State<Arc<App>>,
    Extension(valve): Extension<Arc<Valve>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade?
        .read_buffer_size(SOCKET_BUFFER)
        .write_buffer_size(SOCKET_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
        .max_message_size(MESSAGE_MAX)
        .max_frame_size(MESSAGE_MAX);
    valve.narrow(app.in_flight.charge(asker, 0));
    let tracked = app.sockets.token();
    let stop = app.stop.clone();
    Ok(upgrade.on_upgrade(move |socket| async move {
        socket::serve(app, socket, valve, workspace, stop).await;
        drop(tracked);
    }))
}
