//! What is inside a sealed body, before it is sealed: a head, a part of a blob, padding.
//!
//! ```text
//! u16 head_len | head | u32 body_len | body | zeros up to the Padmé length (256 at least)
//!
//! head, 38 bytes:
//!  0   1  format: 1
//!  1   1  compression of the whole blob: 0 none, 1 zstd
//!  2   4  schema version of the app that wrote it
//!  6   4  the lowest schema version that may read it
//! 10   2  Loro major
//! 12   2  Loro minor
//! 14   4  part, from 0
//! 18   4  parts, at least 1
//! 22  16  blob id
//! ```
//! A longer head comes from a later version: what follows the 38 bytes is skipped.
//! Padmé: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019.

use crate::bytes::{Reader, Truncated};
use crate::limits::{BODY_MAX, HEAD_LEN, HEAD_MAX, PADDING_FLOOR, PART_MAX, PARTS_MAX, TAG_LEN};

const FORMAT: u8 = 1;
const HEAD_LEN_FIELD: u16 = 38;

/// How the whole blob was compressed before it was split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Compression {
    /// As it is.
    None = 0,
    /// One zstd frame.
    Zstd = 1,
}

/// What a reader must know before it touches the blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// How the blob is compressed.
    pub compression: Compression,
    /// Schema version of the app that wrote it.
    pub schema: u32,
    /// The lowest schema version that may read it.
    pub reader_min: u32,
    /// Major and minor version of the Loro that wrote it.
    pub loro: (u16, u16),
    /// Which part this is, from 0.
    pub part: u32,
    /// How many parts there are.
    pub parts: u32,
    /// The same in all parts of one blob; zeros when there is one part.
    pub blob: [u8; 16],
}

/// Why opened bytes are not a plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaintextError {
    /// Too short.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// A format this version does not know.
    #[error("unknown plaintext format {0}: update the app")]
    Format(u8),
    /// A compression this version does not know.
    #[error("unknown compression {0}: update the app")]
    Compression(u8),
    /// The head is shorter than the oldest one, or absurdly long.
    #[error("a head of {0} bytes")]
    HeadLength(usize),
    /// A part outside its blob, or too many parts.
    #[error("part {part} of {parts}")]
    Parts {
        /// The part.
        part: u32,
        /// Of how many.
        parts: u32,
    },
    /// Not the one length, or not zeros: padding carries nothing.
    #[error("the padding is not canonical")]
    Padding,
}

impl Head {
    /// Head, length, `body` and padding, ready to be sealed.
    pub fn plaintext(&self, body: &[u8]) -> Vec<u8> {
        let unpadded = 2 + HEAD_LEN + 4 + body.len();
        let mut out = Vec::with_capacity(padded_len(unpadded) + TAG_LEN);
        out.extend_from_slice(&HEAD_LEN_FIELD.to_be_bytes());
        out.extend_from_slice(&[FORMAT, self.compression as u8]);
        out.extend_from_slice(&self.schema.to_be_bytes());
        out.extend_from_slice(&self.reader_min.to_be_bytes());
        out.extend_from_slice(&self.loro.0.to_be_bytes());
        out.extend_from_slice(&self.loro.1.to_be_bytes());
        out.extend_from_slice(&self.part.to_be_bytes());
        out.extend_from_slice(&self.parts.to_be_bytes());
        out.extend_from_slice(&self.blob);
        out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(body);
        out.resize(padded_len(unpadded), 0);
        out
    }

    /// Splits an opened plaintext into head and body.
    pub fn parse(plaintext: &[u8]) -> Result<(Self, &[u8]), PlaintextError> {
        let mut reader = Reader::new(plaintext);
        let head_len = usize::from(reader.u16()?);
        if !(HEAD_LEN..=HEAD_MAX).contains(&head_len) {
            return Err(PlaintextError::HeadLength(head_len));
        }
        let mut head_reader = Reader::new(reader.slice(head_len)?);
        let format = head_reader.u8()?;
        if format != FORMAT {
            return Err(PlaintextError::Format(format));
        }
        let head = Self {
            compression: match head_reader.u8()? {
                0 => Compression::None,
                1 => Compression::Zstd,
                other => return Err(PlaintextError::Compression(other)),
            },
            schema: head_reader.u32()?,
            reader_min: head_reader.u32()?,
            loro: (head_reader.u16()?, head_reader.u16()?),
            part: head_reader.u32()?,
            parts: head_reader.u32()?,
            blob: head_reader.array()?,
        };
        if head.part >= head.parts || head.parts > PARTS_MAX {
            return Err(PlaintextError::Parts { part: head.part, parts: head.parts });
        }
        let body_len = reader.u32()? as usize;
        let body = reader.slice(body_len)?;
        let canonical =
            plaintext.len() == padded_len(reader.at()) && plaintext[reader.at()..].iter().all(|byte| *byte == 0);
        if canonical { Ok((head, body)) } else { Err(PlaintextError::Padding) }
    }
}

/// The Padmé length of `len` bytes, 256 at least: at most 12 % more, and log log of the length leaks.
pub const fn padded_len(len: usize) -> usize {
    if len <= PADDING_FLOOR {
        return PADDING_FLOOR;
    }
    let exponent = len.ilog2();
    let mantissa_bits = exponent.ilog2() + 1;
    let mask = (1usize << (exponent - mantissa_bits)) - 1;
    (len + mask) & !mask
}

const _: () = assert!(padded_len(2 + HEAD_LEN + 4 + PART_MAX) + TAG_LEN <= BODY_MAX, "a sealed part fits a body");
const _: () = assert!(HEAD_LEN_FIELD as usize == HEAD_LEN);
