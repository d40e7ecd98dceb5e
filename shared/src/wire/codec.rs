//! The bytes of a message: a type byte, then the fields in order in bincode's encoding with variable-length integers,
//! little-endian, enum tags and lengths as variable-length u32 and u64.
//!
//! bincode itself has ended; `wincode` is the maintained implementation of the same bytes. A list is never given
//! memory before its count was compared with the bytes that remain. Fields a later version put at the end are ignored.

use wincode::config::{Configuration, serialize_into};
use wincode::int_encoding::{LittleEndian, VarInt};
use wincode::len::BincodeLen;
use wincode::{SchemaRead, SchemaWrite};

use super::error::Code;
use super::http::LogLife;
use super::message::{Append, ClientMessage, Hello, Item, Seen, ServerMessage, Token, Welcome};
use crate::limits::{
    APPEND_BYTES_MAX, APPEND_ENVELOPES_MAX, DEVICES_MAX, ENVELOPE_MAX, EPHEMERAL_MAX, ERROR_TEXT_MAX,
    HELLO_DOCUMENTS_MAX, HELLO_MAX, LOG_LIVES_MAX, MESSAGE_MAX, PAGE_ITEMS_MAX, PROOF_HASHES_MAX, TOKEN_MAX,
};

type Wire = Configuration<true, MESSAGE_MAX, BincodeLen, LittleEndian, VarInt, u32>;
const WIRE: Wire = Wire::new();

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Nothing at all.
    #[error("an empty message")]
    Empty,
    /// A type that must be known and is not: the other side speaks another protocol.
    #[error("unknown message type {0:#04x}")]
    UnknownType(u8),
    /// A type that may be skipped.
    #[error("message type {0:#04x} is skipped")]
    Skipped(u8),
    /// The bytes end early or a field has no such value.
    #[error("field {0} is cut off or malformed")]
    Field(&'static str),
    /// Something is longer than its limit.
    #[error("{what} is longer than {max}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its limit.
        max: usize,
    },
}

const HELLO: u8 = 0x01;
const APPEND: u8 = 0x02;
const CLIENT_SEEN: u8 = 0x03;
const CLIENT_EPHEMERAL: u8 = 0x04;
const RENEW: u8 = 0x05;
const CHALLENGE: u8 = 0x41;
const WELCOME: u8 = 0x42;
const APPENDED: u8 = 0x43;
const REFUSED: u8 = 0x44;
const ENTRIES: u8 = 0x45;
const SERVER_SEEN: u8 = 0x46;
const SERVER_EPHEMERAL: u8 = 0x47;
const DRAIN: u8 = 0x48;
const ERROR: u8 = 0x49;
/// Types from here on are ignored by who does not know them.
const SKIPPED_FROM: u8 = 0x80;

impl ClientMessage {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello(hello) => Writer::new(HELLO).hello(hello),
            Self::Append(append) => Writer::new(APPEND)
                .put(&append.id)
                .put(&append.if_tail)
                .list(&append.envelopes, |out, envelope| out.put(envelope)),
            Self::Seen(seen) => Writer::new(CLIENT_SEEN).seen(seen),
            Self::Ephemeral { presence } => Writer::new(CLIENT_EPHEMERAL).put(presence),
            Self::Renew { token } => Writer::new(RENEW).put(&token.0),
        }
        .bytes
    }

    /// Reads a message a device sent.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (kind, mut fields) = split(bytes)?;
        let fields = &mut fields;
        Ok(match kind {
            HELLO if bytes.len() > HELLO_MAX => return Err(CodecError::TooLarge { what: "Hello", max: HELLO_MAX }),
            HELLO => Self::Hello(take_hello(fields)?),
            APPEND => Self::Append(take_append(fields)?),
            CLIENT_SEEN => Self::Seen(take_seen(fields)?),
            CLIENT_EPHEMERAL => Self::Ephemeral { presence: take_bytes(fields, "presence", EPHEMERAL_MAX)? },
            RENEW => Self::Renew { token: Token(take_text(fields, "token", TOKEN_MAX)?) },
            other => return Err(unknown(other)),
        })
    }
}

