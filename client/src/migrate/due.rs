//! The one decision of when a schema step runs on a document, for every door that operations and rights come in by.

use loro::VersionVector;
use roost_shared::DocumentId;

use super::desk::Desk;
use crate::operations::touched::{Touched, touched_since};
use crate::schema::Schema;
use crate::store::StoreError;

/// The reason why a document is looked at.
#[derive(Clone, Copy)]
pub(crate) enum Why<'a> {
    /// The workspace opens with this schema, before anyone else sees the documents.
    Opened,
    /// Something came that the document waited for: its name, a key, leave to write.
    Pending,
    /// An edit of this device, beyond this version.
    Edited(&'a VersionVector),
    /// An edit of this device that holds its derived fields already, beyond this version.
    Derived(&'a VersionVector),
    /// Operations of others came in beyond this version.
    Merged(&'a VersionVector),
}

impl Why<'_> {
    /// The version up to which the document was looked at; nothing of it was where there is none.
    pub(crate) fn before(&self) -> VersionVector {
        match self {
            Self::Opened | Self::Pending => VersionVector::default(),
            Self::Edited(before) | Self::Derived(before) | Self::Merged(before) => (*before).clone(),
        }
    }
}

/// The steps that are due on a document.
pub(crate) enum Due {
    /// No step: all ran, or the document waits for the tail of the log.
    Nothing,
    /// Some may be, and cannot run now: for want of a name, or of leave to write. The document stays due.
    Later,
    /// Derive steps, on these parts of the document; on all of it where that is None.
    Derive(String, Option<Touched>),
}

/// The steps of a schema that are due on a document, for this reason.
pub(crate) fn due(
    schema: &Schema,
    waits_for_tail: bool,
    at: &mut Desk<'_>,
    id: DocumentId,
    why: Why<'_>,
) -> Result<Due, StoreError> {
    if schema.number() == 0 || matches!(why, Why::Derived(_)) {
        return Ok(Due::Nothing);
    }
    let name = at.names.of(at.store, at.documents, id)?.filter(|name| schema.concerns(name));
    let Some(name) = name.filter(|_| at.may_write) else { return Ok(Due::Later) };
    Ok(match why {
        Why::Opened => Due::Derive(name, None),
        // Its rewrite goes first, at the tail of the log.
        Why::Pending if waits_for_tail && at.store.document_schema(id)?.migrated > 0 => Due::Nothing,
        Why::Pending => Due::Derive(name, None),
        Why::Edited(before) | Why::Derived(before) | Why::Merged(before) => match at.documents.opened(id) {
            Some(open) => Due::Derive(name, Some(touched_since(&open.loro, before))),
            None => Due::Later,
        },
    })
}
