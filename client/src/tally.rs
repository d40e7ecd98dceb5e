//! A count of the work on documents, for the tests that show it in proportion to a change.

use std::cell::Cell;

/// Work of one thread on documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes that Loro read.
    pub imported_bytes: u64,
    /// Bytes that Loro wrote.
    pub exported_bytes: u64,
    /// Operations of histories that were walked, each as often as it was.
    pub operations: u64,
    /// Containers that were looked at.
    pub containers: u64,
    /// Records that were read out of a document.
    pub records: u64,
}

thread_local! {
    static TALLY: Cell<Tally> = const {
        Cell::new(Tally { imported_bytes: 0, exported_bytes: 0, operations: 0, containers: 0, records: 0 })
    };
}

/// The work of this thread since the last call.
pub fn take() -> Tally {
    TALLY.take()
}

pub(crate) fn count(work: impl FnOnce(&mut Tally)) {
    let mut tally = TALLY.get();
    work(&mut tally);
    TALLY.set(tally);
}

pub(crate) fn imported(bytes: &[u8]) {
    count(|tally| tally.imported_bytes += bytes.len() as u64);
}

pub(crate) fn exported(bytes: &[u8]) {
    count(|tally| tally.exported_bytes += bytes.len() as u64);
}
