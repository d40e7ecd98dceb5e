//! An app's schema: its versions, and how a document gets from one to the next.
//!
//! Documents live for years on devices that are updated one by one, so a migration is never an event: two versions of
//! the app write the same document for a while. Three kinds of step, from cheap to strict:
//!
//! | step | for | how | offline |
//! |---|---|---|---|
//! | [`View`] | new fields, defaults, renames | no operations: read and written through the schema | yes |
//! | [`Derive`] | fields computed from older fields | a keyed write beside the old ones, equal bytes on every device | yes |
//! | [`Rewrite`] | everything else: text, lists, trees, moving content | once for all devices, at the log's tail | needs the server once |
//!
//! Reading order: this file declares; `gate` is what a document says of itself; `derive` and `rewrite` run a step on a
//! document; `view` reads fields.

mod derive;
pub(crate) mod gate;
mod rewrite;
mod view;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use loro::{LoroError, LoroResult};
use roost_shared::limits::NESTING_MAX;

pub use self::derive::Derive;
pub(crate) use self::derive::{Derivation, Failed, PREFIX as DERIVED, derive, derive_here, effective, is_computed};
pub use self::rewrite::Rewrite;
pub use self::view::View;

/// What a step takes at the most until it is given up, unless the app says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// The versions of an app's schema. A document that no step names needs no schema.
///
/// ```
/// use roost::schema::{Derive, Rewrite, Schema, View};
/// use serde_json::json;
///
/// let schema = Schema::new()
///     .version(2, |version| version.view(View::of("foods").default("unit", "g")))
///     .version(3, |version| {
///         let minutes = |meal: &serde_json::Value| json!({ "minutes": meal["hours"].as_f64().unwrap_or(0.0) * 60.0 });
///         version.derive("diary", Derive::each("meals", ["hours"], ["minutes"], minutes))
///     })
///     .version(4, |version| {
///         version.rewrite("note/*", Rewrite::of(["text"], |loro| {
///             let lines = loro.get_list("lines");
///             for line in loro.get_text("text").to_string().lines() {
///                 lines.push(line)?;
///             }
///             Ok(())
///         }))
///     });
/// assert_eq!(schema.number(), 4);
/// ```
#[derive(Debug, Clone)]
pub struct Schema {
    versions: Vec<Version>,
    number: u32,
    is_raw: bool,
    patience: Duration,
}

/// One version, and the steps that lead to it.
#[derive(Debug, Clone)]
pub struct Version {
    number: u32,
    views: Vec<View>,
    derives: Vec<(Documents, Arc<Derive>)>,
    rewrites: Vec<(Documents, Arc<Rewrite>)>,
}

/// Documents by name, or by how their names begin.
#[derive(Debug, Clone)]
struct Documents(String);

/// What is wrong with a schema as it was declared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Versions go up.
    #[error("schema version {0} does not follow on those before it: declare versions in order, from 2")]
    Order(u32),
    /// It would run for ever, each time on what it wrote the last time.
    #[error("schema version {version} derives {field} from itself: give the new value a new name")]
    DerivesFromItself {
        /// The version.
        version: u32,
        /// The field.
        field: String,
    },
    /// A step without a source or a result.
    #[error("schema version {0} has a step that names no source or no result: name what it reads and what it makes")]
    Empty(u32),
    /// Two steps of one version would write over each other for ever.
    #[error(
        "schema version {version} derives {field} twice: put it into one step, or the second into the next version"
    )]
    DerivesTwice {
        /// The version.
        version: u32,
        /// The field.
        field: String,
    },
    /// Only one rewrite of a document in one version: they would race for its tail.
    #[error(
        "schema version {0} rewrites a document twice: put both into one step, or the second into the next version"
    )]
    RewritesTwice(u32),
    /// The names Roost keeps for itself.
    #[error("schema version {version} names {name}: names that begin with ~ are Roost's own")]
    Reserved {
        /// The version.
        version: u32,
        /// The name.
        name: String,
    },
}

