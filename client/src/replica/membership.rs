//! Roster records of this device, and the keys that records bring.

use roost_shared::hash::Hash;
use roost_shared::limits::DEVICES_MAX;
use roost_shared::roster::{Device, Record, Roster, Scope, Status, WRAP_LEN};
use roost_shared::{DeviceId, DocumentId};

use super::documents::EditError;
use super::{Output, Replica, Work, digest, ring};
use crate::keys::link::{Invite, ShareLink};
use crate::keys::recovery::{RecoveryKeys, RecoveryPhrase};
use crate::keys::roster::{Change, name_of, owner_record};
use crate::keys::seal::label;
use crate::keys::{EpochKey, KeyPair, Seed};
use crate::store::StoreError;
use crate::sync::{Event, fork};

impl Replica {
    /// The newest roster may bring keys: what waited for one is looked at again.
    pub(super) fn refresh_keys(&mut self) -> Result<(), StoreError> {
        self.ring = ring(&self.identity, self.machine.held());
        self.learn_names();
        let own = self.machine.held().roster().member(self.device.device_id());
        let has_own_wrap = own.is_some_and(|own| own.device.wrap != [0; WRAP_LEN]);
        if has_own_wrap && self.identity.invite.take().is_some() {
            self.store.forget_invite()?;
        }
        self.store.look_again()?;
        self.work.push_back(Work::Merge);
        Ok(())
    }

    fn owner(&self) -> Option<KeyPair> {
        self.identity.owner_seed.as_ref().map(KeyPair::owner)
    }

    /// Someone joined by a link: from the next epoch on that link opens nothing. Or the server lost records and has
    /// others in their place: the next one stands above both branches, and lists again what was lost.
    pub(super) fn advance_epoch(&mut self) -> Result<Vec<Output>, StoreError> {
        let (ours, theirs) = (self.machine.held(), &self.machine.log().chain);
        let served = ring(&self.identity, theirs);
        let change = Change {
            epoch: ours.roster().epoch().max(theirs.roster().epoch()).max(self.store.epoch_top()?) + 1,
            amended: fork::amended(ours, theirs),
            recovery: None,
        };
        let rings = [&served, &self.ring];
        let built =
            self.owner().and_then(|owner| owner_record(&*self.clock, &owner, theirs.roster(), &rings, &change).ok());
        match built {
            Some(record) => self.propose(record),
            None => Ok(Vec::new()),
        }
    }

    /// Durable first, then on its way.
    fn propose(&mut self, record: Record) -> Result<Vec<Output>, StoreError> {
        let proposed = self.store.propose(&record);
        self.noting(proposed)?;
        self.handle(Event::Proposed(record))
    }

    /// Proposes the owner's next record. It counts once it comes back in the log.
    fn change(
        &mut self,
        change: impl FnOnce(&Roster, &EpochKey) -> Result<Change, MembershipError>,
    ) -> Result<Vec<Output>, MembershipError> {
        let owner = self.owner().ok_or(MembershipError::NotOwner)?;
        let roster = self.machine.held().roster();
        // A newcomer first: this record would wrap the epoch key to it, and the epoch that a leaked link opens would stay.
        if self.machine.is_proposing() || self.machine.view().forked || roster.has_newcomer() {
            return Err(MembershipError::Busy);
        }
        let key = self.ring.get(roster.epoch()).ok_or(MembershipError::NoKey)?;
        let mut change = change(roster, key)?;
        if change.epoch > roster.epoch() {
            change.epoch = change.epoch.max(self.store.epoch_top()? + 1);
        }
        let record = owner_record(&*self.clock, &owner, roster, &[&self.ring], &change);
        Ok(self.propose(record.map_err(|_| MembershipError::NoKey)?)?)
    }

