//! Which parts of a document operations touched.

use std::collections::{BTreeMap, BTreeSet};

use loro::{ContainerID, Index, LoroDoc, VersionVector};

use crate::operations::spans::{containers_in, path_of, spans_since};

/// Root containers, and of those that are maps the keys below which something changed.
pub(crate) type Touched = BTreeMap<String, BTreeSet<String>>;

/// What the operations a document holds beyond `before` touched.
pub(crate) fn touched_since(loro: &LoroDoc, before: &VersionVector) -> Touched {
    let mut touched = Touched::new();
    spans_since(loro, before).into_iter().for_each(|span| touch(loro, &containers_in(loro, span), &mut touched));
    touched
}

/// What operations touched that wrote into these containers. Of what was deleted since, nothing is known.
pub(crate) fn touch(loro: &LoroDoc, containers: &[ContainerID], touched: &mut Touched) {
    for id in containers {
        let Some(path) = path_of(loro, id) else { continue };
        let mut keys = path.into_iter().map(|(_, index)| index);
        let Some(Index::Key(root)) = keys.next() else { continue };
        let records = touched.entry(root.to_string()).or_default();
        if let Some(Index::Key(record)) = keys.next() {
            records.insert(record.to_string());
        }
    }
}
