//! A document: look, edit, follow.

use loro::{ContainerID, LoroDoc, LoroError};
use roost_shared::DocumentId;
use roost_shared::hash::Hash;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use crate::api::error::Error;
use crate::api::workspace::{Source, Workspace};
use crate::driver::listener::Listener;
use crate::replica::{EditError, Replica};

/// A handle on one document. Cheap to clone.
///
/// ```
/// # use roost::Roost;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let roost = Roost::builder(dir.path()).paused(true).open().await?;
/// # let workspace = roost.create_workspace("http://127.0.0.1:1", "laptop").await?;
/// let notes = workspace.document("notes")?;
/// notes.edit(|loro| loro.get_text("text").insert(0, "plums"))?; // durable here when it returns
/// assert_eq!(notes.read(|loro| loro.get_text("text").to_string())?, "plums");
/// assert!(notes.undo()?);
/// assert_eq!(notes.read(|loro| loro.get_text("text").to_string())?, "");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Document {
    workspace: Workspace,
    id: DocumentId,
}

/// What a document is at one version. Two devices with equal digests hold the same document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Digest {
    /// SHA-256 over the canonical value and the version.
    pub digest: Hash,
    /// How many operations of each peer it holds.
    pub version: Vec<(u64, i32)>,
}

/// Follows one document; dropping it ends the subscription.
pub struct Changes {
    all: Listener<DocumentId>,
    id: DocumentId,
}

impl Workspace {
    /// The document of this name; the same on every device, even when two create it offline.
    pub fn document(&self, name: &str) -> Result<Document, Error> {
        Ok(Document { workspace: self.clone(), id: self.document_named(name)? })
    }
}

impl Document {
    /// Its id.
    pub const fn id(&self) -> DocumentId {
        self.id
    }

    pub(crate) const fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    pub(crate) fn turn(
        &self,
        turn: impl FnOnce(&mut Replica, DocumentId) -> Result<bool, EditError>,
    ) -> Result<bool, Error> {
        let turned = self.workspace.with(|replica| turn(replica, self.id))?;
        self.workspace.poke();
        Ok(turned)
    }

    /// Looks at it. `look` must not edit: use [`Document::edit`].
    pub fn read<T>(&self, look: impl FnOnce(&LoroDoc) -> T) -> Result<T, Error> {
        Ok(self.workspace.look(self.id, |source| match source {
            Source::Replica(replica) => replica.read(self.id, look),
            Source::Reader(reader) => reader.read(look).ok_or_else(EditError::not_open),
        })?)
    }

    /// One commit: everything `edit` does is durable when this returns, or was not done.
    ///
    /// Take containers from the document given to `edit`; do not keep them. For anything that two devices may create
    /// under one key, use Loro's `ensure_mergeable_*`.
    pub fn edit<T>(&self, edit: impl FnOnce(&LoroDoc) -> Result<T, LoroError>) -> Result<T, Error> {
        let edited = self.workspace.with(|replica| replica.edit(self.id, edit))?;
        self.workspace.poke();
        Ok(edited)
    }

    /// [`Document::read`], told the schema version the document is at: where to look depends on it, in an app whose newest
    /// version rewrites documents.
    pub fn read_by_schema<T>(&self, look: impl FnOnce(u32, &LoroDoc) -> T) -> Result<T, Error> {
        Ok(self.workspace.look(self.id, |source| match source {
            Source::Replica(replica) => {
                let schema = replica.schema_of(self.id)?;
                replica.read(self.id, |loro| look(schema, loro))
            }
            Source::Reader(reader) => {
                let read = reader.read(|loro| look(self.workspace.schema_of(self.id, loro), loro));
                read.ok_or_else(EditError::not_open)
            }
        })?)
    }

    /// [`Document::edit`], told the schema version the document is at. Between a question and an edit of its own, a rewrite
    /// could come in, and the words would go where newer apps no longer look.
    pub fn edit_by_schema<T>(&self, edit: impl FnOnce(u32, &LoroDoc) -> Result<T, LoroError>) -> Result<T, Error> {
        let edited = self.workspace.with(|replica| {
            let schema = replica.schema_of(self.id)?;
            replica.edit(self.id, |loro| edit(schema, loro))
        })?;
        self.workspace.poke();
        Ok(edited)
    }

    /// The schema version it is at: the app's newest, or, until a rewrite of it ran, the one before that.
    pub fn schema(&self) -> Result<u32, Error> {
        self.read_by_schema(|schema, _| schema)
    }

    /// The deep value of a container of the document as JSON, with each counter as every device counts it; None if the
    /// document has no such container. (Loro's own value of a counter is a running sum, which depends on the order of
    /// arrival.)
    pub fn value_of(&self, container: &ContainerID) -> Result<Option<Value>, Error> {
        let value = self.workspace.look(self.id, |source| match source {
            Source::Replica(replica) => replica.value_of(self.id, container),
            Source::Reader(reader) => Ok(reader.value_of(container)),
        })?;
        Ok(value.map(Value::from))
    }

    /// Its convergence digest.
    pub fn digest(&self) -> Result<Digest, Error> {
        let (digest, version) = self.workspace.with(|replica| replica.digest(self.id))?;
        Ok(Digest { digest, version })
    }

    /// Follows it from now on.
    pub fn changes(&self) -> Changes {
        Changes { all: self.workspace.changed(), id: self.id }
    }
}

impl Changes {
    /// Waits for the next change, of this device or another. None once the workspace is closed.
    pub async fn next(&mut self) -> Option<()> {
        loop {
            match self.all.heard().await {
                Ok(id) if id == self.id => return Some(()),
                Ok(_) => {}
                // Too many to tell apart: this document may be among them.
                Err(RecvError::Lagged(_)) => return Some(()),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
