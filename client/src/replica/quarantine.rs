//! Entries put aside: listed, tried again, accepted.

use super::Replica;
use crate::store::{Quarantined, StoreError};

impl Replica {
    /// The entries that were put aside.
    pub fn quarantine(&self) -> Result<Vec<Quarantined>, StoreError> {
        self.store.quarantine()
    }

    /// Tries to merge an entry that was put aside again, with the others of its document, or all entries. How many were
    /// merged.
    pub fn retry_quarantined(&mut self, seq: Option<u64>) -> Result<usize, StoreError> {
        let (seqs, documents) = self.store.requeue(seq)?;
        for document in documents {
            self.unsound.remove(&document);
            self.open.remove(&document);
        }
        self.merge_all()?;
        let mut merged = 0;
        for seq in seqs {
            merged += usize::from(self.store.is_merged(seq)?);
        }
        Ok(merged)
    }

    /// Leaves an entry that was put aside as it is: it is kept, and no longer counted. False if there is none.
    pub fn accept_quarantined(&mut self, seq: u64) -> Result<bool, StoreError> {
        self.store.accept(seq)
    }
}
