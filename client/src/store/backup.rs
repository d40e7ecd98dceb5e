//! A copy of the file before anything in it is brought to another form: made by SQLite, read back, then put in place.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::StoreError;

/// Copies the file to `NAME.before-KIND-NUMBER.db` beside it; an older backup of this kind goes once the new one is sound.
pub(super) fn back_up(connection: &Connection, path: &Path, kind: &str, number: u32) -> Result<PathBuf, StoreError> {
    let target = path.with_extension(format!("before-{kind}-{number}.db"));
    let part = target.with_extension("part");
    let made = make(connection, path, &part).and_then(|()| {
        fs::rename(&part, &target).map_err(|source| StoreError::of_io(&part, source))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| StoreError::of_io(folder, source))
    });
    if let Err(error) = made {
        let _ = fs::remove_file(&part); // on a full disk it would take the place of what is to come
        return Err(error);
    }
    forget_older(path, kind, &target);
    Ok(target)
}

/// A sound copy at `part`, on the disk.
fn make(connection: &Connection, path: &Path, part: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::of_io(part, source);
    if part.exists() {
        fs::remove_file(part).map_err(io)?;
    }
    drop(private(part)?);
    let failed = |error| StoreError::of_sqlite(path, error);
    connection.execute("VACUUM INTO ?1", [part.to_string_lossy()]).map_err(failed)?;
    let unsound = |what: String| StoreError::Backup { path: part.to_owned(), what };
    let copy = Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let found: String = copy.pragma_query_value(None, "integrity_check", |row| row.get(0)).map_err(failed)?;
    if found != "ok" {
        return Err(unsound(found));
    }
    if counts(&copy)? != counts(connection)? {
        return Err(unsound("the copy holds other rows than the file".to_owned()));
    }
    drop(copy);
    File::open(part).and_then(|file| file.sync_all()).map_err(io)
}

/// How many rows each table has.
fn counts(connection: &Connection) -> Result<Vec<(String, i64)>, StoreError> {
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let count = |name: String| {
        let rows = connection.query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |row| row.get(0))?;
        Ok((name, rows))
    };
    names.into_iter().map(count).collect()
}

/// One backup of each kind is kept. One that cannot be removed costs its place, and nothing else.
fn forget_older(path: &Path, kind: &str, newest: &Path) {
    let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { return };
    let beginning = format!("{stem}.before-{kind}-");
    let entries = path.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.path() != newest) {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(&beginning)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Opens or creates a file that only this user may read.
pub(super) fn private(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| StoreError::of_io(path, source))
}