impl ServerMessage {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Challenge { nonce } => Writer::new(CHALLENGE).put(nonce),
            Self::Welcome(welcome) => Writer::new(WELCOME).welcome(welcome),
            Self::Appended { id, seqs } => Writer::new(APPENDED).put(id).list(seqs, |out, seq| out.put(seq)),
            Self::Refused { id, code, retry_after_ms } => {
                Writer::new(REFUSED).put(id).put(&code.number()).put(retry_after_ms)
            }
            Self::Entries { items } => Writer::new(ENTRIES).list(items, Writer::item),
            Self::Seen(seen) => Writer::new(SERVER_SEEN).seen(seen),
            Self::Ephemeral { device, presence } => Writer::new(SERVER_EPHEMERAL).put(device).put(presence),
            Self::Drain { retry_after_ms } => Writer::new(DRAIN).put(retry_after_ms),
            Self::Error { code, message } => Writer::new(ERROR).put(&code.number()).put(message),
        }
        .bytes
    }

    /// Reads a message the server sent.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (kind, mut fields) = split(bytes)?;
        let fields = &mut fields;
        Ok(match kind {
            CHALLENGE => Self::Challenge { nonce: take(fields, "nonce")? },
            WELCOME => Self::Welcome(take_welcome(fields)?),
            APPENDED => Self::Appended {
                id: take(fields, "id")?,
                seqs: take_list(fields, "seqs", APPEND_ENVELOPES_MAX, |fields| take(fields, "seq"))?,
            },
            REFUSED => Self::Refused {
                id: take(fields, "id")?,
                code: Code::of_number(take(fields, "code")?),
                retry_after_ms: take(fields, "retry_after_ms")?,
            },
            ENTRIES => Self::Entries { items: take_list(fields, "items", PAGE_ITEMS_MAX, take_item)? },
            SERVER_SEEN => Self::Seen(take_seen(fields)?),
            SERVER_EPHEMERAL => Self::Ephemeral {
                device: take(fields, "device")?,
                presence: take_bytes(fields, "presence", EPHEMERAL_MAX)?,
            },
            DRAIN => Self::Drain { retry_after_ms: take(fields, "retry_after_ms")? },
            ERROR => Self::Error {
                code: Code::of_number(take(fields, "code")?),
                message: take_text(fields, "message", ERROR_TEXT_MAX)?,
            },
            other => return Err(unknown(other)),
        })
    }
}

/// Writes envelopes one after the other, as octet-stream bodies carry them: a count, then each with its length.
pub fn encode_envelopes(envelopes: &[Vec<u8>]) -> Vec<u8> {
    let writer = Writer { bytes: Vec::new() };
    writer.list(envelopes, |out, envelope| out.put(envelope)).bytes
}

/// Reads what [`encode_envelopes`] wrote.
pub fn decode_envelopes(bytes: &[u8]) -> Result<Vec<Vec<u8>>, CodecError> {
    take_envelopes(&mut &*bytes)
}

/// Writes a page of items, as the octet-stream answer to a read carries them.
pub fn encode_items(items: &[Item]) -> Vec<u8> {
    let writer = Writer { bytes: Vec::new() };
    writer.list(items, Writer::item).bytes
}

/// Reads what [`encode_items`] wrote.
pub fn decode_items(bytes: &[u8]) -> Result<Vec<Item>, CodecError> {
    take_list(&mut &*bytes, "items", PAGE_ITEMS_MAX, take_item)
}

fn split(bytes: &[u8]) -> Result<(u8, &[u8]), CodecError> {
    if bytes.len() > MESSAGE_MAX {
        return Err(CodecError::TooLarge { what: "message", max: MESSAGE_MAX });
    }
    match bytes.split_first() {
        Some((kind, fields)) => Ok((*kind, fields)),
        None => Err(CodecError::Empty),
    }
}

