//! Presence: what each device's person looks at just now, said while a socket is live and stored nowhere.

pub mod board;
pub(crate) mod sealed;
