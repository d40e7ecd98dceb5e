//! Errors of the local store: a fault of the machine is told from damage of the file here, and nowhere else.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use roost_shared::fault::{Cause, Fault, cause_of};

/// An error of the local store. Everything saved before is unharmed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the file.
    #[error("{} is in use by another process: close the other app or command first", named(.0))]
    Locked(PathBuf),
    /// The machine is in the way: a full disk, say. Nothing is wrong with the file.
    #[error("{}: {fault}", named(.path))]
    Fault {
        /// The file or folder.
        path: PathBuf,
        /// The fault.
        fault: Fault,
    },
    /// The file or its folder cannot be opened.
    #[error("cannot open {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is damaged, or not one of Roost's.
    #[error(
        "{} is damaged ({what}): it was left as it is; keep it, edits that were not sent may be read out of it; restore a copy, or join in another folder with a new link",
        named(.path)
    )]
    Corrupt {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The file was written by a newer version.
    #[error("{0} was written by a newer version: update the app")]
    Newer(PathBuf),
    /// The copy that is made before a migration is not sound.
    #[error("the backup {path} is not sound ({what}): nothing was migrated; check the disk, and open again")]
    Backup {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Anything else SQLite said.
    #[error("the local store failed: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::of_sqlite(Path::new(""), error)
    }
}

impl StoreError {
    /// Reads SQLite's error about the file at `path`, which is empty where it is not known.
    pub(super) fn of_sqlite(path: &Path, error: rusqlite::Error) -> Self {
        match error.sqlite_error().map_or(Cause::Other, |error| cause_of(error.extended_code)) {
            Cause::Machine(Fault::Busy) => Self::Locked(path.to_owned()),
            Cause::Machine(fault) => Self::Fault { path: path.to_owned(), fault: sharpened(path, fault) },
            Cause::Damage => Self::Corrupt { path: path.to_owned(), what: error.to_string() },
            Cause::Other => Self::Sqlite(error),
        }
    }

    /// Reads the error that an SQL migration of the file ended with.
    pub(super) fn of_migration(path: &Path, error: rusqlite_migration::Error) -> Self {
        let corrupt = |what: String| Self::Corrupt { path: path.to_owned(), what };
        match error {
            rusqlite_migration::Error::MigrationDefinition(_) => Self::Newer(path.to_owned()),
            rusqlite_migration::Error::RusqliteError { err, .. } => match Self::of_sqlite(path, err) {
                Self::Sqlite(error) => corrupt(error.to_string()), // its tables are not those that were written
                other => other,
            },
            other => corrupt(other.to_string()),
        }
    }

    /// Reads the system's error about a file or folder.
    pub(crate) fn of_io(path: &Path, source: io::Error) -> Self {
        match Fault::of_io(&source) {
            Some(fault) => Self::Fault { path: path.to_owned(), fault },
            None => Self::Io { path: path.to_owned(), source },
        }
    }

    /// A stable name for the cause.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Locked(_) => Fault::Busy.code(),
            Self::Fault { fault, .. } => fault.code(),
            Self::Io { .. } => Fault::Unreachable.code(),
            Self::Corrupt { .. } => "store_corrupt",
            Self::Newer(_) => "store_newer",
            Self::Backup { .. } => "backup_unsound",
            Self::Sqlite(_) => "store_failed",
        }
    }

    /// A retryable error may pass by itself.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Locked(_) => true,
            Self::Fault { fault, .. } => fault.is_passing(),
            _ => false,
        }
    }

    /// The fault of the machine that the error tells of, if it does.
    pub const fn fault(&self) -> Option<Fault> {
        match self {
            Self::Locked(_) => Some(Fault::Busy),
            Self::Fault { fault, .. } => Some(*fault),
            _ => None,
        }
    }
}

/// For a write that reading does not depend on: what the machine is in the way of is done another time.
pub(crate) fn where_possible(done: Result<(), StoreError>) -> Result<(), StoreError> {
    match done {
        Err(error) if error.fault().is_some() => {
            tracing::debug!(%error, "put off");
            Ok(())
        }
        done => done,
    }
}

fn named(path: &Path) -> String {
    if path.as_os_str().is_empty() { "the local store".to_owned() } else { path.display().to_string() }
}

/// SQLite says of some faults no more than that something failed: a file that is written beside the store meets the same.
fn sharpened(path: &Path, fault: Fault) -> Fault {
    if !fault.is_vague() || path.as_os_str().is_empty() {
        return fault;
    }
    let probe = path.with_extension("probe");
    let tried = write_some(&probe);
    let _ = fs::remove_file(&probe);
    tried.err().and_then(|error| Fault::of_io(&error)).unwrap_or(fault)
}

fn write_some(path: &Path) -> io::Result<()> {
    /// As much as SQLite asks for at once.
    static BYTES: [u8; 32 * 1024] = [0; 32 * 1024];
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(&BYTES)?;
    file.sync_all()
}
