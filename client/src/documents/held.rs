//! Edits that are held: the reason why a document's edits are kept from the server, with the numbers.

use std::fmt;

use roost_shared::limits::VALUE_MAX;
use roost_shared::{Code, DocumentId, Fault};

/// A document with edits that are kept from the server, and why. The edits are safe on this device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// The document.
    pub document: DocumentId,
    /// The reason why the document's edits are kept from the server.
    pub reason: HeldReason,
}

/// The room of a workspace, as its server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Room {
    /// Bytes that are stored.
    pub bytes: u64,
    /// Bytes that may be stored.
    pub quota_bytes: u64,
}

impl Room {
    pub(crate) const fn new(bytes: u64, quota_bytes: u64) -> Self {
        Self { bytes, quota_bytes }
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = if self.quota_bytes < 10_000_000 { (1_000, "KB") } else { (1_000_000, "MB") };
        write!(f, "{} of {} {name}", grouped(self.bytes / unit), grouped(self.quota_bytes / unit))
    }
}

/// A reason why edits are kept from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeldReason {
    /// One value in the document is larger than an update may be.
    ValueTooLarge,
    /// A newer app rewrote the document.
    Behind {
        /// The schema version that reads it.
        needs: u32,
    },
    /// Operations that an edit imported depend on others which are not here: all go out once those come, by an import
    /// or by sync.
    Waits,
    /// The document does not load.
    Unreadable,
    /// The device may only read, or was revoked.
    ReadOnly,
    /// The key to seal with is not here yet.
    NoKey,
    /// The workspace is full.
    Quota {
        /// The room; None until the server has said.
        room: Option<Room>,
    },
    /// The server refuses the edits.
    Refused(Code),
    /// The server contradicted itself.
    Diverged,
    /// The machine this device runs on does not let the local store do its work.
    Machine(Fault),
    /// The server is not reached.
    Offline,
}

impl HeldReason {
    /// A stable name for the reason.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ValueTooLarge => "value_too_large",
            Self::Behind { .. } => "behind_schema",
            Self::Waits => "waits_for_operations",
            Self::Unreadable => "document_unreadable",
            Self::ReadOnly => Code::NotAllowed.as_str(),
            Self::NoKey => "no_key",
            Self::Quota { .. } => Code::QuotaExceeded.as_str(),
            Self::Refused(code) => code.as_str(),
            Self::Diverged => "diverged",
            Self::Machine(fault) => fault.code(),
            Self::Offline => "unreachable",
        }
    }

    /// A final reason stays until somebody acts on it, here or on another device; any other passes by itself.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::ValueTooLarge
            | Self::Behind { .. }
            | Self::Waits
            | Self::Unreadable
            | Self::ReadOnly
            | Self::Diverged => true,
            // The numbers are on their way.
            Self::Quota { room } => room.is_some(),
            Self::Refused(code) => !code.is_retryable(),
            Self::Machine(fault) => !fault.is_passing(),
            Self::NoKey | Self::Offline => false,
        }
    }
}

impl fmt::Display for HeldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ValueTooLarge => {
                write!(
                    f,
                    "one value in it is larger than {} bytes: make it smaller, or split it",
                    grouped(VALUE_MAX as u64)
                )
            }
            Self::Behind { needs } => {
                write!(f, "a newer version of the app rewrote it (schema {needs}): update the app")
            }
            Self::Waits => f.write_str(
                "operations imported into it depend on others that are not here: import those too, or let the device that \
                 has them sync",
            ),
            Self::Unreadable => f.write_str("it does not load: a newer version of the app may read it"),
            Self::ReadOnly => {
                f.write_str("this device may only read this workspace, or is no longer in it: ask its owner")
            }
            Self::NoKey => f.write_str("the key to seal it with is not here yet: another device has to come online"),
            Self::Quota { room: None } => f.write_str("the workspace is full: raise the server's --quota-bytes"),
            Self::Quota { room: Some(room) } => {
                write!(f, "the workspace is full: {room}: raise the server's --quota-bytes")
            }
            Self::Refused(code) => f.write_str(code.advice()),
            Self::Diverged => f.write_str("the server contradicted itself: sync has stopped"),
            Self::Machine(fault) => f.write_str(fault.advice()),
            Self::Offline => f.write_str("the server is not reached"),
        }
    }
}

/// A number with a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_people() {
        assert_eq!([7, 999, 1_000, 1_234_567].map(grouped), ["7", "999", "1,000", "1,234,567"]);
        let full = HeldReason::Quota { room: Some(Room::new(1_073_700_000, 1 << 30)) }.to_string();
        assert!(full.contains("full: 1,073 of 1,073 MB"), "{full}");
        assert_eq!(Room::new(65_000, 70_000).to_string(), "65 of 70 KB");
    }
}
