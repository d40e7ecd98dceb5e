//! Documents with edits that are not on the server, and the reason of each.

use std::collections::HashSet;

use roost_shared::roster::Scope;
use roost_shared::{Code, DocumentId, Fault};

use super::Replica;
use crate::documents::held::{Held, HeldReason, Room};
use crate::store::StoreError;
use crate::sync::View;

/// The edits that are kept from the server, and why.
pub(crate) struct Kept {
    pub(crate) held: Vec<Held>,
    /// Whether the held edits are all that is left to do, and none of them goes on by itself.
    pub(crate) is_settled: bool,
}

/// The held edits of a workspace; the store is asked only where something may be unsent.
pub(crate) fn kept(replica: &mut Replica, view: &View, fault: Option<Fault>, room: Option<Room>) -> Kept {
    let unsent = replica.unsent(view).unwrap_or_default();
    let of_all = of_all(view, fault, room);
    let count = unsent.len();
    let held: Vec<Held> = unsent
        .into_iter()
        .filter_map(|(document, reason)| Some(Held { document, reason: reason.or_else(|| of_all.clone())? }))
        .collect();
    let is_caught_up = view.caught_up && !replica.has_work();
    let is_final = held.iter().all(|held| held.reason.is_final());
    Kept { is_settled: is_caught_up && count > 0 && held.len() == count && is_final, held }
}

/// The reason that holds for every document.
fn of_all(view: &View, fault: Option<Fault>, room: Option<Room>) -> Option<HeldReason> {
    if let Some(fault) = fault {
        return Some(HeldReason::Machine(fault));
    }
    if view.diverged {
        return Some(HeldReason::Diverged);
    }
    match refusal(view) {
        Some(Code::QuotaExceeded) => Some(HeldReason::Quota { room }),
        Some(code) => Some(HeldReason::Refused(code)),
        None => (!view.online).then_some(HeldReason::Offline),
    }
}

/// The code with which the server takes nothing.
pub(crate) fn refusal(view: &View) -> Option<Code> {
    view.blocked.or(view.held)
}

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
            } else if self.documents.is_unsent(&mut self.store, document)? {
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
        if !self.schema().reads(needs) {
            return Ok(Some(HeldReason::Behind { needs }));
        }
        Ok(self.left.get(&document).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        View {
            online: true,
            cursor: roost_shared::Cursor(3),
            tail: Some(roost_shared::Cursor(3)),
            outbox: 0,
            held: None,
            edited: false,
            caught_up: true,
            synced: false,
            others: 0,
            seen_by: 0,
            diverged: false,
            forked: false,
            asking: false,
            blocked: None,
        }
    }

    #[test]
    fn what_keeps_everything_back_is_told_in_order_of_what_goes_first() {
        assert_eq!(of_all(&view(), None, None), None, "it is under way");
        let offline = View { online: false, ..view() };
        assert_eq!(of_all(&offline, None, None), Some(HeldReason::Offline));
        assert_eq!(of_all(&offline, Some(Fault::Full), None), Some(HeldReason::Machine(Fault::Full)));
        let kept_out = View { held: Some(Code::StorageFull), ..view() };
        let reason = of_all(&kept_out, None, None).unwrap();
        assert_eq!((reason.code(), reason.is_final()), ("storage_full", false));
        let diverged = View { diverged: true, ..kept_out };
        assert_eq!(of_all(&diverged, None, None), Some(HeldReason::Diverged));
        let full = View { held: Some(Code::QuotaExceeded), ..view() };
        let room = Some(Room::new(9, 10));
        assert_eq!(of_all(&full, None, room), Some(HeldReason::Quota { room }));
    }
}
