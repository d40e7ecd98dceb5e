//! The driver: carries the replica's outputs out and hands back what they bring.
//!
//! Reading order: `courier` decides, `shared` is what handles and worker share, `native` is Tokio's side of the seams.

pub mod courier;
pub(crate) mod listener;
pub mod native;
pub(crate) mod shared;