/// A step failed on a document, which is as it was; so are the documents after it.
#[derive(Debug, thiserror::Error)]
#[error("document {document} was not migrated to schema version {version} ({step}): {fault}")]
pub struct MigrationError {
    /// Its name.
    pub document: String,
    /// The version.
    pub version: u32,
    /// The step.
    pub step: String,
    /// What went wrong, and what to do.
    pub fault: Fault,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The step's function panicked.
    #[error("the step panicked: this is a bug of the app; mend the step and open again")]
    Panicked,
    /// Loro refused what it did.
    #[error("{0}: mend the step and open again")]
    Refused(#[from] LoroError),
    /// It answers differently each time it is asked.
    #[error("the step makes another result each time: it must depend on nothing but what it is given")]
    NotRepeatable,
    /// The answer is no object, or has fields that were not declared.
    #[error("the step answers {0}: it must answer an object that holds all the fields it declares, and no others")]
    Answer(String),
    /// The old content must stay for devices that are not updated yet.
    #[error("the step changes {0}, which it moves content out of: leave it, apps not updated yet still write there")]
    LegacyChanged(String),
    /// Two devices that write as one peer diverge for ever.
    #[error("the step sets a peer id: leave it to Roost")]
    PeerChanged,
    /// More than one Append carries.
    #[error("the rewrite is larger than one append takes: split the document, or the step")]
    TooLarge,
    /// It nests too deep.
    #[error("it nests deeper than {NESTING_MAX}: mend the step and open again")]
    TooDeep,
    /// It took too long.
    #[error("it was not done in time: raise the schema's patience, or make the step cheaper")]
    TimedOut,
    /// The document does not load.
    #[error("the document does not load ({0}): it is left as it is; roost doctor says more")]
    Unreadable(String),
}

impl Fault {
    /// A stable name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Panicked => "step_panicked",
            Self::Refused(_) => "step_refused",
            Self::NotRepeatable => "step_not_repeatable",
            Self::Answer(_) => "step_answer",
            Self::LegacyChanged(_) => "legacy_changed",
            Self::PeerChanged => "peer_changed",
            Self::TooLarge => "rewrite_too_large",
            Self::TooDeep => "nested_too_deep",
            Self::TimedOut => "migration_timed_out",
            Self::Unreadable(_) => "document_unreadable",
        }
    }
}

/// How far the migrations of a store are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The store was copied, and the copy checked.
    BackedUp {
        /// The copy.
        backup: PathBuf,
    },
    /// This document's steps are about to run; told again once they ran and are about to be saved.
    Document {
        /// Its name.
        name: String,
        /// How many are done; the second time with this one.
        done: usize,
        /// Of how many.
        of: usize,
    },
}

impl Default for Schema {
    /// An app without a schema: what [`Schema::number`] calls 0. It reads and writes documents as they are.
    fn default() -> Self {
        Self { versions: Vec::new(), number: 0, is_raw: false, patience: PATIENCE }
    }
}

impl Schema {
    /// Version 1: documents as the first release of the app writes them.
    pub fn new() -> Self {
        Self { number: 1, ..Self::default() }
    }

    /// A tool that shows documents as they are, whatever version of whichever app wrote them. Edits of a document that
    /// a rewrite moved on are refused.
    pub fn raw() -> Self {
        Self { is_raw: true, ..Self::default() }
    }

    /// The next version, and the steps that lead to it.
    #[must_use]
    pub fn version(mut self, number: u32, declare: impl FnOnce(Version) -> Version) -> Self {
        let version = Version { number, views: Vec::new(), derives: Vec::new(), rewrites: Vec::new() };
        self.versions.push(declare(version));
        self.number = number;
        self
    }

    /// How long the migrations of a store may take when it is opened: one minute, unless this says otherwise.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The newest version; 0 if there is no schema.
    pub const fn number(&self) -> u32 {
        self.number
    }

    pub(crate) const fn patience_at_most(&self) -> Duration {
        self.patience
    }

    /// Whether it can be run at all.
    pub fn check(&self) -> Result<(), SchemaError> {
        let mut last = 1;
        for version in &self.versions {
            if version.number <= last {
                return Err(SchemaError::Order(version.number));
            }
            last = version.number;
            version.check()?;
        }
        Ok(())
    }

    /// The lowest version that may read a document of this name, as the newest version writes it.
    pub(crate) fn reader_min(&self, name: &str) -> u32 {
        self.rewrites(name).map(|(version, _)| version).last().unwrap_or(0)
    }

    /// Whether a document that needs this version may be read and written.
    pub(crate) const fn reads(&self, reader_min: u32) -> bool {
        self.is_raw || reader_min <= self.number
    }

    /// Whether a document that needs this version may be edited. Without an app's schema it may while it needs none:
    /// what is written where a rewrite no longer looks would be lost to the app.
    pub(crate) const fn edits(&self, reader_min: u32) -> bool {
        if self.is_raw { reader_min == 0 } else { self.reads(reader_min) }
    }

    /// Whether it is no app's schema.
    pub(crate) const fn is_raw(&self) -> bool {
        self.is_raw
    }

