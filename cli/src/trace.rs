//! Recorded editing traces, as josephg/editing-traces writes them.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use flate2::read::GzDecoder;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::output::Failure;

/// A trace unpacks to this at most.
const TRACE_MAX: u64 = 256 * 1024 * 1024;

/// One edit: at `position` code points, delete so many, insert that.
#[derive(Deserialize)]
pub struct Patch(pub usize, pub usize, pub String);

#[derive(Deserialize)]
struct Transaction {
    patches: Vec<Patch>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recording {
    kind: Option<String>,
    txns: Vec<Transaction>,
}

/// A sequential trace.
pub struct Trace {
    /// Its edits in order.
    pub patches: Vec<Patch>,
    /// SHA-256 of the file's contents: what progress is remembered under.
    pub id: String,
}

impl Trace {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::other(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(|error| failed(&error))?;
        let mut text = Vec::new();
        let mut unpacked = GzDecoder::new(BufReader::new(file)).take(TRACE_MAX);
        unpacked.read_to_end(&mut text).map_err(|error| failed(&error))?;
        let file: Recording = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
        if file.kind.as_deref() == Some("concurrent") {
            return Err(failed(&"a concurrent trace is typed with --agent, which this version does not have"));
        }
        let patches = file.txns.into_iter().flat_map(|transaction| transaction.patches).collect();
        Ok(Self { patches, id: hex::encode(Sha256::digest(&text)) })
    }
}
