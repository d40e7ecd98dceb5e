//! What SQLite and the system say is read in one way.

use std::io::{self, ErrorKind};

use roost_shared::fault::{Cause, Fault, cause_of};

#[test]
fn sqlite_speaks_of_the_machine_or_of_the_file() {
    let of = |class: i32, detail: i32| class + 256 * detail;
    let classes = [
        (13, Cause::Machine(Fault::Full)),
        (8, Cause::Machine(Fault::ReadOnly)),
        (of(8, 1), Cause::Machine(Fault::ReadOnly)),    // READONLY_RECOVERY
        (of(8, 6), Cause::Machine(Fault::ReadOnly)),    // READONLY_DIRECTORY
        (of(8, 4), Cause::Machine(Fault::Unreachable)), // READONLY_DBMOVED
        (3, Cause::Machine(Fault::Forbidden)),
        (23, Cause::Machine(Fault::Forbidden)),
        (of(10, 28), Cause::Machine(Fault::Forbidden)), // IOERR_AUTH
        (7, Cause::Machine(Fault::Memory)),
        (of(10, 12), Cause::Machine(Fault::Memory)), // IOERR_NOMEM
        (5, Cause::Machine(Fault::Busy)),
        (of(5, 1), Cause::Machine(Fault::Busy)), // BUSY_RECOVERY
        (6, Cause::Machine(Fault::Busy)),
        (15, Cause::Machine(Fault::Busy)),
        (of(10, 11), Cause::Machine(Fault::Busy)), // IOERR_BLOCKED
        (14, Cause::Machine(Fault::Unreachable)),
        (of(14, 2), Cause::Machine(Fault::Unreachable)), // CANTOPEN_ISDIR
        (10, Cause::Machine(Fault::Failing)),
        (of(10, 3), Cause::Machine(Fault::Failing)),  // IOERR_WRITE
        (of(10, 4), Cause::Machine(Fault::Failing)),  // IOERR_FSYNC
        (of(10, 19), Cause::Machine(Fault::Failing)), // IOERR_SHMSIZE
        (of(10, 33), Cause::Machine(Fault::Failing)), // IOERR_CORRUPTFS
        (11, Cause::Damage),
        (of(11, 3), Cause::Damage), // CORRUPT_INDEX
        (26, Cause::Damage),
        (1, Cause::Other),
        (18, Cause::Other),
        (of(19, 8), Cause::Other), // CONSTRAINT_UNIQUE
    ];
    for (code, cause) in classes {
        assert_eq!(cause_of(code), cause, "{code}");
    }
}

#[test]
fn the_system_speaks_of_the_machine() {
    // ENOSPC, EDQUOT, EROFS, EACCES, EPERM, EMFILE, ENFILE, EIO, ENOMEM; the numbers of EDQUOT differ between systems.
    let errors = [
        (io::Error::from_raw_os_error(28), Some(Fault::Full)),
        (io::Error::from(ErrorKind::QuotaExceeded), Some(Fault::Full)),
        (io::Error::from_raw_os_error(30), Some(Fault::ReadOnly)),
        (io::Error::from_raw_os_error(13), Some(Fault::Forbidden)),
        (io::Error::from_raw_os_error(1), Some(Fault::Forbidden)),
        (io::Error::from_raw_os_error(24), Some(Fault::TooManyFiles)),
        (io::Error::from_raw_os_error(23), Some(Fault::TooManyFiles)),
        (io::Error::from_raw_os_error(5), Some(Fault::Failing)),
        (io::Error::from_raw_os_error(12), Some(Fault::Memory)),
        (io::Error::from_raw_os_error(2), None),
        (io::Error::from_raw_os_error(20), None),
    ];
    for (error, fault) in errors {
        assert_eq!(Fault::of_io(&error), fault, "{error}");
    }
}

#[test]
fn every_fault_has_a_name_of_its_own_and_says_what_to_do() {
    for (at, fault) in Fault::ALL.iter().enumerate() {
        assert!(Fault::ALL[..at].iter().all(|other| other.code() != fault.code()), "{fault:?}");
        assert!(fault.advice().contains(": "), "{fault:?} says what to do");
        assert!(!fault.advice().contains("damage") && !fault.advice().contains("join"), "{fault:?}");
    }
}
