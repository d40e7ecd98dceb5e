//! Damaged Loro blobs whose checksums are right, so that Loro reads on where a damaged disk or wire would end.
//!
//! A blob (loro 1.17): `loro` | 12 bytes 0 | XXH32 | 2 bytes of mode | body, the checksum with seed `LORO` over all after
//! it. The body of a snapshot: three times a length of 4 bytes, little-endian, and a table of blocks: history, state,
//! and what a shallow one begins with. A table: `LORO` | version | blocks, each closed by its XXH32 | count, an entry a
//! block, XXH32 over the entries | offset of the count.

use roost::loro::{ExportMode, LoroDoc, LoroResult, TreeParentId};
use xxhash_rust::xxh32::xxh32;

const SEED: u32 = u32::from_le_bytes(*b"LORO");
const HEAD: usize = 22;
const CHECKSUM: std::ops::Range<usize> = 16..20;

/// SplitMix64 (Steele, Lea, Flood 2014): the same damage on every machine.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }
}

/// A document with everything Loro has in it.
pub fn document(random: &mut Random) -> LoroResult<LoroDoc> {
    let loro = LoroDoc::new();
    loro.set_peer_id(random.next())?;
    edit(&loro, random)?;
    Ok(loro)
}

/// A dozen edits.
pub fn edit(loro: &LoroDoc, random: &mut Random) -> LoroResult<()> {
    let (text, map, list) = (loro.get_text("text"), loro.get_map("map"), loro.get_list("list"));
    let (movable, tree) = (loro.get_movable_list("movable"), loro.get_tree("tree"));
    for _ in 0..12 {
        match random.below(7) {
            0 => {
                let at = random.below(text.len_unicode() + 1);
                text.insert(at, &format!("{:x}", random.next()))?;
            }
            1 if text.len_unicode() > 4 => text.delete(random.below(text.len_unicode() - 3), 2)?,
            2 => map.insert(&format!("key {}", random.below(5)), random.next().cast_signed())?,
            3 => list.insert(random.below(list.len() + 1), format!("{:x}", random.next()))?,
            4 => {
                movable.push(random.next().cast_signed())?;
                movable.mov(0, movable.len() - 1)?;
                movable.set(0, "set")?;
            }
            5 => {
                let parent = tree.create(TreeParentId::Root)?;
                let child = tree.create(parent)?;
                tree.get_meta(child)?.insert("name", "child")?;
            }
            _ => {
                map.ensure_mergeable_text("nested")?.insert(0, "nested")?;
                if text.len_unicode() > 4 {
                    text.mark(0..3, "bold", true)?;
                }
            }
        }
        if random.below(3) == 0 {
            loro.commit();
        }
    }
    loro.commit();
    Ok(())
}

/// Damages a blob in up to three places, with bytes of its own, extreme ones or another's, and repairs the checksums.
pub fn mutated(mut blob: Vec<u8>, is_snapshot: bool, random: &mut Random) -> LoroResult<Vec<u8>> {
    let other = document(random)?.export(ExportMode::all_updates())?;
    for _ in 0..=random.below(3) {
        if blob.len() < HEAD + 8 {
            break;
        }
        let at = HEAD + random.below(blob.len() - HEAD);
        let until = |length: usize| (at + 1 + length).min(blob.len());
        match random.below(7) {
            0 | 1 => blob[at] ^= 1 << random.below(8),
            2 => blob[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][random.below(6)],
            3 => {
                let until = until(random.below(5));
                blob[at..until].fill(0xff);
            }
            4 => {
                let until = until(random.below(8));
                blob.drain(at..until);
            }
            5 => {
                let again = blob[at..until(random.below(16))].to_vec();
                blob.splice(at..at, again);
            }
            _ => {
                let from = HEAD + random.below(other.len() - HEAD);
                let length = (1 + random.below(12)).min(other.len() - from).min(blob.len() - at);
                blob[at..at + length].copy_from_slice(&other[from..from + length]);
            }
        }
    }
    repair(&mut blob, is_snapshot);
    Ok(blob)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(four)).ok()
}

/// Puts the checksums right, as far as the damage lets us find them.
pub fn repair(blob: &mut [u8], is_snapshot: bool) {
    if blob.len() < HEAD {
        return;
    }
    if is_snapshot {
        let mut at = HEAD;
        while let Some(length) = number(blob, at) {
            at += 4;
            let Some(table) = blob.get_mut(at..at.saturating_add(length)) else { break };
            let _ = repair_table(table); // as far as its damage lets us
            at += length;
        }
    }
    let checksum = xxh32(&blob[CHECKSUM.end..], SEED);
    blob[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
}

fn repair_table(table: &mut [u8]) -> Option<()> {
    let end = table.len().checked_sub(8)?;
    let entries = number(table, end + 4)?;
    let mut starts = Vec::new();
    let mut at = entries.checked_add(4)?;
    for _ in 0..number(table, entries)? {
        starts.push(number(table, at)?);
        let key = |at: usize| Some(usize::from(u16::from_le_bytes(table.get(at..at + 2)?.try_into().ok()?)) + 2);
        at += 4 + key(at + 4)?;
        let is_large = table.get(at)? & 0x80 != 0;
        at += 1;
        if !is_large {
            at += key(at)?;
        }
    }
    starts.push(entries);
    for block in starts.windows(2) {
        let body = table.get_mut(block[0]..block[1])?;
        let (body, checksum) = body.split_at_mut(body.len().checked_sub(4)?);
        checksum.copy_from_slice(&xxh32(body, SEED).to_le_bytes());
    }
    let checksum = xxh32(table.get(entries + 4..end)?, SEED);
    table[end..end + 4].copy_from_slice(&checksum.to_le_bytes());
    Some(())
}
