//! All that a handler or a socket of this server holds.

use roost_shared::wire::message::Seen;
use roost_shared::{Code, WorkspaceId};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{Access, InFlight, Rates};
use crate::clock::now_ms;
use crate::config::Admission;
use crate::log::Logs;

/// The server's parts, shared by its handlers and sockets.
pub struct App {
    pub logs: Logs,
    /// Tokens and proofs.
    pub access: Access,
    /// The rule of who may create a workspace.
    pub admission: Admission,
    pub in_flight: InFlight,
    pub rates: Rates,
    /// Cancelled when the server is to stop.
    pub stop: CancellationToken,
    pub sockets: TaskTracker,
}

impl App {
    /// Keeps how far a device has read, if the device signed that.
    pub async fn see(&self, workspace: WorkspaceId, seen: Seen) -> Result<(), Code> {
        let seen = self.access.witness(&self.logs.store, workspace, seen, now_ms()).await?;
        self.logs.see(workspace, seen).await.map_err(|refusal| refusal.code)
    }
}
