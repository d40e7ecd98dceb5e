//! `plaintext.json`: padded lengths, plaintexts, and some that every reader refuses.

use roost_shared::plaintext::{Compression, Head, padded_len};
use serde_json::{Value, json};

pub fn document() -> Value {
    let lengths = [
        0, 1, 255, 256, 257, 272, 273, 511, 512, 513, 1_000, 1_024, 1_025, 4_097, 65_535, 65_536, 65_537, 100_000,
        225_324,
    ];
    let lengths = lengths.map(|len| json!({ "unpadded": len, "padded": padded_len(len) }));
    json!({
        "comment": "plaintext = u16 head_len || head || u32 body_len || body || zeros up to the padded length",
        "padded_lengths": lengths,
        "plaintexts": plaintexts(),
        "refused": refused(),
    })
}

fn head() -> Head {
    Head { compression: Compression::None, schema: 7, reader_min: 3, loro: (1, 17), part: 0, parts: 1, blob: [0; 16] }
}

fn plaintexts() -> Vec<Value> {
    let part = Head { compression: Compression::Zstd, part: 2, parts: 5, blob: [0xb1; 16], ..head() };
    vec![
        described("empty", &head(), b"", head().plaintext(b"")),
        described("one part", &head(), b"operations", head().plaintext(b"operations")),
        described("part 2 of 5, over the floor", &part, &[0x0d; 300], part.plaintext(&[0x0d; 300])),
        described("a head of a later version", &head(), b"operations", with_longer_head(b"operations")),
    ]
}

/// Six head bytes this version knows nothing of, which a reader skips.
fn with_longer_head(body: &[u8]) -> Vec<u8> {
    let mut bytes = head().plaintext(body);
    bytes.truncate(44 + body.len());
    bytes[1] = 44;
    drop(bytes.splice(40..40, [0xee; 6]));
    bytes.resize(padded_len(bytes.len()), 0);
    bytes
}

fn described(name: &str, head: &Head, body: &[u8], plaintext: Vec<u8>) -> Value {
    let read = Head::parse(&plaintext).expect("a plaintext of the vectors is sound");
    assert_eq!(read, (head.clone(), body));
    json!({
        "name": name,
        "compression": head.compression as u8,
        "schema": head.schema,
        "reader_min": head.reader_min,
        "loro_major": head.loro.0,
        "loro_minor": head.loro.1,
        "part": head.part,
        "parts": head.parts,
        "blob": hex::encode(head.blob),
        "body": hex::encode(body),
        "plaintext": hex::encode(plaintext),
    })
}

fn refused() -> Vec<Value> {
    let sound = head().plaintext(b"operations");
    let written = |at: usize, bytes: &[u8]| {
        let mut bad = sound.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        bad
    };
    let resized = |len: usize| {
        let mut bad = sound.clone();
        bad.resize(len, 0);
        bad
    };
    let cases = [
        ("a padding byte is set", written(255, &[1])),
        ("the first padding byte is set", written(54, &[1])),
        ("a byte of padding too many", resized(257)),
        ("a byte of padding too few", resized(255)),
        ("padded to a later length", resized(272)),
        ("head_len below 38", written(0, &[0, 37])),
        ("unknown format", written(2, &[2])),
        ("unknown compression", written(3, &[2])),
        ("part beyond parts", written(16, &[0, 0, 0, 1])),
        ("no parts", written(20, &[0, 0, 0, 0])),
        ("body_len beyond the bytes", written(40, &[0, 0, 1, 0])),
    ];
    let refused = cases.into_iter().map(|(why, plaintext)| {
        let error = Head::parse(&plaintext).expect_err(why);
        json!({ "why": why, "plaintext": hex::encode(&plaintext), "error": error.to_string() })
    });
    refused.collect()
}
