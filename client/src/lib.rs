//! Local-first sync for apps whose user has several devices.
//!
//! Documents are Loro CRDTs. Every device holds all of them in a local SQLite file and edits them offline; a server
//! that stores bytes it cannot read keeps the devices in step.
//!
//! Begin at [`Roost::builder`]. A [`Workspace`] holds [`Document`]s; an edit is durable here when
//! [`Document::edit`] returns, and durable on the server when [`Status::on_server`] says so. A [`Collection`] holds
//! records of one type; [`schema`] says how documents of an older release become those of this one.
//!
//! Below that face: [`replica`] is one workspace without IO, driven by the worker over real sockets and by a
//! simulator over simulated ones; [`sync`] is its every decision, pure; [`store`] its one SQLite file.

mod api;
pub mod clock;
mod documents;
pub mod driver;
pub mod keys;
pub mod members;
mod migrate;
mod operations;
pub mod presence;
mod records;
pub mod replica;
pub mod schema;
pub mod store;
pub mod sync;
#[doc(hidden)]
pub mod tally;
pub mod transport;

pub use loro;
pub use roost_shared::hash::Hash;
pub use roost_shared::roster::{Scope, Status as DeviceStatus};
pub use roost_shared::wire::http::{IssuedToken, TokenInfo};
pub use roost_shared::{Code, DeviceId, DocumentId, Fault, Plain, WorkspaceId};
pub use serde_json as json;

pub use crate::api::collection::{
    Batch, Change, Changes as RecordChanges, Collection, CollectionError, Conflict, Diff, FieldName, Fields, HookGuard,
    Live, Merge, Page, Paired, Query, Record, RecordId, Row, Writing, field,
};
pub use crate::api::document::{Changes, Digest, Document};
pub use crate::api::error::Error;
pub use crate::api::history::{Difference, Revision};
pub use crate::api::owner::{DeviceInfo, NewLink, Sharing};
pub use crate::api::roost::{Builder, Roost};
pub use crate::api::version::{Version, VersionError};
pub use crate::api::workspace::Workspace;
pub use crate::documents::held::{Held, HeldReason, Room};
pub use crate::keys::link::ShareLink;
pub use crate::keys::recovery::RecoveryPhrase;
pub use crate::operations::insertion::insert_text;
pub use crate::presence::board::Presence;
pub use crate::replica::Status;
pub use crate::store::{Comparison, Condition, DocumentSchema, Durability, LateEdit, Place, Quarantined};
pub use crate::sync::{Notice, SyncReport};

/// The README's snippets compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
