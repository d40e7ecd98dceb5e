//! The Roost server: ordered opaque bytes, none of which it can read.
//!
//! [`serve`] runs it on a listener; the binary, the `roost` command and the live tests all go through it. From there:
//! `routes` names every route, `http` answers requests, `socket` pumps a WebSocket through a [`session`], and
//! both write through [`log`], which asks a [`store`]. `line` bounds what a connection brings before anyone is known.

mod accept;
pub mod access;
mod app;
pub mod clock;
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

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::access::Rates;
use crate::app::App;
use crate::config::Config;
use crate::fanout::Fanout;
pub use crate::http::error::ApiError;
use crate::log::Logs;
use crate::store::SharedStore;

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
