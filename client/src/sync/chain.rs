//! A roster, and the records that made it.

use roost_shared::WorkspaceId;
use roost_shared::roster::{ChainError, Record, Roster};

/// A roster with the records that made it.
#[derive(Debug, Clone)]
pub struct Chain {
    records: Vec<Record>,
    roster: Roster,
}

impl Chain {
    /// Before genesis.
    pub const fn empty(workspace: WorkspaceId) -> Self {
        Self { records: Vec::new(), roster: Roster::empty(workspace) }
    }

    /// From genesis.
    pub fn verify(workspace: WorkspaceId, records: Vec<Record>) -> Result<Self, ChainError> {
        let roster = Roster::verify(workspace, &records)?;
        Ok(Self { records, roster })
    }

    /// The roster after the last record.
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// All of them.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Takes the next record in.
    pub fn push(&mut self, record: Record) -> Result<(), ChainError> {
        self.roster.apply(&record)?;
        self.records.push(record);
        Ok(())
    }

    /// How many records, from genesis on, the two chains share.
    pub(super) fn shared_with(&self, other: &Self) -> usize {
        self.records
            .iter()
            .zip(&other.records)
            .take_while(|(ours, theirs)| ours.as_bytes() == theirs.as_bytes())
            .count()
    }

    /// True for a chain that begins with all of another's records. Each record holds the hash of the one before it, so that one
    /// comparison is enough.
    pub(super) fn starts_with(&self, other: &Self) -> bool {
        let Some(last) = other.records.last() else { return true };
        let own = self.records.get(other.records.len() - 1);
        own.is_some_and(|own| own.as_bytes() == last.as_bytes())
    }
}
