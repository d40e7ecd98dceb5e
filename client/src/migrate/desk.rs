//! The desk: the store, the documents and the names that a migration works on.

use roost_shared::DocumentId;

use crate::documents::cache::Documents;
use crate::documents::names::NameList;
use crate::store::Store;
use crate::sync::Notice;

/// The desk that documents are migrated at: where they lie, and what is to be told of them.
pub(crate) struct Desk<'a> {
    pub(crate) store: &'a mut Store,
    pub(crate) documents: &'a mut Documents,
    pub(crate) names: &'a NameList,
    /// This device may write.
    pub(crate) may_write: bool,
    pub(crate) notices: &'a mut Vec<Notice>,
    /// Documents that a step wrote into.
    pub(crate) derived: &'a mut Vec<DocumentId>,
}
