//! Thin handlers, one file a resource. [`error`] is the only one that names a status.

pub mod body;
pub mod entries;
pub mod error;
pub mod extract;
pub mod health;
pub mod links;
pub mod live;
pub mod roster;
pub mod session;
pub mod tokens;
pub mod workspaces;
