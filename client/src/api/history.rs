//! Versions of a document: when, by whom, what was different; and back to one of them.

use loro::LoroDoc;
use roost_shared::DeviceId;
use serde_json::Value;

use crate::api::document::Document;
use crate::api::error::Error;
use crate::api::version::{Version, VersionError};
use crate::documents::undo::without_schema;
use crate::schema::gate;

/// Something one device wrote at one time: what it typed within a minute is one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revision {
    /// The document as that device saw it then.
    pub version: Version,
    /// Seconds since 1970, by that device's clock.
    pub at_s: i64,
    /// Which device, where that is known.
    pub device: Option<DeviceId>,
    /// How many operations.
    pub operations: usize,
}

/// One place at which two versions differ.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// Where, from the root container on: `todos.ID.title`. Lists and texts are compared as a whole.
    pub path: String,
    /// What stood there; None if nothing did.
    pub before: Option<Value>,
    /// What stands there.
    pub after: Option<Value>,
}

impl Document {
    /// Undoes this device's last edit that was not undone yet, also one of before a restart; false if there is none. What
    /// others wrote since stays.
    pub fn undo(&self) -> Result<bool, Error> {
        self.turn(|replica, id| replica.undo(id))
    }

    /// Makes the edit that was undone last again; false if there is none, or this device edited the document since.
    pub fn redo(&self) -> Result<bool, Error> {
        self.turn(|replica, id| replica.redo(id))
    }

    /// Everything that was ever written, newest first.
    pub fn history(&self) -> Result<Vec<Revision>, Error> {
        let rows = self.workspace().with(|replica| replica.history(self.id()))?;
        let revision = |row: crate::documents::history::RevisionRow| Revision {
            version: Version(row.version),
            at_s: row.at_s,
            device: row.device,
            operations: row.operations,
        };
        Ok(rows.into_iter().map(revision).collect())
    }

    /// The version it is at.
    pub fn version(&self) -> Result<Version, Error> {
        self.read(|loro| Version(loro.oplog_frontiers()))
    }

    /// The version it was at then, seconds since 1970: all that was written until then, by the clocks of who wrote it.
    pub fn version_at(&self, at_s: i64) -> Result<Version, Error> {
        Ok(Version(self.workspace().with(|replica| replica.version_at(self.id(), at_s))?))
    }

    /// Looks at it as it was.
    pub fn read_at<T>(&self, version: &Version, look: impl FnOnce(&LoroDoc) -> T) -> Result<T, Error> {
        Ok(look(&self.fork_at(version)?))
    }

    /// What is different between two versions.
    pub fn diff(&self, from: &Version, to: &Version) -> Result<Vec<Difference>, Error> {
        let [from, to] = [self.fork_at(from)?, self.fork_at(to)?].map(|fork| Value::from(fork.get_deep_value()));
        let mut found = Vec::new();
        compare(&mut String::new(), Some(&from), Some(&to), &mut found);
        Ok(found)
    }

    /// Makes it what it was, by an edit that takes back what came since: it travels like any other, and can be undone.
    /// Refused for a version from before a rewrite, whose content this app looks for elsewhere.
    pub fn restore(&self, version: &Version) -> Result<(), Error> {
        self.workspace().with(|replica| replica.check_editable(self.id()))?;
        let then = self.fork_at(version)?;
        if self.read(|loro| gate::rewrites(loro) != gate::rewrites(&then))? {
            return Err(Error::OldSchema(version.to_string()));
        }
        self.edit(|loro| loro.apply_diff(without_schema(&loro.diff(&loro.oplog_frontiers(), &version.0)?)))
    }

    fn fork_at(&self, version: &Version) -> Result<LoroDoc, Error> {
        self.knows(version)?;
        let fork = self.read(|loro| loro.fork_at(&version.0))?;
        fork.map_err(|error| Error::Edit(error.into()))
    }

    fn knows(&self, version: &Version) -> Result<(), Error> {
        let known = self.read(|loro| loro.frontiers_to_vv(&version.0).is_some())?;
        if known { Ok(()) } else { Err(Error::Version(VersionError::of(version))) }
    }
}

/// Maps key by key, everything else as a whole.
fn compare(path: &mut String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    let (Some(Value::Object(one)), Some(Value::Object(other))) = (before, after) else {
        let (before, after) = (before.cloned(), after.cloned());
        return found.push(Difference { path: path.clone(), before, after });
    };
    let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    for key in keys {
        let len = path.len();
        if len > 0 {
            path.push('.');
        }
        path.push_str(key);
        compare(path, one.get(key), other.get(key), found);
        path.truncate(len);
    }
}
