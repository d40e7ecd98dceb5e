//! The native side of the seams: Tokio's tasks and timers, the machine's own network.

pub mod network;
pub mod websocket;
pub(crate) mod worker;
