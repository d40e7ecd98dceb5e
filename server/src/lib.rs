//! The Roost server: ordered opaque bytes, none of which it can read.
//!
//! [`serve`] runs it on a listener; the binary, the `roost` command and the live tests all go through it. From there:
//! `routes` names every route, `http` answers requests, `socket` pumps a WebSocket through a [`session`], and
//! both write through [`log`], which asks a [`store`]. `line` bounds what a connection brings before anyone is known.

mod accept;
pub mod access;
pub mod config;
pub mod fanout;
mod http;
mod line;
pub mod log;
pub mod routes;
pub mod session;
mod socket;
pub mod store;
pub mod telemetry;

use std::sync::Arc;

use roost_shared::roster::Status;
use roost_shared::wire::http::TokenScope;
use roost_shared::wire::message::Seen;
use roost_shared::{Code, DeviceId, WorkspaceId};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::access::{Access, InFlight, Rates};
use crate::config::{Admission, Config};
use crate::fanout::Fanout;
pub use crate::http::error::ApiError;
use crate::log::Logs;
use crate::store::SharedStore;
use crate::telemetry::now_ms;

/// What every handler and socket holds.
pub struct App {
    /// The logs.
    pub logs: Logs,
    /// Tokens and proofs.
    pub access: Access,
    admission: Admission,
    in_flight: InFlight,
    rates: Rates,
    stop: CancellationToken,
    sockets: tokio_util::task::TaskTracker,
}

impl App {
    /// Whether a device is in the workspace now. A store that cannot answer is no reason to throw it out.
    async fn is_active(&self, workspace: WorkspaceId, device: DeviceId) -> bool {
        match self.logs.store.device(workspace, device).await {
            Ok(device) => device.is_some_and(|device| device.status == Status::Active),
            Err(_) => true,
        }
    }

    /// Keeps how far a device has read.
    async fn see(&self, workspace: WorkspaceId, seen: Seen) -> Result<(), Code> {
        let seen = self.access.witness(&self.logs.store, workspace, seen, now_ms()).await?;
        self.logs.see(workspace, seen).await.map_err(|refusal| refusal.code)
    }

    /// Checks a fresh token for a socket that is `who`; says when it runs out.
    fn renew(&self, who: Option<(WorkspaceId, DeviceId)>, token: &str) -> Result<u64, Code> {
        let claims = self.access.verify(token, now_ms())?;
        let same = who == Some((claims.ws, claims.sub)) && claims.scope != TokenScope::Join;
        if same { Ok(claims.exp * 1_000) } else { Err(Code::NotAllowed) }
    }
}

/// Serves until `stop` is cancelled, then drains: sockets are told to come back, requests under way are finished, and
/// the store is closed.
pub async fn serve(listener: TcpListener, config: Config, store: SharedStore, stop: CancellationToken) {
    let app = Arc::new(App {
        logs: Logs { store: Arc::clone(&store), fanout: Fanout::default() },
        access: config.access,
        admission: config.admission,
        in_flight: config.in_flight,
        rates: Rates::default(),
        stop: stop.clone(),
        sockets: tokio_util::task::TaskTracker::new(),
    });
    accept::run(listener, routes::router(Arc::clone(&app)), app.sockets.clone(), stop).await;
    store.close().await;
}

/// Binds, says where through `listening`, and serves until SIGTERM or SIGINT.
pub async fn run(
    settings: config::Settings,
    listening: impl FnOnce(std::net::SocketAddr),
) -> Result<(), config::ConfigError> {
    let failed = |source| config::ConfigError::Listen { listen: settings.listen, source };
    let store = settings.open_store().await?;
    let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let config = settings.config(address)?;
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        stopping.cancel();
    });
    listening(address);
    serve(listener, config, store, stop).await;
    Ok(())
}