const fn unknown(kind: u8) -> CodecError {
    if kind >= SKIPPED_FROM { CodecError::Skipped(kind) } else { CodecError::UnknownType(kind) }
}

struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn new(kind: u8) -> Self {
        Self { bytes: vec![kind] }
    }

    fn put<T: SchemaWrite<Wire, Src = T>>(mut self, field: &T) -> Self {
        // Writing into memory fails only past the preallocation limit, which is the limit of a whole message.
        let written = serialize_into(&mut self.bytes, field, WIRE);
        debug_assert!(written.is_ok(), "a field over the message limit");
        self
    }

    fn list<T>(self, items: &[T], each: impl Fn(Self, &T) -> Self) -> Self {
        items.iter().fold(self.put(&(items.len() as u64)), each)
    }

    fn hello(self, hello: &Hello) -> Self {
        self.put(&hello.protocol)
            .put(&hello.token.0)
            .put(&hello.proof)
            .put(&hello.workspace)
            .put(&hello.device)
            .put(&hello.log)
            .put(&hello.cursor)
            .put(&hello.root)
            .put(&hello.documents)
    }

    fn welcome(self, welcome: &Welcome) -> Self {
        self.put(&welcome.protocol)
            .list(&welcome.logs, |out, life| out.put(&life.log).put(&life.first))
            .put(&welcome.tail)
            .put(&welcome.root)
            .put(&welcome.root_at_cursor)
            .put(&welcome.bytes)
            .put(&welcome.quota_bytes)
            .put(&welcome.capabilities)
            .list(&welcome.seen, Self::seen)
    }

    fn seen(self, seen: &Seen) -> Self {
        self.put(&seen.device)
            .put(&seen.log)
            .put(&seen.epoch)
            .put(&seen.size)
            .put(&seen.root)
            .put(&seen.at_ms)
            .put(&seen.signature)
    }

    fn item(self, item: &Item) -> Self {
        match item {
            Item::Envelope { seq, bytes } => self.put(&0u32).put(seq).put(bytes),
            Item::Leaf { seq, document, envelope_hash } => self.put(&1u32).put(seq).put(document).put(envelope_hash),
            Item::Floor { seq, checkpoint, frontier, proof } => {
                self.put(&2u32).put(seq).put(checkpoint).put(frontier).put(proof)
            }
            Item::Tail { seq, root } => self.put(&3u32).put(seq).put(root),
        }
    }
}

fn take<'a, T: SchemaRead<'a, Wire, Dst = T>>(fields: &mut &'a [u8], name: &'static str) -> Result<T, CodecError> {
    T::get(fields).map_err(|_| CodecError::Field(name))
}

/// A list costs at least a byte an item, so a count above the bytes that remain is a lie and gets no memory.
fn take_list<'a, T>(
    fields: &mut &'a [u8],
    name: &'static str,
    max: usize,
    each: impl Fn(&mut &'a [u8]) -> Result<T, CodecError>,
) -> Result<Vec<T>, CodecError> {
    let count = take_len(fields, name, max)?;
    let mut items = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        items.push(each(fields)?);
    }
    Ok(items)
}

fn take_len(fields: &mut &[u8], name: &'static str, max: usize) -> Result<usize, CodecError> {
    let len = usize::try_from(take::<u64>(fields, name)?).unwrap_or(usize::MAX);
    if len > max {
        return Err(CodecError::TooLarge { what: name, max });
    }
    if len > fields.len() {
        return Err(CodecError::Field(name));
    }
    Ok(len)
}

fn take_bytes(fields: &mut &[u8], name: &'static str, max: usize) -> Result<Vec<u8>, CodecError> {
    let len = take_len(fields, name, max)?;
    let (taken, rest) = fields.split_at(len);
    *fields = rest;
    Ok(taken.to_vec())
}

