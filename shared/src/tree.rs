//! The Merkle tree over the log, as RFC 9162 section 2.1 defines it, with SHA-256.
//!
//! leaf = SHA256(0x00 || document id || SHA256(envelope)), node = SHA256(0x01 || left || right), index = Seq − 1;
//! the root of no entries is SHA256("").

use crate::envelope::Envelope;
use crate::hash::Hash;
use crate::id::DocumentId;
use crate::limits::{LOG_ENTRIES_MAX, PROOF_HASHES_MAX};

/// The leaf of an entry, from what a `Leaf` item carries.
pub fn leaf(document: DocumentId, envelope_hash: Hash) -> Hash {
    Hash::of(&[&[0], &document.0, &envelope_hash.0])
}

/// The leaf of an entry, from the entry.
pub fn leaf_of(envelope: &Envelope) -> Hash {
    leaf(envelope.header().document, envelope.hash())
}

fn node(left: Hash, right: Hash) -> Hash {
    Hash::of(&[&[1], &left.0, &right.0])
}

/// The right edge of a tree: the roots of its perfect subtrees, largest first. Enough to append and to know the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// From a size and its peaks; None when their number does not fit the size, or no log is that long.
    pub fn new(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (size <= LOG_ENTRIES_MAX && size.count_ones() as usize == peaks.len()).then_some(Self { size, peaks })
    }

    /// How many leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds the next leaf.
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            hash = node(left, hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root of the tree so far.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev().copied();
        let Some(first) = peaks.next() else {
            return Hash::of(&[]);
        };
        peaks.fold(first, |right, left| node(left, right))
    }

    /// Its bytes in a local store: u64 size, then the peaks.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.size.to_be_bytes().to_vec();
        for peak in &self.peaks {
            out.extend_from_slice(&peak.0);
        }
        out
    }

    /// Reads what [`Frontier::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = crate::bytes::Reader::new(bytes);
        let size = reader.u64().ok()?;
        if reader.remaining() != size.count_ones() as usize * 32 {
            return None;
        }
        let peaks = (0..size.count_ones()).map(|_| reader.array().map(Hash)).collect::<Result<_, _>>().ok()?;
        Self::new(size, peaks)
    }
}

/// The root over leaves held in full (`MTH` of the RFC).
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of(&[]),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(root(left), root(right))
        }
    }
}

/// `PROOF(first, D[n])`: that the tree of the first `first` leaves is a prefix of the tree of all. Empty unless
/// 0 < first < n.
pub fn consistency_proof(first: usize, leaves: &[Hash]) -> Vec<Hash> {
    let mut proof = Vec::new();
    if first > 0 && first < leaves.len() {
        subproof(first, leaves, true, &mut proof);
    }
    proof
}

fn subproof(first: usize, leaves: &[Hash], whole: bool, proof: &mut Vec<Hash>) {
    if first == leaves.len() {
        if !whole {
            proof.push(root(leaves));
        }
        return;
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    if first <= at {
        subproof(first, left, whole, proof);
        proof.push(root(right));
    } else {
        subproof(first - at, right, false, proof);
        proof.push(root(left));
    }
}

/// The largest power of two below `len`, for `len` of at least 2.
const fn split(len: usize) -> usize {
    1 << (len - 1).ilog2()
}

/// Whether `proof` shows that the tree (`first`, `first_root`) is a prefix of (`second`, `second_root`);
/// RFC 9162 section 2.1.4.2.
pub fn is_consistent(first: u64, first_root: Hash, second: u64, second_root: Hash, proof: &[Hash]) -> bool {
    if proof.len() > PROOF_HASHES_MAX || first > second {
        return false;
    }
    if first == second {
        return proof.is_empty() && first_root == second_root;
    }
    if first == 0 {
        return proof.is_empty() && first_root == Hash::of(&[]);
    }
    let mut path = proof.iter().copied();
    let start = if first.is_power_of_two() { Some(first_root) } else { path.next() };
    let Some(start) = start else { return false };
    let (mut first_node, mut second_node) = (first - 1, second - 1);
    while first_node & 1 == 1 {
        first_node >>= 1;
        second_node >>= 1;
    }
    let (mut first_hash, mut second_hash) = (start, start);
    for hash in path {
        if second_node == 0 {
            return false;
        }
        if first_node & 1 == 1 || first_node == second_node {
            first_hash = node(hash, first_hash);
            second_hash = node(hash, second_hash);
            while first_node & 1 == 0 && first_node != 0 {
                first_node >>= 1;
                second_node >>= 1;
            }
        } else {
            second_hash = node(second_hash, hash);
        }
        first_node >>= 1;
        second_node >>= 1;
    }
    second_node == 0 && first_hash == first_root && second_hash == second_root
}
