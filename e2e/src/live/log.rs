//! A server's files, looked at from outside.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// What the log of a server's only workspace looks like.
#[derive(Debug, PartialEq, Eq)]
pub struct LogFacts {
    /// Entries.
    pub entries: u64,
    /// Numbers missing below the tail.
    pub gaps: u64,
    /// Entries whose bytes stand elsewhere too.
    pub doubles: u64,
    /// Authors' numbers missing.
    pub author_gaps: u64,
    /// Envelope bytes of sealed entries.
    pub sealed_bytes: u64,
}

/// Counts in the database, which must not be in use.
pub fn facts(data_dir: &Path) -> LogFacts {
    let path = data_dir.join("log.db");
    let opened = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let database = opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let count = |sql: &str| {
        let counted = database.query_row(sql, [], |row| row.get::<_, i64>(0));
        counted.map(i64::cast_unsigned).unwrap_or_else(|error| panic!("{sql}: {error}"))
    };
    LogFacts {
        entries: count("SELECT count(*) FROM entry"),
        gaps: count("SELECT max(seq) - count(*) FROM entry"),
        doubles: count("SELECT count(*) - count(DISTINCT envelope_hash) FROM entry"),
        author_gaps: count(
            "SELECT coalesce(sum(gap), 0) FROM \
             (SELECT max(author_seq) - count(*) AS gap FROM entry WHERE kind <> 3 GROUP BY life, author)",
        ),
        sealed_bytes: count("SELECT coalesce(sum(length(body)), 0) FROM entry WHERE kind <> 3"),
    }
}

/// How often any of `words` stands in any file of `data_dir`, or in the server's log beside it.
pub fn hits(data_dir: &Path, words: &[Vec<u8>]) -> usize {
    let files = std::fs::read_dir(data_dir).into_iter().flatten().flatten().map(|file| file.path());
    let contents = files.chain([data_dir.with_extension("log")]).filter_map(|path| std::fs::read(path).ok());
    contents.map(|bytes| words.iter().filter(|word| contains(&bytes, word)).count()).sum()
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    let Some(first) = word.first() else { return false };
    let starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    starts.into_iter().any(|(at, _)| bytes[at..].starts_with(word))
}