fn take_text(fields: &mut &[u8], name: &'static str, max: usize) -> Result<String, CodecError> {
    String::from_utf8(take_bytes(fields, name, max)?).map_err(|_| CodecError::Field(name))
}

fn take_hello(fields: &mut &[u8]) -> Result<Hello, CodecError> {
    Ok(Hello {
        protocol: take(fields, "protocol")?,
        token: Token(take_text(fields, "token", TOKEN_MAX)?),
        proof: take(fields, "proof")?,
        workspace: take(fields, "workspace")?,
        device: take(fields, "device")?,
        log: take(fields, "log")?,
        cursor: take(fields, "cursor")?,
        root: take(fields, "root")?,
        documents: match take::<u8>(fields, "documents")? {
            0 => None,
            1 => Some(take_list(fields, "documents", HELLO_DOCUMENTS_MAX, |fields| take(fields, "document"))?),
            _ => return Err(CodecError::Field("documents")),
        },
    })
}

fn take_append(fields: &mut &[u8]) -> Result<Append, CodecError> {
    Ok(Append { id: take(fields, "id")?, if_tail: take(fields, "if_tail")?, envelopes: take_envelopes(fields)? })
}

fn take_envelopes(fields: &mut &[u8]) -> Result<Vec<Vec<u8>>, CodecError> {
    let envelopes =
        take_list(fields, "envelopes", APPEND_ENVELOPES_MAX, |fields| take_bytes(fields, "envelope", ENVELOPE_MAX))?;
    if envelopes.iter().map(Vec::len).sum::<usize>() > APPEND_BYTES_MAX {
        return Err(CodecError::TooLarge { what: "envelopes", max: APPEND_BYTES_MAX });
    }
    Ok(envelopes)
}

fn take_welcome(fields: &mut &[u8]) -> Result<Welcome, CodecError> {
    Ok(Welcome {
        protocol: take(fields, "protocol")?,
        logs: take_list(fields, "logs", LOG_LIVES_MAX, |fields| {
            Ok(LogLife { log: take(fields, "log")?, first: take(fields, "first")? })
        })?,
        tail: take(fields, "tail")?,
        root: take(fields, "root")?,
        root_at_cursor: take(fields, "root_at_cursor")?,
        bytes: take(fields, "bytes")?,
        quota_bytes: take(fields, "quota_bytes")?,
        capabilities: take(fields, "capabilities")?,
        seen: take_list(fields, "seen", DEVICES_MAX, take_seen)?,
    })
}

fn take_seen(fields: &mut &[u8]) -> Result<Seen, CodecError> {
    Ok(Seen {
        device: take(fields, "device")?,
        log: take(fields, "log")?,
        epoch: take(fields, "epoch")?,
        size: take(fields, "size")?,
        root: take(fields, "root")?,
        at_ms: take(fields, "at_ms")?,
        signature: take(fields, "signature")?,
    })
}

fn take_item(fields: &mut &[u8]) -> Result<Item, CodecError> {
    let hashes = |fields: &mut &[u8], name| take_list(fields, name, PROOF_HASHES_MAX, |fields| take(fields, "hash"));
    Ok(match take::<u32>(fields, "item")? {
        0 => Item::Envelope { seq: take(fields, "seq")?, bytes: take_bytes(fields, "envelope", ENVELOPE_MAX)? },
        1 => Item::Leaf {
            seq: take(fields, "seq")?,
            document: take(fields, "document")?,
            envelope_hash: take(fields, "envelope_hash")?,
        },
        2 => Item::Floor {
            seq: take(fields, "seq")?,
            checkpoint: take_bytes(fields, "checkpoint", ENVELOPE_MAX)?,
            frontier: hashes(fields, "frontier")?,
            proof: hashes(fields, "proof")?,
        },
        3 => Item::Tail { seq: take(fields, "seq")?, root: take(fields, "root")? },
        _ => return Err(CodecError::Field("item")),
    })
}
