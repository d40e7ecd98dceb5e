//! Head, body and padding of what is sealed.

use proptest::prelude::*;
use roost_shared::limits::{BODY_MAX, HEAD_LEN, HEAD_MAX, PART_MAX, PARTS_MAX, TAG_LEN};
use roost_shared::plaintext::{Compression, Head, PlaintextError, padded_len};

use crate::strategies;

fn head() -> Head {
    Head {
        compression: Compression::Zstd,
        schema: 0x0102_0304,
        reader_min: 0x0506_0708,
        loro: (0x090a, 0x0b0c),
        part: 2,
        parts: 5,
        blob: [0x0d; 16],
    }
}

/// A plaintext whose head is `head`, padded as it must be.
fn with_head(head: &[u8], body: &[u8]) -> Vec<u8> {
    let head_len = u16::try_from(head.len()).expect("a head of a test fits");
    let body_len = u32::try_from(body.len()).expect("a body of a test fits");
    let mut out = [&head_len.to_be_bytes()[..], head, &body_len.to_be_bytes(), body].concat();
    out.resize(padded_len(out.len()), 0);
    out
}

/// Padmé as the paper has it: E = ⌊log2 L⌋, S = ⌊log2 E⌋ + 1, and the last E − S bits of the length are zero.
fn padme(len: usize) -> usize {
    let floor_log2 = |mut n: usize| {
        let mut log = 0;
        while n > 1 {
            n /= 2;
            log += 1;
        }
        log
    };
    let exponent = floor_log2(len);
    let step = 2usize.pow(exponent - (floor_log2(exponent as usize) + 1));
    len.div_ceil(step) * step
}

#[test]
fn padded_lengths_computed_by_hand() {
    // 257: E = 8, S = 4, steps of 16. 513: E = 9, steps of 32. 1025: E = 10, steps of 64. 4097: E = 12, steps of 256.
    // 65535: E = 15, S = 4, steps of 2048. 65537 and 100000: E = 16, S = 5, steps of 2048. 1000000: steps of 16384.
    let known = [
        (0, 256),
        (1, 256),
        (255, 256),
        (256, 256),
        (257, 272),
        (272, 272),
        (273, 288),
        (511, 512),
        (512, 512),
        (513, 544),
        (1_000, 1_024),
        (1_025, 1_088),
        (4_097, 4_352),
        (65_535, 65_536),
        (65_536, 65_536),
        (65_537, 67_584),
        (100_000, 100_352),
        (225_324, 229_376),
        (1_000_000, 1_015_808),
    ];
    for (len, padded) in known {
        assert_eq!(padded_len(len), padded, "{len}");
    }
}

#[test]
fn padded_lengths_follow_the_paper_and_cost_at_most_an_eighth() {
    for len in 256..=300_000 {
        let padded = padded_len(len);
        assert_eq!(padded, padme(len), "{len}");
        assert!(padded >= len && (padded - len) * 8 <= len, "{len} became {padded}");
        assert_eq!(padded_len(padded), padded, "{len} is padded once");
    }
}

#[test]
fn the_largest_part_fits_a_body() {
    assert!(head().plaintext(&vec![1; PART_MAX]).len() + TAG_LEN <= BODY_MAX);
}

#[test]
fn layout_byte_by_byte() {
    let bytes = head().plaintext(b"body");
    assert_eq!(bytes.len(), 256);
    assert_eq!(bytes[0..2], [0, 38], "head_len");
    assert_eq!(bytes[2], 1, "format");
    assert_eq!(bytes[3], 1, "compression");
    assert_eq!(bytes[4..8], [1, 2, 3, 4], "schema");
    assert_eq!(bytes[8..12], [5, 6, 7, 8], "lowest reader");
    assert_eq!(bytes[12..14], [9, 10], "Loro major");
    assert_eq!(bytes[14..16], [11, 12], "Loro minor");
    assert_eq!(bytes[16..20], [0, 0, 0, 2], "part");
    assert_eq!(bytes[20..24], [0, 0, 0, 5], "parts");
    assert_eq!(bytes[24..40], [13; 16], "blob id");
    assert_eq!(bytes[40..44], [0, 0, 0, 4], "body_len");
    assert_eq!(&bytes[44..48], b"body");
    assert_eq!(bytes[48..], [0; 208], "padding");
}