    /// Whether any step may write to a document of this name.
    pub(crate) fn concerns(&self, name: &str) -> bool {
        self.versions.iter().any(|version| {
            version.derives.iter().any(|(documents, _)| documents.hold(name))
                || version.rewrites.iter().any(|(documents, _)| documents.hold(name))
        })
    }

    /// The derive steps for documents of this name, up to a version.
    pub(crate) fn derives(&self, name: &str, until: u32) -> Vec<Derivation<'_>> {
        let versions = self.versions.iter().filter(|version| version.number <= until);
        let all = versions.flat_map(|version| version.derives.iter().map(|derive| (version.number, derive)));
        all.filter(|(_, (documents, _))| documents.hold(name))
            .map(|(version, (_, derive))| Derivation { version, derive })
            .collect()
    }

    /// The rewrites of documents of this name, in order.
    pub(crate) fn rewrites(&self, name: &str) -> impl Iterator<Item = (u32, &Arc<Rewrite>)> {
        let all = self.versions.iter().flat_map(|version| {
            version.rewrites.iter().map(|(documents, rewrite)| (version.number, documents, rewrite))
        });
        all.filter(move |(_, documents, _)| documents.hold(name)).map(|(version, _, rewrite)| (version, rewrite))
    }

    /// The newest version before this one.
    pub(crate) fn before(&self, number: u32) -> u32 {
        self.versions.iter().map(|version| version.number).filter(|other| *other < number).max().unwrap_or(1)
    }

    /// A record of a collection as it is stored, as the newest version of the app reads it.
    pub fn read(&self, collection: &str, record: &mut serde_json::Map<String, serde_json::Value>) {
        let views = self.versions.iter().flat_map(|version| &version.views);
        views.filter(|view| view.collection() == collection).for_each(|view| view.read(record));
    }

    /// What a record of a collection is read to hold in a field that it lacks.
    pub fn default_of(&self, collection: &str, field: &str) -> Option<serde_json::Value> {
        let mut empty = serde_json::Map::new();
        self.read(collection, &mut empty);
        empty.remove(field)
    }

    /// The key under which a field of a collection is stored.
    pub fn stored(&self, collection: &str, field: &str) -> String {
        let views = self.versions.iter().rev().flat_map(|version| &version.views);
        let views = views.filter(|view| view.collection() == collection);
        views.fold(field.to_owned(), |field, view| view.stored(&field).to_owned())
    }
}

impl Version {
    /// Fields of a collection are read and written another way.
    #[must_use]
    pub fn view(mut self, view: View) -> Self {
        self.views.push(view);
        self
    }

    /// Fields are computed from older ones, in documents of this name, or of names that begin so (`note/*`).
    #[must_use]
    pub fn derive(mut self, documents: &str, step: Derive) -> Self {
        self.derives.push((Documents(documents.to_owned()), Arc::new(step)));
        self
    }

    /// Documents of this name, or of names that begin so (`note/*`), are rewritten. Apps older than this version do not
    /// read them any more.
    #[must_use]
    pub fn rewrite(mut self, documents: &str, step: Rewrite) -> Self {
        self.rewrites.push((Documents(documents.to_owned()), Arc::new(step)));
        self
    }

    fn check(&self) -> Result<(), SchemaError> {
        for (number, (documents, derive)) in self.derives.iter().enumerate() {
            derive.check(self.number)?;
            let earlier = self.derives[..number].iter().filter(|(earlier, _)| earlier.may_share_with(documents));
            if let Some(field) = earlier.filter_map(|(_, earlier)| earlier.makes_of(derive)).next() {
                return Err(SchemaError::DerivesTwice { version: self.number, field });
            }
        }
        for (_, rewrite) in &self.rewrites {
            rewrite.check(self.number)?;
        }
        let overlap = self.rewrites.iter().enumerate().any(|(index, (documents, _))| {
            self.rewrites[..index].iter().any(|(earlier, _)| earlier.may_share_with(documents))
        });
        if overlap { Err(SchemaError::RewritesTwice(self.number)) } else { Ok(()) }
    }
}

impl Documents {
    fn hold(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => self.0 == name,
        }
    }

    fn may_share_with(&self, other: &Self) -> bool {
        let [one, two] = [self, other].map(|documents| documents.0.strip_suffix('*').unwrap_or(&documents.0));
        self.hold(two) || other.hold(one)
    }
}

/// The names Roost keeps for itself.
fn is_reserved(name: &str) -> bool {
    name.starts_with('~')
}

/// Runs an app's function, which may panic.
fn guarded<T>(step: impl FnOnce() -> LoroResult<T>) -> Result<T, Fault> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)) {
        Ok(done) => Ok(done?),
        Err(_) => Err(Fault::Panicked),
    }
}
