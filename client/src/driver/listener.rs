//! Who follows a workspace: hears what is told, and that it was closed.

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;

/// Dropping it ends the subscription. It does not keep the workspace open.
pub(crate) struct Listener<T> {
    told: broadcast::Receiver<T>,
    closed: watch::Receiver<bool>,
}

impl<T: Clone> Listener<T> {
    pub(crate) fn new(told: &broadcast::Sender<T>, closed: &watch::Sender<bool>) -> Self {
        Self { told: told.subscribe(), closed: closed.subscribe() }
    }

    /// What is told next; all of it before the end.
    pub(crate) async fn heard(&mut self) -> Result<T, RecvError> {
        tokio::select! {
            biased;
            told = self.told.recv() => told,
            _ = self.closed.wait_for(|closed| *closed) => Err(RecvError::Closed),
        }
    }
}
