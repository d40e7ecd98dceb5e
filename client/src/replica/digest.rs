//! The convergence digest: equal on two devices if and only if they hold the same document at the same version.
//!
//! SHA-256 over a canonical form of the deep value, empty roots left out (merely looking at a root creates one), and
//! the sorted version vector. Not snapshot bytes, which differ between equal documents.

use loro::{LoroDoc, LoroValue, VersionVector};
use roost_shared::hash::Hash;

use crate::canonical::canonical;

/// The digest and the version it stands for, as `peer:counter` pairs.
pub(super) fn digest(loro: &LoroDoc) -> (Hash, Vec<(u64, i32)>) {
    let version = sorted(&loro.oplog_vv());
    let mut out = Vec::new();
    canonical(&without_empty_roots(loro.get_deep_value()), &mut out);
    for (peer, counter) in &version {
        out.extend_from_slice(&peer.to_be_bytes());
        out.extend_from_slice(&counter.to_be_bytes());
    }
    (Hash::of(&[b"roost/v1/digest\0", &out]), version)
}

fn sorted(vv: &VersionVector) -> Vec<(u64, i32)> {
    let mut pairs: Vec<(u64, i32)> =
        vv.iter().filter(|(_, counter)| **counter > 0).map(|(peer, counter)| (*peer, *counter)).collect();
    pairs.sort_unstable();
    pairs
}

fn without_empty_roots(value: LoroValue) -> LoroValue {
    let LoroValue::Map(roots) = &value else { return value };
    let full = roots.iter().filter(|(_, root)| !is_empty(root));
    LoroValue::Map(full.map(|(name, root)| (name.clone(), root.clone())).collect())
}

fn is_empty(value: &LoroValue) -> bool {
    match value {
        LoroValue::Null => true,
        LoroValue::String(text) => text.is_empty(),
        LoroValue::List(list) => list.is_empty(),
        LoroValue::Map(map) => map.is_empty(),
        LoroValue::Double(number) => *number == 0.0, // an untouched counter
        LoroValue::Bool(_) | LoroValue::I64(_) | LoroValue::Binary(_) | LoroValue::Container(_) => false,
    }
}
