//! The corpora of `shared/fuzz`, replayed with stable Rust: what fuzzing found once stays found.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use crate::hostile_bodies::BODIES;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// What lies in a folder, in the same order everywhere.
fn inside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder can be read to its end").path()).collect();
    paths.sort();
    paths
}

fn stems(folder: &Path) -> BTreeSet<String> {
    let stem = |path: &PathBuf| path.file_stem().expect("a path in a folder has a name").to_string_lossy().into_owned();
    inside(folder).iter().map(stem).collect()
}

#[test]
fn every_file_passes() {
    for (target, body) in BODIES {
        for file in inside(&fuzz().join("corpus").join(target)) {
            let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            // The body says which promise was broken; this says by which bytes.
            assert!(catch_unwind(|| body(&bytes)).is_ok(), "{} fails the body of {target}", file.display());
        }
    }
}

#[test]
fn every_body_has_a_target_and_a_corpus() {
    let bodies: BTreeSet<_> = BODIES.iter().map(|(target, _)| (*target).to_owned()).collect();
    assert_eq!(stems(&fuzz().join("fuzz_targets")), bodies);
    assert_eq!(stems(&fuzz().join("corpus")), bodies);
}
