//! Sessions in files that `roost replay` types: the typist's own, and recorded ones where they are at hand.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tempfile::NamedTempFile;

use super::process::roost;
use super::speaker::Problem;
use crate::typist::Session;

/// A session's file, and the text it ends with.
pub struct Trace {
    pub name: String,
    pub file: PathBuf,
    pub end: String,
}

/// The typist's session of this seed, written below `target/traces`.
pub fn typed(seed: u64, edits: usize) -> Trace {
    let name = format!("typist-{seed}-{edits}");
    let session = Session::typed(seed, edits);
    let folder = roost().ancestors().nth(2).unwrap_or(Path::new("target")).join("traces");
    match write(&folder, &name, &session) {
        Ok(file) => Trace { name, file, end: session.end_content },
        Err(error) => panic!("{name} is not written into {}: {error}", folder.display()),
    }
}

/// Under its name only once it is whole: other tests write and read the same.
fn write(folder: &Path, name: &str, session: &Session) -> Result<PathBuf, Problem> {
    std::fs::create_dir_all(folder)?;
    let file = folder.join(format!("{name}.json.gz"));
    let mut packed = GzEncoder::new(NamedTempFile::new_in(folder)?, Compression::fast());
    serde_json::to_writer(&mut packed, session)?;
    packed.finish()?.persist(&file)?;
    Ok(file)
}

/// The recorded session `NAME.json.gz` of josephg/editing-traces, if the folder `ROOST_TRACES` or else `../shared/traces`,
/// both seen from the checkout, has it.
pub fn recorded(name: &str) -> Option<Trace> {
    let folder = std::env::var_os("ROOST_TRACES").unwrap_or_else(|| "../shared/traces".into());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join(format!("{name}.json.gz"));
    if !file.is_file() {
        return None;
    }
    let mut text = String::new();
    let read = std::fs::File::open(&file).and_then(|file| GzDecoder::new(file).read_to_string(&mut text));
    assert!(read.is_ok(), "{}: {read:?}", file.display());
    let end = serde_json::from_str::<serde_json::Value>(&text).ok();
    let end = end.and_then(|trace| trace.get("endContent")?.as_str().map(str::to_owned));
    match end {
        Some(end) => Some(Trace { name: name.to_owned(), file, end }),
        None => panic!("{} has no endContent", file.display()),
    }
}
