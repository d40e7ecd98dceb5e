//! The convergence digest: equal on two devices if and only if they hold the same document at the same version.
//!
//! SHA-256 over a canonical form of the deep value, empty roots left out (merely looking at a root creates one), and
//! the sorted version vector. Not snapshot bytes, which differ between equal documents.

use loro::{LoroDoc, LoroValue, VersionVector};
use roost_shared::hash::Hash;

/// The digest and the version it stands for, as `peer:counter` pairs.
pub(super) fn digest(loro: &LoroDoc) -> (Hash, Vec<(u64, i32)>) {
    let version = sorted(&loro.oplog_vv());
    let mut out = Vec::new();
    value(&without_empty_roots(loro.get_deep_value()), &mut out);
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

/// A tag byte, then the length where it varies, then the bytes; map keys in order.
fn value(value: &LoroValue, out: &mut Vec<u8>) {
    let mut tagged = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        out.extend_from_slice(bytes);
    };
    match value {
        LoroValue::Null => tagged(0, &[]),
        LoroValue::Bool(flag) => tagged(1, &[u8::from(*flag)]),
        LoroValue::Double(number) => tagged(2, &number.to_bits().to_be_bytes()),
        LoroValue::I64(number) => tagged(3, &number.to_be_bytes()),
        LoroValue::Binary(bytes) => tagged(4, bytes),
        LoroValue::String(text) => tagged(5, text.as_bytes()),
        LoroValue::Container(id) => tagged(6, id.to_string().as_bytes()),
        LoroValue::List(list) => {
            tagged(7, &(list.len() as u64).to_be_bytes());
            for item in list.iter() {
                self::value(item, out);
            }
        }
        LoroValue::Map(map) => {
            tagged(8, &(map.len() as u64).to_be_bytes());
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by(|one, other| one.0.cmp(other.0));
            for (key, item) in keys {
                self::value(&LoroValue::from(key.as_str()), out);
                self::value(item, out);
            }
        }
    }
}
