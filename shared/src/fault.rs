//! Faults of the machine that a store meets, on both sides. None of them is damage, and each has one code and one sentence.

use std::fmt;
use std::io::{self, ErrorKind};

/// A fault of the machine that a store meets. The file itself is sound, with all that was saved before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The disk is full, or this user's share of it.
    Full,
    /// The file system is read-only, or the file.
    ReadOnly,
    /// The user has no permission.
    Forbidden,
    /// The process, or the system, has as many files open as it may.
    TooManyFiles,
    /// There is no memory left.
    Memory,
    /// Another process has the file.
    Busy,
    /// The file, or one beside it, cannot be opened.
    Unreachable,
    /// Reading or writing fails.
    Failing,
}

/// The cause of an SQLite error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The machine.
    Machine(Fault),
    /// The bytes in the file.
    Damage,
    /// Neither: the statement, or what it was given.
    Other,
}

impl Fault {
    /// Every fault.
    pub const ALL: &'static [Self] = &[
        Self::Full,
        Self::ReadOnly,
        Self::Forbidden,
        Self::TooManyFiles,
        Self::Memory,
        Self::Busy,
        Self::Unreachable,
        Self::Failing,
    ];

    /// A stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Full => "disk_full",
            Self::ReadOnly => "disk_read_only",
            Self::Forbidden => "no_permission",
            Self::TooManyFiles => "too_many_files",
            Self::Memory => "out_of_memory",
            Self::Busy => "store_locked",
            Self::Unreachable => "store_unreachable",
            Self::Failing => "disk_failed",
        }
    }

    /// A sentence on the fault, and what to do.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Full => "the disk is full: what was saved before is safe; free some space and try again",
            Self::ReadOnly => {
                "the disk or the file is read-only: what was saved before is safe; make it writable, or take another folder"
            }
            Self::Forbidden => {
                "this user may not write there: what was saved before is safe; mend the owner or the permissions of the folder and its files"
            }
            Self::TooManyFiles => {
                "too many files are open: what was saved before is safe; close some programs, or raise the limit (ulimit -n)"
            }
            Self::Memory => {
                "there is not enough memory: what was saved before is safe; close some programs and try again"
            }
            Self::Busy => "it is in use by another process: close the other app or command first",
            Self::Unreachable => {
                "it cannot be opened: what was saved before is safe; look whether its folder is there and nothing stands in the way"
            }
            Self::Failing => {
                "the disk answers with errors: keep the folder, copy it while it can be read, and look at the system's log"
            }
        }
    }

    /// A passing fault may be over the next time, without a person who looks at just this.
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Full | Self::TooManyFiles | Self::Memory | Self::Busy)
    }

    /// The system may say more of the fault than SQLite does.
    pub const fn is_vague(self) -> bool {
        matches!(self, Self::Unreachable | Self::Failing)
    }

    /// Reads the fault from an error of the system.
    pub fn of_io(error: &io::Error) -> Option<Self> {
        const EIO: i32 = 5;
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        match (error.kind(), error.raw_os_error()) {
            (ErrorKind::StorageFull | ErrorKind::QuotaExceeded, _) => Some(Self::Full),
            (ErrorKind::ReadOnlyFilesystem, _) => Some(Self::ReadOnly),
            (ErrorKind::PermissionDenied, _) => Some(Self::Forbidden),
            (ErrorKind::OutOfMemory, _) => Some(Self::Memory),
            (_, Some(ENFILE | EMFILE)) => Some(Self::TooManyFiles),
            (_, Some(EIO)) => Some(Self::Failing),
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.advice())
    }
}

/// Reads the cause from SQLite's extended result code.
pub const fn cause_of(extended_code: i32) -> Cause {
    const PERM: i32 = 3;
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const NOMEM: i32 = 7;
    const READONLY: i32 = 8;
    const IOERR: i32 = 10;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    const PROTOCOL: i32 = 15;
    const AUTH: i32 = 23;
    const NOTADB: i32 = 26;
    const READONLY_DBMOVED: i32 = 1_032;
    const IOERR_BLOCKED: i32 = 2_826;
    const IOERR_NOMEM: i32 = 3_082;
    const IOERR_AUTH: i32 = 7_178;
    // Where the whole code says something else than its class.
    match extended_code {
        READONLY_DBMOVED => return Cause::Machine(Fault::Unreachable),
        IOERR_BLOCKED => return Cause::Machine(Fault::Busy),
        IOERR_NOMEM => return Cause::Machine(Fault::Memory),
        IOERR_AUTH => return Cause::Machine(Fault::Forbidden),
        _ => {}
    }
    match extended_code & 0xff {
        FULL => Cause::Machine(Fault::Full),
        READONLY => Cause::Machine(Fault::ReadOnly),
        PERM | AUTH => Cause::Machine(Fault::Forbidden),
        NOMEM => Cause::Machine(Fault::Memory),
        BUSY | LOCKED | PROTOCOL => Cause::Machine(Fault::Busy),
        CANTOPEN => Cause::Machine(Fault::Unreachable),
        IOERR => Cause::Machine(Fault::Failing),
        CORRUPT | NOTADB => Cause::Damage,
        _ => Cause::Other,
    }
}
