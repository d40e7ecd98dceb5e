//! The rules that make records a chain, and the roster that results.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::VerifyingKey;

use super::record::{Device, Owner, Record, RecordBody, Replace, Scope, Status, WRAP_LEN};
use crate::hash::Hash;
use crate::id::{DeviceId, WorkspaceId};

/// A device of the roster, with its key ready to verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// As listed.
    pub device: Device,
    /// Its Ed25519 key.
    pub key: VerifyingKey,
}

impl Member {
    /// Whether it joined by a link and no owner record listed it since.
    pub fn is_newcomer(&self) -> bool {
        self.device.status == Status::Active && self.device.wrap == [0; WRAP_LEN]
    }
}

/// Who is in a workspace after `version` records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    workspace: WorkspaceId,
    version: u64,
    hash: Hash,
    owner: Option<Owner>,
    members: BTreeMap<DeviceId, Member>,
    /// Once revoked or replaced and then left out: never to be listed again.
    gone: BTreeSet<DeviceId>,
    purged: bool,
}

/// Why a record does not go on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Built on another record than the newest: read the chain and build again.
    #[error("the roster is at version {version}: read it and build the record again")]
    Moved {
        /// The version of the newest record.
        version: u64,
    },
    /// The workspace was purged: nothing follows.
    #[error("the workspace was purged")]
    Purged,
    /// It is for another workspace, or its owner key does not hash to the workspace id.
    #[error("the record belongs to another workspace")]
    Workspace,
    /// The signature is not that of the key that must sign.
    #[error("the record is not signed by the key that must sign it")]
    Signature,
    /// A rule of the chain is broken.
    #[error("the record breaks a rule of the roster: {0}")]
    Rule(&'static str),
}

impl Roster {
    /// Before the first record.
    pub const fn empty(workspace: WorkspaceId) -> Self {
        Self {
            workspace,
            version: 0,
            hash: Hash::ZERO,
            owner: None,
            members: BTreeMap::new(),
            gone: BTreeSet::new(),
            purged: false,
        }
    }

    /// Applies a chain from genesis.
    pub fn verify(workspace: WorkspaceId, chain: &[Record]) -> Result<Self, ChainError> {
        let mut roster = Self::empty(workspace);
        for record in chain {
            roster.apply(record)?;
        }
        Ok(roster)
    }

    /// Whose roster.
    pub const fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// The version of the newest record; 0 before the first.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The hash of the newest record.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// The current epoch; 0 before the first record.
    pub fn epoch(&self) -> u32 {
        self.owner.as_ref().map_or(0, |owner| owner.epoch)
    }

