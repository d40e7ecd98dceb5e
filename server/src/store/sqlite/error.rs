//! What SQLite and the system say, read for whoever starts the server and for its clients: a fault of the machine is told
//! from damage here, and nowhere else.

use std::io;
use std::path::{Path, PathBuf};

use roost_shared::Code;
use roost_shared::fault::{Cause, Fault, cause_of};
use sqlx::migrate::MigrateError;

use crate::store::Refusal;

/// The store did not open, and nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server has it.
    #[error("{0} is in use by another roost server: stop that one, or give this one a data directory of its own")]
    Locked(PathBuf),
    /// The machine is in the way: a read-only disk, say. Nothing is wrong with the file.
    #[error("{path}: {fault}")]
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
    /// The file is damaged.
    #[error("{path} fails SQLite's own check ({found}): nothing was written to it; restore the last backup")]
    Corrupt {
        /// The file or folder.
        path: PathBuf,
        /// The check's finding.
        found: String,
    },
    /// The SQLite this was built with is too old.
    #[error("SQLite {0} is older than 3.51.3, which has a fix this server relies on")]
    Version(String),
    /// The tables are not this server's.
    #[error("{path}: {source}: the database was written by a newer roost, or edited by hand")]
    Migrate {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: MigrateError,
    },
    /// Anything else SQLite said.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: sqlx::Error,
    },
}

impl OpenError {
    /// The fault of the machine that the error tells of, if it does.
    pub const fn fault(&self) -> Option<Fault> {
        match self {
            Self::Fault { fault, .. } => Some(*fault),
            _ => None,
        }
    }

    pub(super) fn of_io(path: &Path, source: io::Error) -> Self {
        match Fault::of_io(&source) {
            Some(fault) => Self::of_fault(path, fault),
            None => Self::Io { path: path.to_owned(), source },
        }
    }

    pub(super) fn of_sqlx(path: &Path, source: sqlx::Error) -> Self {
        match cause(&source) {
            Cause::Machine(fault) => Self::of_fault(path, fault),
            Cause::Damage => Self::Corrupt { path: path.to_owned(), found: source.to_string() },
            Cause::Other => Self::Sqlite { path: path.to_owned(), source },
        }
    }

    pub(super) fn of_migration(path: &Path, source: MigrateError) -> Self {
        let cause = match &source {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => cause(error),
            _ => Cause::Other,
        };
        match cause {
            Cause::Machine(fault) => Self::of_fault(path, fault),
            Cause::Damage => Self::Corrupt { path: path.to_owned(), found: source.to_string() },
            Cause::Other => Self::Migrate { path: path.to_owned(), source },
        }
    }

    fn of_fault(path: &Path, fault: Fault) -> Self {
        match fault {
            Fault::Busy => Self::Locked(path.to_owned()),
            fault => Self::Fault { path: path.to_owned(), fault },
        }
    }
}

fn cause(error: &sqlx::Error) -> Cause {
    if let sqlx::Error::Io(error) = error {
        return Fault::of_io(error).map_or(Cause::Other, Cause::Machine);
    }
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    code.map_or(Cause::Other, cause_of)
}

/// The code that an SQLite error has for a client. The log says which it was, and what to do.
pub(super) fn refused(error: sqlx::Error) -> Refusal {
    let cause = cause(&error);
    match cause {
        Cause::Machine(fault) => tracing::error!(fault = fault.code(), "the store: {fault} (SQLite says: {error})"),
        Cause::Damage => tracing::error!(
            fault = "damage",
            "the store: its file is damaged: stop the server and restore the last backup (SQLite says: {error})"
        ),
        Cause::Other => tracing::error!("the store failed: {error}"),
    }
    code_of(cause).into()
}

const fn code_of(cause: Cause) -> Code {
    match cause {
        Cause::Machine(Fault::Full) => Code::StorageFull,
        Cause::Machine(Fault::Busy) => Code::RetryLater,
        Cause::Machine(_) | Cause::Damage | Cause::Other => Code::StorageFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_what_helps_it() {
        let codes = [
            (13, Code::StorageFull),
            (5, Code::RetryLater),
            (8, Code::StorageFailed),
            (10 + 256 * 3, Code::StorageFailed),
            (11, Code::StorageFailed),
            (1, Code::StorageFailed),
        ];
        for (sqlite, code) in codes {
            assert_eq!(code_of(cause_of(sqlite)), code, "{sqlite}");
            assert!(code.is_retryable(), "what is sent is kept by the device and comes again");
        }
    }
}
