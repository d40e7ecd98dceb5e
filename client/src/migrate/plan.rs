//! The steps of a schema that a document lacks.

use std::sync::Arc;

use loro::{LoroDoc, VersionVector};

use crate::documents::contain::Refusal;
use crate::documents::open::OpenDocument;
use crate::operations::touched::touched_since;
use crate::schema::{Fault, Rewrite, Schema, derive_here, gate};

/// The steps that may run on a document now.
pub(crate) struct Plan {
    /// Derive steps up to this version.
    pub(crate) until: u32,
    /// The rewrite that comes after them.
    pub(crate) rewrite: Option<u32>,
}

/// The version of the schema that a document of this name is at.
pub(crate) fn schema_at(schema: &Schema, name: &str, loro: &LoroDoc) -> u32 {
    plan(schema, name, loro).until
}

/// Plans the steps that may run on a document now.
pub(crate) fn plan(schema: &Schema, name: &str, loro: &LoroDoc) -> Plan {
    let version = schema.number();
    if loro.len_ops() == 0 {
        return Plan { until: version, rewrite: None };
    }
    let rewrite = next_rewrite(schema, name, loro).map(|(version, _)| version);
    Plan { until: rewrite.map_or(version, |rewrite| schema.before(rewrite)), rewrite }
}

/// The first rewrite that a document lacks. One that began under its version needs none.
pub(crate) fn next_rewrite<'a>(schema: &'a Schema, name: &'a str, loro: &LoroDoc) -> Option<(u32, &'a Arc<Rewrite>)> {
    let mut rewrites = schema.rewrites(name).filter(|(version, _)| gate::done(loro, *version).is_none()).peekable();
    rewrites.peek()?;
    let born = gate::born(loro);
    rewrites.find(|(version, _)| born < *version)
}

/// Derives from what an edit touched, as part of the edit. The schema version whose steps have looked at all of the
/// document now; 0 if one of them failed, or has not looked at the rest.
pub(crate) fn derive_from_edit(schema: &Schema, name: &str, open: &mut OpenDocument, before: &VersionVector) -> u32 {
    let until = plan(schema, name, &open.loro).until;
    if open.migrated < until && !before.is_empty() {
        return 0;
    }
    open.census.follow(&open.loro);
    let touched = touched_since(&open.loro, before);
    let derived = derive_here(&open.loro, &open.census, &schema.derives(name, until), &touched);
    open.loro.commit();
    match derived {
        Ok(()) => until,
        Err((version, step, fault)) => {
            tracing::error!(document = name, version, step, %fault, "not derived");
            0
        }
    }
}

pub(crate) fn fault_of(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::Loro(error) => Fault::Refused(error),
        Refusal::TooLarge => Fault::TooLarge,
        Refusal::TooDeep | Refusal::Shallow => Fault::TooDeep,
    }
}