    /// The newest owner record's body (its device list may be older than [`Roster::members`]).
    pub const fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// Everyone listed.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// One of them.
    pub fn member(&self, id: DeviceId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// The scope of a device that is in now.
    pub fn scope(&self, id: DeviceId) -> Option<Scope> {
        self.member(id).filter(|member| member.device.status == Status::Active).map(|member| member.device.scope)
    }

    /// Whether the workspace is gone.
    pub const fn is_purged(&self) -> bool {
        self.purged
    }

    /// Whether it was listed once and went: it can never be listed again.
    pub fn is_gone(&self, id: DeviceId) -> bool {
        self.gone.contains(&id)
    }

    /// Whether someone joined by a link since the last owner record: time for a new epoch, which a leaked link
    /// cannot open.
    pub fn has_newcomer(&self) -> bool {
        self.members().any(Member::is_newcomer)
    }

    /// Takes the next record in, or says why not and stays as it is.
    pub fn apply(&mut self, record: &Record) -> Result<(), ChainError> {
        if record.workspace != self.workspace {
            return Err(ChainError::Workspace);
        }
        if self.purged {
            return Err(ChainError::Purged);
        }
        if record.version != self.version + 1 || record.previous != self.hash {
            return Err(ChainError::Moved { version: self.version });
        }
        match &record.body {
            RecordBody::Owner(owner) => {
                let members = self.check_owner(record, owner)?;
                let left_out = self.members.keys().filter(|id| !members.contains_key(id)).copied();
                self.gone.extend(left_out);
                self.members = members;
                self.owner = Some(owner.clone());
            }
            RecordBody::Replace(replace) => self.replace(record, replace)?,
            RecordBody::Purge => {
                let owner = self.owner.as_ref().ok_or(ChainError::Rule("the first record is an owner record"))?;
                if !record.is_signed_by(&owner.ed) {
                    return Err(ChainError::Signature);
                }
                self.purged = true;
            }
        }
        self.version = record.version;
        self.hash = record.hash();
        Ok(())
    }

    fn check_owner(&self, record: &Record, next: &Owner) -> Result<BTreeMap<DeviceId, Member>, ChainError> {
        if WorkspaceId::of_owner(&next.ed) != self.workspace {
            return Err(ChainError::Workspace);
        }
        if !record.is_signed_by(&next.ed) {
            return Err(ChainError::Signature);
        }
        match &self.owner {
            None if next.epoch != 1 || next.back_link != [0; 48] => {
                return Err(ChainError::Rule("the first epoch is 1 and has no back link"));
            }
            None => {}
            Some(now) => check_epoch(now, next)?,
        }
        let mut members = BTreeMap::new();
        for device in &next.devices {
            if let Some(now) = self.member(device.id) {
                check_status(now.device.status, device.status)?;
            } else if self.is_gone(device.id) {
                return Err(ChainError::Rule("a device that went is gone for good"));
            } else if device.status == Status::Replaced {
                return Err(ChainError::Rule("only a replace record uses an invite up"));
            }
            members.insert(device.id, member(device.clone())?);
        }
        let all_listed = self.members().all(|now| {
            !matches!(now.device.status, Status::Active | Status::Invite) || members.contains_key(&now.device.id)
        });
        if all_listed { Ok(members) } else { Err(ChainError::Rule("an active device or invite is left out")) }
    }

    fn replace(&mut self, record: &Record, replace: &Replace) -> Result<(), ChainError> {
        let invite = self.member(replace.invite).map(|member| member.device.clone());
        let invite = invite
            .filter(|invite| invite.status == Status::Invite)
            .ok_or(ChainError::Rule("the invite is not open"))?;
        if !record.is_signed_by(&invite.ed) {
            return Err(ChainError::Signature);
        }
        if self.members.contains_key(&replace.device) || self.is_gone(replace.device) {
            return Err(ChainError::Rule("the new device was listed before"));
        }
        let joined = member(Device {
            id: replace.device,
            ed: replace.ed,
            x: replace.x,
            scope: invite.scope,
            status: Status::Active,
            not_after_ms: 0,
            label: replace.label,
            wrap: [0; WRAP_LEN],
            link_hash: Hash::ZERO,
            access_hash: Hash::ZERO,
        })?;
        let used = Device {
            status: Status::Replaced,
            not_after_ms: 0,
            wrap: [0; WRAP_LEN],
            link_hash: Hash::ZERO,
            access_hash: Hash::ZERO,
            ..invite
        };
        self.members.insert(used.id, member(used)?);
        self.members.insert(replace.device, joined);
        Ok(())
    }
}

fn check_epoch(now: &Owner, next: &Owner) -> Result<(), ChainError> {
    if next.x != now.x {
        return Err(ChainError::Rule("the owner keys never change"));
    }
    if next.epoch < now.epoch {
        return Err(ChainError::Rule("the epoch never falls"));
    }
    let same = next.epoch == now.epoch;
    if same && (next.ek_commit != now.ek_commit || next.back_link != now.back_link) {
        return Err(ChainError::Rule("one epoch has one key"));
    }
    if !same && (next.ek_commit == now.ek_commit || next.back_link == [0; 48]) {
        return Err(ChainError::Rule("a new epoch has a new key and a back link"));
    }
    Ok(())
}

fn check_status(now: Status, next: Status) -> Result<(), ChainError> {
    let allowed = match now {
        Status::Active => matches!(next, Status::Active | Status::Revoked),
        Status::Invite => matches!(next, Status::Invite | Status::Revoked),
        Status::Revoked => next == Status::Revoked,
        Status::Replaced => next == Status::Replaced,
    };
    if allowed { Ok(()) } else { Err(ChainError::Rule("a status never goes back")) }
}

fn member(device: Device) -> Result<Member, ChainError> {
    match VerifyingKey::from_bytes(&device.ed) {
        Ok(key) if !key.is_weak() => Ok(Member { device, key }),
        _ => Err(ChainError::Rule("a device key is weak")),
    }
}
