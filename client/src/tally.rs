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
    /// Containers on the paths that were looked up, from the root to the container that was asked for.
    pub path_steps: u64,
    /// Writes of fields that were held against another device's, to find conflicts.
    pub compared: u64,
    /// Rows of the store that were written or deleted.
    pub stored_rows: u64,
    /// Bytes of updates, snapshots, envelopes and records that were written into the store.
    pub stored_bytes: u64,
    /// Rows of the store that were stepped over in search of others.
    pub scanned_rows: u64,
}

impl Tally {
    const NONE: Self = Self {
        imported_bytes: 0,
        exported_bytes: 0,
        operations: 0,
        containers: 0,
        records: 0,
        path_steps: 0,
        compared: 0,
        stored_rows: 0,
        stored_bytes: 0,
        scanned_rows: 0,
    };
}

thread_local! {
    static TALLY: Cell<Tally> = const { Cell::new(Tally::NONE) };
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

pub(crate) fn stored(bytes: impl AsRef<[u8]>) {
    count(|tally| tally.stored_bytes += bytes.as_ref().len() as u64);
}
