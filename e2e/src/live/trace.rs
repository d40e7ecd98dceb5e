//! The traces folder.

use std::io::Read as _;
use std::path::PathBuf;

use flate2::read::GzDecoder;

/// A trace file, and the text it ends with.
pub fn trace(name: &str) -> (PathBuf, String) {
    let folder = std::env::var_os("ROOST_TRACES").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| {
        panic!("the editing traces are not here: set ROOST_TRACES to the folder that holds {name}.json.gz")
    });
    let path = folder.join(format!("{name}.json.gz"));
    let mut text = String::new();
    let read = std::fs::File::open(&path).and_then(|file| GzDecoder::new(file).read_to_string(&mut text));
    assert!(read.is_ok(), "{}: {read:?}", path.display());
    let end = serde_json::from_str::<serde_json::Value>(&text).ok();
    let end = end.and_then(|trace| trace.get("endContent")?.as_str().map(str::to_owned));
    match end {
        Some(end) => (path, end),
        None => panic!("{} has no endContent", path.display()),
    }
}
