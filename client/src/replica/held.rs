//! Documents with edits that are not on the server, and the reason of each.

use std::collections::HashSet;

use roost_shared::DocumentId;
use roost_shared::roster::Scope;

use super::Replica;
use crate::held::HeldReason;
use crate::store::{StoreError, where_possible};
use crate::sync::View;

impl Replica {
    /// Documents with edits that are not known to be on the server. With each goes what keeps its own edits back; None where
    /// nothing does but what keeps back everything. Empty at once where all is sent.
    pub(crate) fn unsent(&mut self, view: &View) -> Result<Vec<(DocumentId, Option<HeldReason>)>, StoreError> {
        let may_write = self.scope() == Some(Scope::ReadWrite);
        if may_write && view.outbox == 0 && !view.edited {
            return Ok(Vec::new());
        }
        let mut unsent = Vec::new();
        for document in self.store.edited_documents()? {
            if may_write {
                let reason = self.kept_back(document)?;
                unsent.push((document, reason));
            } else if self.lacks(document)? {
                unsent.push((document, Some(HeldReason::ReadOnly)));
            }
        }
        let edited: HashSet<DocumentId> = unsent.iter().map(|(document, _)| *document).collect();
        let sealed = self.store.sealed_documents()?.into_iter().filter(|document| !edited.contains(document));
        unsent.extend(sealed.map(|document| (document, None)));
        Ok(unsent)
    }

    fn kept_back(&self, document: DocumentId) -> Result<Option<HeldReason>, StoreError> {
        let needs = self.store.document_schema(document)?.reader_min;
        if !self.schema.reads(needs) {
            return Ok(Some(HeldReason::Behind { needs }));
        }
        Ok(self.left.get(&document).cloned())
    }

    /// Whether the log lacks something of a document. A device that may not write seals nothing, and would not find out
    /// otherwise.
    fn lacks(&mut self, document: DocumentId) -> Result<bool, StoreError> {
        let lacks = self.contain(document, |open| Ok(!open.is_in_log()));
        match lacks {
            Ok(false) => {
                where_possible(self.store.not_edited(document))?;
                Ok(false)
            }
            _ => Ok(true),
        }
    }
}
