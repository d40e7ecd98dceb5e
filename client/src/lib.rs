//! client
pub mod clock;
pub mod keys;
pub mod replica;
pub mod store;
pub mod sync;
