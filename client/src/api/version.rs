//! Versions of a document, as text and back.

use std::fmt;
use std::str::FromStr;

use loro::{Frontiers, ID};

/// A document at one moment: the last operations it held then. As text, such as `12@8803753769984728251`, to be kept or
/// handed on; any device that holds the operations knows what it means.
///
/// ```
/// # use roost::Roost;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let roost = Roost::builder(dir.path()).paused(true).open().await?;
/// # let workspace = roost.create_workspace("http://127.0.0.1:1", "laptop").await?;
/// let notes = workspace.document("notes")?;
/// notes.edit(|loro| loro.get_map("cake").insert("plums", 12))?;
/// let monday = notes.version()?;
/// notes.edit(|loro| loro.get_map("cake").insert("plums", 30))?;
///
/// let there = notes.diff(&monday, &notes.version()?)?;
/// assert_eq!((there[0].path.as_str(), &there[0].before), ("cake.plums", &Some(12.into())));
/// notes.restore(&monday)?; // an edit like any other: it travels, and can be undone
/// assert!(notes.diff(&monday, &notes.version()?)?.is_empty());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub(crate) Frontiers);

/// The text is no version.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no version: history lists them, as 12@8803753769984728251")]
pub struct VersionError(String);

impl VersionError {
    /// The document never was at this version, as far as this device knows.
    pub(crate) fn of(version: &Version) -> Self {
        Self(version.to_string())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut heads: Vec<ID> = self.0.iter().collect();
        heads.sort_unstable();
        for (number, id) in heads.into_iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(out, "{comma}{}@{}", id.counter, id.peer)?;
        }
        Ok(())
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let head = |part: &str| {
            let (counter, peer) = part.split_once('@')?;
            Some(ID::new(peer.parse().ok()?, counter.parse().ok().filter(|counter| *counter >= 0)?))
        };
        let heads: Option<Vec<ID>> = text.split(',').map(head).collect();
        heads.map(|heads| Self(heads.into())).ok_or_else(|| VersionError(text.to_owned()))
    }
}
