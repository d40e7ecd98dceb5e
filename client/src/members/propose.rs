//! The owner's next roster record: who joins, who leaves, what a device may do and is called.

use roost_shared::DeviceId;
use roost_shared::limits::DEVICES_MAX;
use roost_shared::roster::{Device, Record, Roster, Scope, Status};

use super::change::{Change, owner_record};
use super::standing::ring;
use crate::clock::Clock;
use crate::keys::link::Invite;
use crate::keys::recovery::RecoveryKeys;
use crate::keys::ring::KeyRing;
use crate::keys::seal::label;
use crate::keys::{EpochKey, KeyPair};
use crate::store::{Identity, StoreError};
use crate::sync::{Machine, fork};

/// A change that the owner asks for.
#[derive(Clone, Copy)]
pub(crate) enum Asked<'a> {
    /// One more invite.
    Invite { invite: &'a Invite, scope: Scope, not_after_ms: u64 },
    /// A roster without a device or an open invite, in a new epoch.
    Revoke(DeviceId),
    /// Another name for a device.
    Rename { device: DeviceId, name: &'a str },
    /// Another scope for a device.
    Scope { device: DeviceId, scope: Scope },
    /// Another recovery phrase.
    Recovery(&'a RecoveryKeys),
}

/// The device that builds owner records, and what they stand on.
pub(crate) struct Proposer<'a> {
    pub(crate) clock: &'a dyn Clock,
    pub(crate) identity: &'a Identity,
    pub(crate) device: &'a KeyPair,
    pub(crate) ring: &'a KeyRing,
    pub(crate) machine: &'a Machine,
    /// The highest epoch that this device ever saw.
    pub(crate) epoch_top: u32,
}

impl Proposer<'_> {
    /// Builds the owner record that makes a change.
    pub(crate) fn record(&self, asked: Asked<'_>) -> Result<Record, MembershipError> {
        let owner = self.identity.owner_seed.as_ref().map(KeyPair::owner).ok_or(MembershipError::NotOwner)?;
        let roster = self.machine.held().roster();
        // A newcomer first: this record would wrap the epoch key to it, and the epoch that a leaked link opens would stay.
        if self.machine.is_proposing() || self.machine.view().forked || roster.has_newcomer() {
            return Err(MembershipError::Busy);
        }
        let key = self.ring.get(roster.epoch()).ok_or(MembershipError::NoKey)?;
        let mut change = self.change(asked, roster, key)?;
        if change.epoch > roster.epoch() {
            change.epoch = change.epoch.max(self.epoch_top + 1);
        }
        owner_record(self.clock, &owner, roster, &[self.ring], &change).map_err(|_| MembershipError::NoKey)
    }

    fn change(&self, asked: Asked<'_>, roster: &Roster, key: &EpochKey) -> Result<Change, MembershipError> {
        Ok(match asked {
            Asked::Invite { .. } if roster.members().count() >= DEVICES_MAX => return Err(MembershipError::Full),
            Asked::Invite { invite, scope, not_after_ms } => Change::inviting(roster, invite, scope, not_after_ms),
            Asked::Revoke(id) => match listed(roster, id)? {
                _ if id == self.device.device_id() => return Err(MembershipError::OwnDevice),
                device => Change::without(roster, device),
            },
            Asked::Rename { device: id, name } => {
                let device = listed(roster, id)?;
                Change::of(roster, Device { label: label(key, id, self.clock.random(), name), ..device.clone() })
            }
            Asked::Scope { device, scope } => Change::of(roster, Device { scope, ..listed(roster, device)?.clone() }),
            Asked::Recovery(keys) => {
                let seed = self.identity.owner_seed.as_ref().ok_or(MembershipError::NotOwner)?;
                let recovery = Some((keys.verifier(), keys.seal(seed)));
                Change { epoch: roster.epoch(), amended: Vec::new(), recovery }
            }
        })
    }

    /// Builds the owner record that begins the next epoch: someone joined by a link, and from then on that link opens
    /// nothing. Or the server lost records and has others in their place: the record stands above both branches, and lists
    /// again what was lost. None on a device that cannot build it.
    pub(crate) fn next_epoch(&self) -> Option<Record> {
        let owner = self.identity.owner_seed.as_ref().map(KeyPair::owner)?;
        let (ours, theirs) = (self.machine.held(), &self.machine.log().chain);
        let served = ring(self.identity, theirs.records());
        let epoch = ours.roster().epoch().max(theirs.roster().epoch()).max(self.epoch_top) + 1;
        let change = Change { epoch, amended: fork::amended(ours, theirs), recovery: None };
        owner_record(self.clock, &owner, theirs.roster(), &[&served, self.ring], &change).ok()
    }
}

/// A device or invite that is in.
fn listed(roster: &Roster, id: DeviceId) -> Result<&Device, MembershipError> {
    let found = roster.member(id).map(|member| &member.device);
    let is_in = |device: &&Device| matches!(device.status, Status::Active | Status::Invite);
    found.filter(is_in).ok_or(MembershipError::NoDevice(id))
}

/// The reason why the roster was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// Only the owner says who is in.
    #[error("only a device that holds the owner key can share the workspace or change who is in it")]
    NotOwner,
    /// One record at a time.
    #[error("another change of the roster is on its way: try again")]
    Busy,
    /// A key is missing.
    #[error("this device lacks the current epoch's key: let it sync once")]
    NoKey,
    /// Nobody of this id is in.
    #[error("no device or open link {0} is in this workspace: roost devices and roost links list them")]
    NoDevice(DeviceId),
    /// The owner's own device.
    #[error("this device holds the owner key and cannot revoke itself: to leave it behind, make a new workspace")]
    OwnDevice,
    /// The roster has room for so many.
    #[error("the roster is full: it lists 512 devices, those that went among them")]
    Full,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}
