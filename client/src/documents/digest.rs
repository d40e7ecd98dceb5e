//! The convergence digest: equal on two devices if and only if they hold the same document at the same version.
//!
//! SHA-256 over a canonical form of the deep value, empty roots left out (merely looking at a root creates one), and
//! the sorted version vector. Not snapshot bytes, which differ between equal documents. It is a function of the
//! operations alone: neither their order of arrival nor the type that an app reads a root as decides anything.

use loro::{LoroDoc, LoroValue, VersionVector};
use roost_shared::hash::Hash;

use crate::operations::canonical::canonical;
use crate::operations::census::Census;

/// The digest and the version it stands for, as `peer:counter` pairs; `census` has counted to this version.
pub(crate) fn digest(loro: &LoroDoc, census: &Census) -> (Hash, Vec<(u64, i32)>) {
    let version = sorted(&loro.oplog_vv());
    let mut out = Vec::new();
    canonical(&LoroValue::Map(census.values(loro).into_iter().collect()), &mut out);
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
