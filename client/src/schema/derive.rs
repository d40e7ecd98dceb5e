//! Fields computed from older fields.
//!
//! What is derived lies beside the field, under `~derived:minutes` for `minutes`, in one register that holds the value,
//! what it was derived from and by which version. So an edit of the field itself is never hidden by a derivation, and a
//! late edit of the source by an app that does not know the field is seen: the register names another source.
//!
//! The peer id of a derivation is a hash of what it follows on and what it writes: two devices that derive the same on
//! the same base make the same bytes, which merge once. On different bases they are two writes of one register.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use loro::{CommitOptions, ExportMode, LoroDoc, LoroMap, LoroResult, LoroValue, PeerID};
use roost_shared::DocumentId;
use roost_shared::hash::Hash;
use serde_json::Value;

use super::{Fault, SchemaError, guarded, is_reserved};
use crate::operations::canonical::canonical;
use crate::operations::census::Census;

/// What the key of a derived value begins with.
pub(crate) const PREFIX: &str = "~derived:";
/// Bytes of the hash that stands for what a value was derived from.
const FROM_LEN: usize = 16;

type Function = dyn Fn(&Value) -> Value + Send + Sync;

/// A step that computes fields of records from other fields of the same record.
pub struct Derive {
    root: String,
    /// Whether the root map holds records, or is one.
    is_each: bool,
    sources: Vec<String>,
    targets: Vec<String>,
    function: Box<Function>,
}

/// A step and the version that declared it.
pub(crate) struct Derivation<'a> {
    pub(super) version: u32,
    pub(super) derive: &'a Arc<Derive>,
}

/// A register to be written.
struct Write {
    /// The record, if the root map holds records.
    record: Option<String>,
    root: String,
    key: String,
    value: LoroValue,
}

impl fmt::Debug for Derive {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl fmt::Display for Derive {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "derive {} of {} from {}", self.targets.join(", "), self.root, self.sources.join(", "))
    }
}

impl Derive {
    /// Of each record in the root map `root`. `function` is given the sources that are there, and answers an object with
    /// the targets; it must depend on nothing else, and may run at any time after any merge. Sources come as they are
    /// stored: a counter as a floating-point number, a field of another policy that keeps values apart as a map of them.
    pub fn each<const S: usize, const T: usize>(
        root: &str,
        sources: [&str; S],
        targets: [&str; T],
        function: impl Fn(&Value) -> Value + Send + Sync + 'static,
    ) -> Self {
        Self::new(root, true, &sources, &targets, Box::new(function))
    }

    /// The same for a root map that is one record, such as settings.
    pub fn map<const S: usize, const T: usize>(
        root: &str,
        sources: [&str; S],
        targets: [&str; T],
        function: impl Fn(&Value) -> Value + Send + Sync + 'static,
    ) -> Self {
        Self::new(root, false, &sources, &targets, Box::new(function))
    }

    fn new(root: &str, is_each: bool, sources: &[&str], targets: &[&str], function: Box<Function>) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self { root: root.to_owned(), is_each, sources: owned(sources), targets: owned(targets), function }
    }

    pub(super) fn check(&self, version: u32) -> Result<(), SchemaError> {
        if self.sources.is_empty() || self.targets.is_empty() {
            return Err(SchemaError::Empty(version));
        }
        if let Some(field) = self.targets.iter().find(|target| self.sources.contains(target)) {
            return Err(SchemaError::DerivesFromItself { version, field: field.clone() });
        }
        let mut names = self.sources.iter().chain(&self.targets).chain([&self.root]);
        match names.find(|name| is_reserved(name)) {
            Some(name) => Err(SchemaError::Reserved { version, name: name.clone() }),
            None => Ok(()),
        }
    }

    fn makes(&self, root: &str, target: &str) -> bool {
        self.root == root && self.targets.iter().any(|own| own == target)
    }

    /// A field that the other makes as well.
    pub(super) fn makes_of(&self, other: &Self) -> Option<String> {
        other.targets.iter().find(|target| self.makes(&other.root, target)).cloned()
    }

    /// What a record's sources come to; None if it has none of them.
    fn answer(&self, record: &LoroMap, census: &Census) -> Result<Option<([u8; FROM_LEN], Value)>, Fault> {
        let mut sources = BTreeMap::new();
        for source in &self.sources {
            sources.extend(effective(record, census, source).map(|value| (source.clone(), value)));
        }
        if sources.is_empty() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        for (name, value) in &sources {
            canonical(&LoroValue::from(name.as_str()), &mut bytes);
            canonical(value, &mut bytes);
        }
        let given = Value::Object(sources.into_iter().map(|(name, value)| (name, Value::from(value))).collect());
        let [one, again] = [(); 2].map(|()| guarded(|| Ok((self.function)(&given))));
        let (one, again) = (one?, again?);
        if one != again {
            return Err(Fault::NotRepeatable);
        }
        let is_declared = |name: &String| self.targets.contains(name);
        let is_whole = |object: &serde_json::Map<_, _>| object.len() == self.targets.len();
        if !one.as_object().is_some_and(|object| is_whole(object) && object.keys().all(is_declared)) {
            return Err(Fault::Answer(one.to_string()));
        }
        let mut from = [0; FROM_LEN];
        from.copy_from_slice(&Hash::of(&[b"roost/v1/derived\0", &bytes]).0[..FROM_LEN]);
        Ok(Some((from, one)))
    }
}