    /// Proposes one more invite.
    pub fn invite(&mut self, invite: &Invite, scope: Scope, not_after_ms: u64) -> Result<Vec<Output>, MembershipError> {
        self.change(|roster, _| match roster.members().count() {
            DEVICES_MAX.. => Err(MembershipError::Full),
            _ => Ok(Change::inviting(roster, invite, scope, not_after_ms)),
        })
    }

    /// Proposes a roster without a device or an open invite, in a new epoch.
    pub fn revoke(&mut self, id: DeviceId) -> Result<Vec<Output>, MembershipError> {
        let own = self.device.device_id();
        self.change(|roster, _| match listed(roster, id)? {
            _ if id == own => Err(MembershipError::OwnDevice),
            device => Ok(Change::without(roster, device)),
        })
    }

    /// Proposes another name for a device.
    pub fn rename(&mut self, id: DeviceId, name: &str) -> Result<Vec<Output>, MembershipError> {
        let nonce = self.clock.random();
        self.change(|roster, key| {
            let device = listed(roster, id)?;
            Ok(Change::of(roster, Device { label: label(key, id, nonce, name), ..device.clone() }))
        })
    }

    /// Proposes another scope for a device.
    pub fn set_scope(&mut self, id: DeviceId, scope: Scope) -> Result<Vec<Output>, MembershipError> {
        self.change(|roster, _| Ok(Change::of(roster, Device { scope, ..listed(roster, id)?.clone() })))
    }

    /// Proposes another recovery phrase.
    pub fn set_recovery(&mut self, keys: &RecoveryKeys) -> Result<Vec<Output>, MembershipError> {
        let seed = self.identity.owner_seed.as_ref().ok_or(MembershipError::NotOwner)?;
        let recovery = Some((keys.verifier(), keys.seal(seed)));
        self.change(|roster, _| Ok(Change { epoch: roster.epoch(), amended: Vec::new(), recovery }))
    }

    /// A phrase with fresh randomness.
    pub fn new_phrase(&self) -> RecoveryPhrase {
        RecoveryPhrase::new(self.clock.random())
    }

    /// A link with fresh secrets.
    pub fn new_link(&self) -> Result<ShareLink, MembershipError> {
        let server = self.identity.server.parse().map_err(|_| MembershipError::NoKey)?;
        let invite = Invite::new(self.clock.random(), self.clock.random());
        Ok(ShareLink::new(server, invite, self.identity.workspace))
    }

    /// The names of everyone listed, where this device can open them.
    pub fn device_names(&self) -> Vec<(DeviceId, Option<String>)> {
        let roster = self.machine.held().roster();
        let named = roster.members().map(|member| (member.device.id, name_of(&self.ring, &member.device)));
        named.collect()
    }

    /// The convergence digest of a document, and the version it stands for.
    pub fn digest(&mut self, document: DocumentId) -> Result<(Hash, Vec<(u64, i32)>), EditError> {
        self.contain(document, |open| {
            open.census.follow(&open.loro);
            Ok(digest::digest(&open.loro, &open.census))
        })
    }

    /// Whether sync is paused, also after a restart.
    pub fn set_paused(&mut self, paused: bool) -> Result<(), StoreError> {
        self.store.set_paused(paused)
    }

    /// Tries whether the store takes an edit now.
    pub fn check_writes(&mut self) -> Result<(), StoreError> {
        self.store.check_writes()
    }

    /// Where the workspace is kept from the next opening on.
    pub fn set_server(&mut self, server: &str) -> Result<(), StoreError> {
        self.store.set_server(server)
    }

    /// The owner's seed, on the device that has it.
    pub const fn owner_seed(&self) -> Option<&Seed> {
        self.identity.owner_seed.as_ref()
    }
}

/// A device or invite that is in.
fn listed(roster: &Roster, id: DeviceId) -> Result<&Device, MembershipError> {
    let found = roster.member(id).map(|member| &member.device);
    let is_in = |device: &&Device| matches!(device.status, Status::Active | Status::Invite);
    found.filter(is_in).ok_or(MembershipError::NoDevice(id))
}

/// Why the roster was not changed.
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
