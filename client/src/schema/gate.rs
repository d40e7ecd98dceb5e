//! What a document says of its own schema, in the root map `~schema`, which only grows:
//!
//! ```text
//! "born 4": reader_min   the first operation of whoever first wrote it, by an app of version 4
//! "done 4": 4            version 4's rewrite ran on it: no older app reads it
//! ```
//! Entries are only added, and the highest counts: one register that the last writer wins would be lowered by an old
//! device that was offline.

use loro::json::{JsonOpContent, MapOp};
use loro::{ContainerID, ContainerType, ID, IdSpan, LoroDoc, LoroResult, PeerID, VersionVector};

pub(crate) const ROOT: &str = "~schema";
const BORN: &str = "born ";
const DONE: &str = "done ";

/// The lowest version that may read it.
pub(crate) fn reader_min(loro: &LoroDoc) -> u32 {
    let mut highest = 0;
    loro.get_map(ROOT).for_each(|_, value| {
        let value = value.get_deep_value().into_i64().ok().and_then(|value| u32::try_from(value).ok());
        highest = highest.max(value.unwrap_or(0));
    });
    highest
}

/// The lowest version that may read a document, as operations that wrote into these containers left it; 0 where none of
/// them wrote into what the document says of its schema.
pub(crate) fn raised_by(loro: &LoroDoc, written: &[ContainerID]) -> u32 {
    let own = ContainerID::new_root(ROOT, ContainerType::Map);
    if written.contains(&own) { reader_min(loro) } else { 0 }
}

/// What the rewrite of this version followed on, if it ran.
pub(crate) struct Done {
    /// The peer that wrote it, and nothing else.
    pub(crate) peer: PeerID,
    /// What it had seen.
    pub(crate) base: VersionVector,
}

/// The rewrite of this version, if it ran.
pub(crate) fn done(loro: &LoroDoc, version: u32) -> Option<Done> {
    let peer = loro.get_map(ROOT).get_last_editor(&format!("{DONE}{version}"))?;
    let base = loro.get_change(ID::new(peer, 0)).and_then(|change| loro.frontiers_to_vv(&change.deps));
    Some(Done { peer, base: base.unwrap_or_default() })
}

/// All that a document says of rewrites.
pub(crate) fn rewrites(loro: &LoroDoc) -> Vec<String> {
    let mut done: Vec<String> = loro.get_map(ROOT).keys().map(|key| key.to_string()).collect();
    done.retain(|key| key.starts_with(DONE));
    done.sort_unstable();
    done
}

/// This version's rewrite ran on it.
pub(crate) fn set_done(loro: &LoroDoc, version: u32) -> LoroResult<()> {
    loro.get_map(ROOT).insert(&format!("{DONE}{version}"), i64::from(version))
}

/// The first operation of a document that was empty here.
pub(crate) fn set_born(loro: &LoroDoc, version: u32, reader_min: u32) -> LoroResult<()> {
    loro.get_map(ROOT).insert(&format!("{BORN}{version}"), i64::from(reader_min))
}

/// The oldest version that any of its content began under; 0 for an app without a schema.
///
/// Two devices that create one document offline are two beginnings, and one of them may be an older app. Every
/// beginning is a change that follows on nothing, and says in its first operation what wrote it.
pub(crate) fn born(loro: &LoroDoc) -> u32 {
    let vv = loro.oplog_vv();
    let starts = vv.iter().filter(|(_, end)| **end > 0).map(|(peer, _)| ID::new(*peer, 0));
    let beginnings = starts.filter(|id| loro.get_change(*id).is_some_and(|change| change.deps.is_empty()));
    beginnings.map(|id| born_with(loro, id)).min().unwrap_or(0)
}

fn born_with(loro: &LoroDoc, first: ID) -> u32 {
    let changes = loro.export_json_in_id_span(IdSpan::new(first.peer, 0, 1));
    let op = changes.iter().flat_map(|change| &change.ops).next();
    let Some(op) = op.filter(|op| op.container == ContainerID::new_root(ROOT, ContainerType::Map)) else { return 0 };
    match &op.content {
        JsonOpContent::Map(MapOp::Insert { key, .. }) => {
            key.strip_prefix(BORN).and_then(|number| number.parse().ok()).unwrap_or(0)
        }
        _ => 0,
    }
}