/// A field of a record as the app sees it: what was written into it, else what was derived.
pub(crate) fn effective(record: &LoroMap, census: &Census, field: &str) -> Option<LoroValue> {
    match record.get(field) {
        Some(value) => Some(census.value(&value)),
        None => derived(record, field),
    }
}

fn derived(record: &LoroMap, field: &str) -> Option<LoroValue> {
    let register = record.get(&format!("{PREFIX}{field}"))?.get_deep_value().into_map().ok()?;
    register.get("value").filter(|value| !value.is_null()).cloned()
}

/// A step that failed: its version, its name, why.
pub(crate) type Failed = (u32, String, Fault);

/// Brings what is derived up to date: an update to be imported, or None if it was already. `among` limits it to these
/// roots, and records in them.
pub(crate) fn derive(
    loro: &LoroDoc,
    census: &Census,
    document: DocumentId,
    steps: &[Derivation<'_>],
    among: Option<&BTreeMap<String, BTreeSet<String>>>,
) -> Result<Option<Vec<u8>>, Failed> {
    let mut desk = Desk { loro, census, document: Some(document), fork: None };
    desk.settle(steps, among)?;
    let update = desk.fork.map(|fork| fork.export(ExportMode::updates(&loro.oplog_vv())));
    update.transpose().map_err(|error| (0, "export".to_owned(), Fault::Refused(error.into())))
}

/// The same, written into the document itself under its own peer id, as part of the edit that made it necessary.
pub(crate) fn derive_here(
    loro: &LoroDoc,
    census: &Census,
    steps: &[Derivation<'_>],
    among: &BTreeMap<String, BTreeSet<String>>,
) -> Result<(), Failed> {
    Desk { loro, census, document: None, fork: None }.settle(steps, Some(among))
}

/// Where derivations are written.
struct Desk<'a> {
    loro: &'a LoroDoc,
    /// The census of the document: no derivation writes into a counter.
    census: &'a Census,
    /// None: into the document itself.
    document: Option<DocumentId>,
    fork: Option<LoroDoc>,
}

impl Desk<'_> {
    /// A step may build on what another derives: round by round, until nothing is left. A round settles one step at least.
    fn settle(
        &mut self,
        steps: &[Derivation<'_>],
        among: Option<&BTreeMap<String, BTreeSet<String>>>,
    ) -> Result<(), Failed> {
        let mut last = None;
        for _ in 0..=steps.len() {
            last = None;
            for step in steps {
                let failed = |fault| (step.version, step.derive.to_string(), fault);
                let later = steps.iter().filter(|other| other.version > step.version);
                let later: Vec<&Derive> = later.map(|other| &**other.derive).collect();
                let loro = self.fork.as_ref().unwrap_or(self.loro);
                let writes = step.writes(loro, self.census, &later, among).map_err(failed)?;
                if !writes.is_empty() {
                    self.write(step, &writes).map_err(|error| failed(error.into()))?;
                    last = Some(step);
                }
            }
            if last.is_none() {
                return Ok(());
            }
        }
        last.map_or(Ok(()), |step| Err((step.version, step.derive.to_string(), Fault::NotRepeatable)))
    }

    fn write(&mut self, step: &Derivation<'_>, writes: &[Write]) -> LoroResult<()> {
        let Some(document) = self.document else { return put(self.loro, writes) };
        let fork = self.fork.get_or_insert_with(|| self.loro.fork());
        let mut said = Vec::new();
        for write in writes {
            for name in [write.record.as_deref().unwrap_or_default(), &write.root, &write.key] {
                canonical(&LoroValue::from(name), &mut said);
            }
            canonical(&write.value, &mut said);
        }
        let date = newest(fork);
        fork.set_peer_id(content_peer(b"roost/v1/derive\0", document, step.version, fork, &said))?;
        fork.set_record_timestamp(false);
        put(fork, writes)?;
        fork.commit_with(CommitOptions::new().timestamp(date));
        Ok(())
    }
}

fn put(loro: &LoroDoc, writes: &[Write]) -> LoroResult<()> {
    for write in writes {
        let root = loro.get_map(&*write.root);
        let record = match &write.record {
            None => root,
            Some(key) => match root.get(key).and_then(|value| value.into_container().ok()?.into_map().ok()) {
                Some(record) => record,
                None => continue,
            },
        };
        record.insert(&write.key, write.value.clone())?;
    }
    Ok(())
}

impl Derivation<'_> {
    fn writes(
        &self,
        loro: &LoroDoc,
        census: &Census,
        later: &[&Derive],
        among: Option<&BTreeMap<String, BTreeSet<String>>>,
    ) -> Result<Vec<Write>, Fault> {
        let derive = self.derive;
        let among = match among.map(|among| among.get(&derive.root)) {
            Some(None) => return Ok(Vec::new()),
            Some(among) => among,
            None => None,
        };
        let root = loro.get_map(&*derive.root);
        let mut writes = Vec::new();
        if !derive.is_each {
            self.record(&root, census, None, later, &mut writes)?;
            return Ok(writes);
        }
        let keys: BTreeSet<String> = match among {
            Some(among) => among.clone(),
            None => root.keys().map(|key| key.to_string()).collect(),
        };
        for key in keys {
            let record = root.get(&key).and_then(|value| value.into_container().ok());
            if let Some(record) = record.and_then(|container| container.into_map().ok()) {
                self.record(&record, census, Some(key), later, &mut writes)?;
            }
        }
        Ok(writes)
    }

    fn record(
        &self,
        record: &LoroMap,
        census: &Census,
        key: Option<String>,
        later: &[&Derive],
        writes: &mut Vec<Write>,
    ) -> Result<(), Fault> {
        // Of what is gone nothing is derived any more.
        let answer = self.derive.answer(record, census)?;
        let is_gone = answer.is_none();
        let (from, answer) = answer.unwrap_or_default();
        for target in &self.derive.targets {
            if later.iter().any(|step| step.makes(&self.derive.root, target)) {
                continue;
            }
            let register = format!("{PREFIX}{target}");
            let held = record.get(&register).and_then(|value| value.get_deep_value().into_map().ok());
            let by = |held: &loro::LoroMapValue| held.get("by").and_then(|by| by.as_i64()).copied();
            let is_current = held.as_ref().is_some_and(|held| {
                let is_newer = by(held).is_some_and(|by| by > i64::from(self.version));
                let is_same = held.get("from").and_then(|held| held.as_binary()).is_some_and(|held| ***held == from);
                is_newer || is_same && by(held) == Some(i64::from(self.version))
            });
            if is_current || is_gone && held.is_none() {
                continue;
            }
            let value = answer.get(target).cloned().unwrap_or_default();
            let value = LoroValue::from(
                [
                    ("by".to_owned(), LoroValue::I64(self.version.into())),
                    ("from".to_owned(), LoroValue::from(from.to_vec())),
                    ("value".to_owned(), LoroValue::from(value)),
                ]
                .into_iter()
                .collect::<std::collections::HashMap<_, _>>(),
            );
            writes.push(Write { record: key.clone(), root: self.derive.root.clone(), key: register, value });
        }
        Ok(())
    }
}