#[test]
fn padding_is_zeros_and_of_one_length() {
    let good = head().plaintext(b"body");
    for at in 48..good.len() {
        for bit in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[at] = bit;
            assert_eq!(Head::parse(&bad), Err(PlaintextError::Padding), "byte {at}");
        }
    }
    for len in 48..=600 {
        let mut bad = good.clone();
        bad.resize(len, 0);
        assert_eq!(Head::parse(&bad).is_ok(), len == good.len(), "{len} bytes");
    }
    // The next Padmé lengths are as wrong as any other.
    for len in [272, 288, 512] {
        let mut bad = good.clone();
        bad.resize(len, 0);
        assert_eq!(Head::parse(&bad), Err(PlaintextError::Padding), "{len} bytes");
    }
}

#[test]
fn a_longer_head_is_read_as_far_as_it_is_known() {
    let known = head().plaintext(b"")[2..2 + HEAD_LEN].to_vec();
    for more in [1, 7, 300, HEAD_MAX - HEAD_LEN] {
        let longer = [&known[..], &vec![0xee; more]].concat();
        let bytes = with_head(&longer, b"body");
        assert_eq!(Head::parse(&bytes), Ok((head(), &b"body"[..])), "{more} bytes more");
    }
    for len in [0, 1, HEAD_LEN - 1, HEAD_MAX + 1] {
        let bytes = with_head(&vec![1; len], b"body");
        assert_eq!(Head::parse(&bytes), Err(PlaintextError::HeadLength(len)));
    }
}

#[test]
fn head_fields_without_a_meaning_are_refused() {
    let altered = |at: usize, bytes: &[u8]| {
        let mut bad = head().plaintext(b"body");
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        Head::parse(&bad).map(|_| ()).expect_err("it has no meaning")
    };
    assert_eq!(altered(2, &[0]), PlaintextError::Format(0));
    assert_eq!(altered(2, &[2]), PlaintextError::Format(2));
    assert_eq!(altered(3, &[2]), PlaintextError::Compression(2));
    assert_eq!(altered(16, &[0, 0, 0, 5]), PlaintextError::Parts { part: 5, parts: 5 });
    assert_eq!(altered(20, &[0, 0, 0, 0]), PlaintextError::Parts { part: 2, parts: 0 });
    let too_many = PARTS_MAX + 1;
    assert_eq!(altered(20, &too_many.to_be_bytes()), PlaintextError::Parts { part: 2, parts: too_many });
    assert!(matches!(altered(40, &[0xff; 4]), PlaintextError::Truncated(_)), "a body beyond the bytes");
    assert_eq!(altered(40, &[0, 0, 0, 3]), PlaintextError::Padding, "a body byte left to the padding");
}

#[test]
fn every_truncation_is_refused() {
    let good = head().plaintext(&[7; 300]);
    for len in 0..good.len() {
        assert!(Head::parse(&good[..len]).is_err(), "{len} bytes");
    }
}

proptest! {
    #[test]
    fn round_trip(
        zstd: bool,
        schema: u32,
        reader_min: u32,
        loro: (u16, u16),
        parts in 1..=PARTS_MAX,
        part: prop::sample::Index,
        blob: [u8; 16],
        body in strategies::bytes(3_000),
    ) {
        let part = u32::try_from(part.index(parts as usize)).expect("below parts");
        let compression = if zstd { Compression::Zstd } else { Compression::None };
        let head = Head { compression, schema, reader_min, loro, part, parts, blob };
        let bytes = head.plaintext(&body);
        prop_assert_eq!(bytes.len(), padded_len(44 + body.len()));
        prop_assert_eq!(Head::parse(&bytes), Ok((head, &body[..])));
    }
}
