//! The error of an edit or a look at a document.

use loro::LoroError;
use roost_shared::limits::{CONTAINER_NAME_MAX, NESTING_MAX, VALUE_MAX};

use crate::store::StoreError;

/// The reason why an edit was not made. The document is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// Loro refused a step of the edit.
    #[error("the edit does not fit the document: {}", plainly(.0))]
    Loro(#[from] LoroError),
    /// The edit nests containers or values too deep.
    #[error("the edit nests deeper than {NESTING_MAX}: no device could show it")]
    TooDeep,
    /// The local store did not take the edit.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The first epoch's key is not here, on which names hang.
    #[error("this device holds no key for names yet: let it sync once")]
    NoKey,
    /// A newer app rewrote the document.
    #[error(
        "a newer version of the app rewrote this document (schema {needs}): update the app; what you wrote is kept"
    )]
    Behind {
        /// The schema version that reads it.
        needs: u32,
    },
    /// The document is at a schema version of its app, and this program knows none.
    #[error(
        "this document is at schema version {needs} of its app, which this program does not know: edit the document \
         with the app, schema version {needs} or newer; reading the document is fine"
    )]
    NeedsApp {
        /// The schema version that the document needs at least.
        needs: u32,
    },
    /// The closure set a peer id, or allowed edits of older versions: two devices that write as one peer diverge for ever.
    #[error("the edit sets a peer id: leave it to Roost")]
    PeerChanged,
    /// The closure left the document at an older version.
    #[error("the edit leaves the document at another version: look back with read_at, or call checkout_to_latest")]
    Detached,
    /// The closure imported a snapshot without its history, which rejects what other devices wrote before it.
    #[error("the edit imports a shallow snapshot: export the document with its whole history (a full snapshot)")]
    Shallow,
    /// The edit's operations alone would not bring about what the closure saw.
    #[error("the edit does more than its operations say, and would not be the same after a restart: nothing was saved")]
    Unprovable,
    /// One value that cannot be split does not fit into an update.
    #[error(
        "the edit holds a value of more than {VALUE_MAX} bytes, or a container whose keys have more than {CONTAINER_NAME_MAX}, which cannot be sent: split it, or keep it elsewhere"
    )]
    TooLarge,
    /// A counter would go beyond 2^53 or to no finite number, or a whole number would be rounded.
    #[error("the edit counts to no finite number, or beyond 9007199254740992: keep larger numbers as text")]
    Uncountable,
    /// Two types of one collection that keep its fields in different ways.
    #[error("{0} is in use with other fields: types of one collection declare the same Record::fields")]
    OtherForm(String),
    /// This device may only read.
    #[error("this device may only read this workspace")]
    ReadOnly,
    /// The store holds bytes Loro does not read.
    #[error("the document does not load: {0}")]
    Unreadable(String),
}

impl EditError {
    pub(crate) fn not_open() -> Self {
        Self::Unreadable("it is not open".to_owned())
    }
}

/// Loro's words, without the place in its sources that it adds to some.
fn plainly(error: &LoroError) -> String {
    match error {
        LoroError::OutOfBound { pos, len, .. } => format!("position {pos} is beyond the end, which is at {len}"),
        error => error.to_string(),
    }
}
