//! Blobs out of entries: parts are put together and decompressed, each within its limit.

use std::io::Read as _;

use loro::{LoroDoc, VersionVector};
use roost_shared::hash::Hash;
use roost_shared::limits::{SNAPSHOT_MAX, UPDATE_MAX};
use roost_shared::plaintext::{Compression, Head};
use roost_shared::{DeviceId, DocumentId, Kind, LogId, Seq};

use crate::store::Risk;

/// An entry's part of a blob.
pub(crate) struct Part {
    pub(crate) seq: Seq,
    pub(crate) kind: Kind,
    /// How many processes died while they imported it.
    pub(crate) deaths: u32,
    /// The store has marked the entry: the process may die of it.
    pub(crate) is_marked: bool,
    pub(crate) author: DeviceId,
    pub(crate) author_seq: u64,
    pub(crate) log: LogId,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// An update or snapshot, whole and as another's Loro wrote it.
pub(crate) struct Blob {
    pub(crate) seqs: Vec<Seq>,
    pub(crate) kind: Kind,
    pub(crate) deaths: u32,
    /// The store has marked the blob: the process may die of it.
    pub(crate) is_marked: bool,
    pub(crate) schema: u32,
    pub(crate) reader_min: u32,
    pub(crate) author: DeviceId,
    pub(crate) bytes: Vec<u8>,
}

/// Entries put aside, and why.
pub(crate) type Bad = Vec<(Seq, &'static str)>;

/// Blob ids are chosen by their authors: with the author and the document they name a blob.
pub(crate) fn blob_key(author: DeviceId, document: DocumentId, blob: [u8; 16]) -> [u8; 32] {
    Hash::of(&[&author.0, &document.0, &blob]).0
}

impl Blob {
    /// The mark by which the store knows that the process may die of it.
    pub(crate) fn risk(&self) -> Option<Risk> {
        self.seqs.first().copied().map(Risk::Entry)
    }

    /// Puts the parts of a blob together and decompresses it.
    pub(crate) fn assemble(mut parts: Vec<Part>) -> Result<Self, Bad> {
        parts.sort_by_key(|part| part.head.part);
        let seqs: Vec<Seq> = parts.iter().map(|part| part.seq).collect();
        let bad = |reason| Err(seqs.iter().map(|seq| (*seq, reason)).collect());
        let Some(first) = parts.first() else { return Err(Bad::new()) };
        let (kind, author, head) = (first.kind, first.author, first.head.clone());
        let deaths = parts.iter().map(|part| part.deaths).max().unwrap_or(0);
        let is_marked = parts.first().is_some_and(|part| part.is_marked);
        let in_order = parts.iter().zip(0..).all(|(part, number)| {
            part.kind == kind && part.head.part == number && part.head == Head { part: number, ..head.clone() }
        });
        let whole_len: usize = parts.iter().map(|part| part.body.len()).sum();
        let max = if kind == Kind::Snapshot { SNAPSHOT_MAX } else { UPDATE_MAX };
        if !in_order || parts.len() != head.parts as usize || whole_len > max {
            return bad("its parts do not fit together");
        }
        let whole: Vec<u8> = parts.into_iter().flat_map(|part| part.body).collect();
        match decompress(whole, head.compression, max) {
            Some(bytes) => {
                let (schema, reader_min) = (head.schema, head.reader_min);
                Ok(Self { seqs, kind, deaths, is_marked, schema, reader_min, author, bytes })
            }
            None => bad("it does not decompress within its limit"),
        }
    }
}

/// Who wrote under which peer id: whoever first brought operations of it.
pub(crate) fn peers(blobs: &[Blob]) -> Vec<(u64, DeviceId)> {
    let mut peers = Vec::new();
    for blob in blobs.iter().filter(|blob| blob.kind == Kind::Update) {
        let Ok(meta) = LoroDoc::decode_import_blob_meta(&blob.bytes, false) else { continue };
        peers.extend(meta.partial_end_vv.keys().map(|peer| (*peer, blob.author)));
    }
    peers
}

fn decompress(bytes: Vec<u8>, compression: Compression, max: usize) -> Option<Vec<u8>> {
    match compression {
        Compression::None => Some(bytes),
        Compression::Zstd => {
            // Grows as it reads: the size a frame claims is the sender's word.
            let mut out = Vec::new();
            let decoder = zstd::Decoder::new(&bytes[..]).ok()?.single_frame();
            decoder.take(max as u64 + 1).read_to_end(&mut out).ok()?;
            (out.len() <= max).then_some(out)
        }
    }
}

/// The log now has what the blobs hold, where that follows on what it had, until nothing follows on: a blob may stand
/// before the one it follows. A gap is left out, and what lies beyond it is at worst offered again.
pub(crate) fn cover(log_vv: &mut VersionVector, blobs: &[Blob]) {
    let mut ranges = Vec::new();
    for blob in blobs {
        let Ok(meta) = LoroDoc::decode_import_blob_meta(&blob.bytes, false) else { continue };
        let start = |peer| meta.partial_start_vv.get(peer).copied().unwrap_or(0);
        ranges.extend(meta.partial_end_vv.iter().map(|(peer, end)| (*peer, start(peer), *end)));
    }
    ranges.sort_unstable(); // by peer, then by where they begin
    for (peer, start, end) in ranges {
        let known = log_vv.get(&peer).copied().unwrap_or(0);
        if start <= known && end > known {
            log_vv.insert(peer, end);
        }
    }
}
