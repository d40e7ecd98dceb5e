//! The tree against a reference written straight from RFC 9162, section 2.1.

use roost_shared::limits::{LOG_ENTRIES_MAX, PROOF_HASHES_MAX};
use roost_shared::tree::{Frontier, consistency_proof, is_consistent, leaf, leaf_of, root};
use roost_shared::{DocumentId, Hash, Kind};
use sha2::{Digest, Sha256};

use crate::samples;

fn sha256(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

fn node(left: Hash, right: Hash) -> Hash {
    sha256(&[&[1u8][..], &left.0, &right.0].concat())
}

/// The largest power of two smaller than `n`, by counting up.
fn k(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// `MTH(D_n)`.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(b""),
        [one] => *one,
        _ => node(mth(&leaves[..k(leaves.len())]), mth(&leaves[k(leaves.len())..])),
    }
}

/// `SUBPROOF(m, D_n, b)`.
fn subproof(m: usize, leaves: &[Hash], b: bool) -> Vec<Hash> {
    let n = leaves.len();
    if m == n {
        return if b { vec![] } else { vec![mth(leaves)] };
    }
    let (left, right) = leaves.split_at(k(n));
    if m <= k(n) {
        [subproof(m, left, b), vec![mth(right)]].concat()
    } else {
        [subproof(m - k(n), right, false), vec![mth(left)]].concat()
    }
}

fn proof(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if m == 0 { vec![] } else { subproof(m, leaves, true) }
}

/// `SUBPROOF` run backwards: the roots over m and n leaves that a proof leads to, if it has the right length.
fn roots_of(m: usize, n: usize, b: bool, known: Hash, proof: &[Hash]) -> Option<(Hash, Hash)> {
    if m == n {
        return match (b, proof) {
            (true, []) => Some((known, known)),
            (false, [one]) => Some((*one, *one)),
            _ => None,
        };
    }
    let (last, rest) = proof.split_last()?;
    if m <= k(n) {
        let (first, second) = roots_of(m, k(n), b, known, rest)?;
        Some((first, node(second, *last)))
    } else {
        let (first, second) = roots_of(m - k(n), n - k(n), false, known, rest)?;
        Some((node(*last, first), node(*last, second)))
    }
}

fn reference_is_consistent(m: usize, m_root: Hash, n: usize, n_root: Hash, proof: &[Hash]) -> bool {
    match m {
        _ if m > n => false,
        0 if n > 0 => proof.is_empty() && m_root == sha256(b""),
        _ => roots_of(m, n, true, m_root, proof) == Some((m_root, n_root)),
    }
}

fn leaves(n: usize) -> Vec<Hash> {
    (0..n).map(|at| leaf(DocumentId([7; 16]), sha256(&at.to_be_bytes()))).collect()
}

fn verifies(m: usize, m_root: Hash, n: usize, n_root: Hash, proof: &[Hash]) -> bool {
    is_consistent(m as u64, m_root, n as u64, n_root, proof)
}

fn altered(hash: Hash) -> Hash {
    let mut other = hash;
    other.0[17] ^= 0x20;
    other
}

#[test]
fn a_leaf_hashes_prefix_document_and_envelope_hash() {
    let document = DocumentId([0xd0; 16]);
    let expected = sha256(&[&[0u8][..], &[0xd0; 16], &[0xe0; 32]].concat());
    assert_eq!(leaf(document, Hash([0xe0; 32])), expected);

    let update = samples::envelope(Kind::Update, b"sealed");
    assert_eq!(leaf_of(&update), leaf(update.header().document, sha256(update.as_bytes())));
}

#[test]
fn root_and_frontier_follow_the_rfc() {
    let all = leaves(200);
    let mut frontier = Frontier::default();
    for n in 0..200 {
        let expected = mth(&all[..n]);
        assert_eq!(root(&all[..n]), expected, "root of {n}");
        assert_eq!(frontier.root(), expected, "frontier of {n}");
        assert_eq!(frontier.size(), n as u64);
        assert_eq!(Frontier::decode(&frontier.encode()).as_ref(), Some(&frontier));
        frontier.append(all[n]);
    }
}

#[test]
fn peaks_are_the_perfect_subtrees_largest_first() {
    let all = leaves(13);
    let mut frontier = Frontier::default();
    all.iter().for_each(|leaf| frontier.append(*leaf));
    assert_eq!(frontier.peaks(), [mth(&all[..8]), mth(&all[8..12]), all[12]]);
    assert_eq!(Frontier::new(13, frontier.peaks().to_vec()), Some(frontier));
}

#[test]
fn a_frontier_needs_as_many_peaks_as_its_size_has_ones() {
    assert_eq!(Frontier::new(3, leaves(1)), None);
    assert_eq!(Frontier::new(4, leaves(2)), None);
    assert_eq!(Frontier::new(0, leaves(1)), None);
    let good = Frontier::new(5, leaves(2)).expect("5 is two ones").encode();
    assert_eq!(good.len(), 8 + 2 * 32);
    for len in 0..good.len() {
        assert_eq!(Frontier::decode(&good[..len]), None, "{len} bytes");
    }
    assert_eq!(Frontier::decode(&[&good[..], &[0]].concat()), None, "a byte too many");
}