/// The peer id of what is computed: a hash of what it follows on and of what it writes. Never one that a device draws:
/// those have the highest bit clear.
pub(super) fn content_peer(label: &[u8], document: DocumentId, version: u32, base: &LoroDoc, written: &[u8]) -> PeerID {
    let mut heads: Vec<_> = base.oplog_frontiers().iter().map(|id| (id.peer, id.counter)).collect();
    heads.sort_unstable();
    let heads: Vec<u8> = heads
        .into_iter()
        .flat_map(|(peer, counter)| peer.to_be_bytes().into_iter().chain(counter.to_be_bytes()))
        .collect();
    let name = Hash::of(&[label, &document.0, &version.to_be_bytes(), &heads, written]);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&name.0[..8]);
    (PeerID::from_be_bytes(bytes) | 1 << 63).min(PeerID::MAX - 1)
}

/// Whether a peer id is one of what was computed.
pub(crate) const fn is_computed(peer: PeerID) -> bool {
    peer >> 63 == 1
}

/// The history is dated by who edited: what is computed is as old as the newest of what it follows on.
pub(super) fn newest(loro: &LoroDoc) -> i64 {
    let heads = loro.oplog_frontiers();
    heads.iter().filter_map(|id| loro.get_change(id)).map(|change| change.timestamp).max().unwrap_or(0)
}
