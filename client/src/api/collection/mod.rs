//! Collections: records of one type, found by their fields.
//!
//! A collection lies in a document, a field of a record is a value of its own there, and a table beside the document
//! makes it searchable. Reading order: `record` what a type declares, `handle` what an app holds, `batch` writes, `query`
//! finds, `live` follows. Below, untyped: `crate::records`.

mod batch;
mod conflict;
mod handle;
mod hooks;
mod live;
mod query;
mod record;

pub use self::batch::Batch;
pub use self::conflict::Conflict;
pub use self::handle::Collection;
pub use self::hooks::{HookGuard, Writing};
pub use self::live::{Change, Changes, Diff, Live};
pub use self::query::{FieldName, Page, Paired, Query, field};
pub use self::record::{CollectionError, Record, RecordId, Row};
pub use crate::records::fields::{Fields, Merge};