#[test]
fn no_frontier_is_larger_than_a_log() {
    let last = Frontier::new(LOG_ENTRIES_MAX, leaves(1)).expect("the longest log there is");
    assert_eq!(Frontier::decode(&last.encode()), Some(last));
    for size in [LOG_ENTRIES_MAX + 1, LOG_ENTRIES_MAX << 1, u64::MAX] {
        let peaks = leaves(size.count_ones() as usize);
        let bytes = peaks.iter().fold(size.to_be_bytes().to_vec(), |bytes, peak| [&bytes[..], &peak.0].concat());
        assert_eq!(Frontier::decode(&bytes), None, "{size}");
        assert_eq!(Frontier::new(size, peaks), None, "{size}");
    }
}

#[test]
fn proofs_are_the_rfcs_and_verify() {
    let all = leaves(64);
    for n in 0..=64 {
        for m in 0..=n {
            let given = consistency_proof(m, &all[..n]);
            assert_eq!(given, proof(m, &all[..n]), "PROOF({m}, D[{n}])");
            assert!(verifies(m, mth(&all[..m]), n, mth(&all[..n]), &given), "{m} is a prefix of {n}");
        }
    }
}

#[test]
fn an_altered_proof_is_refused() {
    let all = leaves(64);
    for n in 1..=64 {
        let n_root = mth(&all[..n]);
        for m in 1..=n {
            let (m_root, given) = (mth(&all[..m]), proof(m, &all[..n]));
            for at in 0..given.len() {
                let mut bad = given.clone();
                bad[at] = altered(bad[at]);
                assert!(!verifies(m, m_root, n, n_root, &bad), "hash {at} of {m} in {n}");
                bad.remove(at);
                assert!(!verifies(m, m_root, n, n_root, &bad), "{m} in {n} without hash {at}");
            }
            let longer = [&given[..], &[n_root]].concat();
            assert!(!verifies(m, m_root, n, n_root, &longer), "{m} in {n} with a hash more");
        }
    }
}

#[test]
fn an_altered_root_is_refused() {
    let all = leaves(64);
    for n in 0..=64 {
        let n_root = mth(&all[..n]);
        for m in 0..=n {
            let (m_root, given) = (mth(&all[..m]), proof(m, &all[..n]));
            assert!(!verifies(m, altered(m_root), n, n_root, &given), "the first root of {m} in {n}");
            // Every tree begins with the empty one, so m = 0 says nothing of the second root.
            if m > 0 || n == 0 {
                assert!(!verifies(m, m_root, n, altered(n_root), &given), "the second root of {m} in {n}");
            }
        }
    }
}

#[test]
fn a_proof_for_other_sizes_is_refused() {
    let all = leaves(65);
    for n in 1..=64 {
        for m in 1..=n {
            let given = proof(m, &all[..n]);
            for (other_m, other_n) in [(m - 1, n), (m + 1, n), (m, n - 1), (m, n + 1)] {
                // Every tree begins with the empty one.
                if other_m > 0 {
                    let (m_root, n_root) = (mth(&all[..other_m]), mth(&all[..other_n]));
                    assert!(!verifies(other_m, m_root, other_n, n_root, &given), "{m} in {n} for {other_m}, {other_n}");
                }
            }
        }
    }
}

/// A root does not say its size, so RFC 9162 lets some wrong sizes pass beside right roots (1 in 3 reads as 1 in 4).
/// Whoever relies on a size must have it from the frontier it counted itself. The reference agrees on which.
#[test]
fn wrong_sizes_beside_right_roots_are_judged_like_the_reference() {
    let all = leaves(24);
    for n in 0..=24 {
        for m in 0..=n {
            let (m_root, n_root, given) = (mth(&all[..m]), mth(&all[..n]), proof(m, &all[..n]));
            for other_n in 0..=26 {
                for other_m in 0..=26 {
                    assert_eq!(
                        verifies(other_m, m_root, other_n, n_root, &given),
                        reference_is_consistent(other_m, m_root, other_n, n_root, &given),
                        "{m} in {n} for {other_m}, {other_n}"
                    );
                }
            }
        }
    }
    assert!(verifies(1, all[0], 4, mth(&all[..3]), &proof(1, &all[..3])), "the case the comment names");
}

#[test]
fn absurd_sizes_and_lengths_end() {
    let many = leaves(PROOF_HASHES_MAX + 1);
    assert!(!is_consistent(1, many[0], u64::MAX, many[1], &many));
    assert!(!is_consistent(1, many[0], u64::MAX, many[1], &many[1..]));
    assert!(!is_consistent(u64::MAX - 1, many[0], u64::MAX, many[1], &many[1..]));
    assert!(!is_consistent(u64::MAX, many[0], 1, many[0], &[]));
}
