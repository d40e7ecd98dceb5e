//! A step that may do anything to a document but take the old content away.

use std::fmt;

use loro::{CommitOptions, ExportMode, IdSpan, LoroDoc, LoroError, LoroResult, LoroValue, PeerID};
use roost_shared::DocumentId;

use super::derive::{content_peer, newest};
use super::{Fault, SchemaError, gate, guarded, is_reserved};

/// The peer of the first run, of which nothing is kept. No other text in what is compared is so long a number.
const TRIAL: PeerID = 0xfffe_0000_0000_0001;

type Function = dyn Fn(&LoroDoc) -> LoroResult<()> + Send + Sync;

/// A step that moves content to where apps of its version and later look for it.
///
/// It runs once for all devices. It is given a document in which content of its own version may stand already, made by a
/// device that created the document anew while offline: it adds to that what the old roots hold.
pub struct Rewrite {
    roots: Vec<String>,
    function: Box<Function>,
}

impl fmt::Debug for Rewrite {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl fmt::Display for Rewrite {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "rewrite {}", self.roots.join(", "))
    }
}

impl Rewrite {
    /// Moves content out of these root containers. They stay as they are: apps not updated yet still write there, and
    /// what they write after the rewrite is reported, not lost.
    pub fn of<const R: usize>(
        roots: [&str; R],
        function: impl Fn(&LoroDoc) -> LoroResult<()> + Send + Sync + 'static,
    ) -> Self {
        Self { roots: roots.iter().map(|root| (*root).to_owned()).collect(), function: Box::new(function) }
    }

    /// The roots whose content it moves.
    pub(crate) fn roots(&self) -> &[String] {
        &self.roots
    }

    pub(super) fn check(&self, version: u32) -> Result<(), SchemaError> {
        if self.roots.is_empty() {
            return Err(SchemaError::Empty(version));
        }
        match self.roots.iter().find(|root| is_reserved(root)) {
            Some(name) => Err(SchemaError::Reserved { version, name: name.clone() }),
            None => Ok(()),
        }
    }

    /// The update that rewrites a document, which itself stays as it is.
    ///
    /// Its peer id is a hash of what it follows on and what it writes: should a server that lost history have two devices
    /// rewrite on one base, both make the same bytes, which merge once.
    pub(crate) fn run(&self, loro: &LoroDoc, document: DocumentId, version: u32) -> Result<Vec<u8>, Fault> {
        let (_, tried) = self.attempt(loro, TRIAL, version)?;
        let peer = content_peer(b"roost/v1/rewrite\0", document, version, loro, tried.as_bytes());
        let (fork, written) = self.attempt(loro, peer, version)?;
        if written != tried {
            return Err(Fault::NotRepeatable);
        }
        let (before, after) = (loro.get_deep_value(), fork.get_deep_value());
        if let Some(root) = self.roots.iter().find(|root| held(&before, root) != held(&after, root)) {
            return Err(Fault::LegacyChanged(root.clone()));
        }
        Ok(fork.export(ExportMode::updates(&loro.oplog_vv())).map_err(LoroError::from)?)
    }

    /// Runs it on a fork: that, and what it wrote, with its peer id left out.
    fn attempt(&self, loro: &LoroDoc, peer: PeerID, version: u32) -> Result<(LoroDoc, String), Fault> {
        let fork = loro.fork();
        fork.set_peer_id(peer)?;
        fork.set_record_timestamp(false);
        guarded(|| (self.function)(&fork))?;
        if fork.peer_id() != peer {
            return Err(Fault::PeerChanged);
        }
        gate::set_done(&fork, version)?;
        fork.commit_with(CommitOptions::new().timestamp(newest(loro)));
        let end = fork.oplog_vv().get(&peer).copied().unwrap_or(0);
        let changes = fork.export_json_in_id_span(IdSpan::new(peer, 0, end));
        let written =
            serde_json::to_string(&changes).map_err(|error| LoroError::DecodeError(error.to_string().into()))?;
        Ok((fork, written.replace(&peer.to_string(), "")))
    }
}

/// What a root holds; an untouched one is as good as none.
fn held<'a>(document: &'a LoroValue, root: &str) -> Option<&'a LoroValue> {
    let LoroValue::Map(roots) = document else { return None };
    roots.get(root).filter(|value| match value {
        LoroValue::String(text) => !text.is_empty(),
        LoroValue::List(list) => !list.is_empty(),
        LoroValue::Map(map) => !map.is_empty(),
        _ => true,
    })
}
