//! Roster records of this device, and the keys that records bring.

use roost_shared::DeviceId;
use roost_shared::roster::{Record, Scope, WRAP_LEN};

use super::Replica;
use super::driver::Work;
use crate::keys::link::{Invite, ShareLink};
use crate::keys::recovery::{RecoveryKeys, RecoveryPhrase};
use crate::members::change::name_of;
use crate::members::propose::{Asked, MembershipError};
use crate::store::StoreError;
use crate::sync::Event;

impl Replica {
    /// The newest roster may bring keys: what waited for one is looked at again.
    pub(super) fn refresh_keys(&mut self) -> Result<(), StoreError> {
        self.sync.refresh_keys();
        self.names.learn(&self.sync.ring);
        let own = self.held().roster().member(self.sync.device.device_id());
        let has_own_wrap = own.is_some_and(|own| own.device.wrap != [0; WRAP_LEN]);
        if has_own_wrap && self.sync.identity.invite.take().is_some() {
            self.store.forget_invite()?;
        }
        self.store.look_again()?;
        self.work.push_back(Work::Merge);
        Ok(())
    }

    /// Proposes the owner record that begins the next epoch.
    pub(super) fn advance_epoch(&mut self) -> Result<(), StoreError> {
        let epoch_top = self.store.epoch_top()?;
        match self.sync.proposer(&*self.clock, epoch_top).next_epoch() {
            Some(record) => self.propose(record),
            None => Ok(()),
        }
    }

    /// Durable first, then on its way.
    fn propose(&mut self, record: Record) -> Result<(), StoreError> {
        let proposed = self.store.propose(&record);
        self.noting(proposed)?;
        self.handle(Event::Proposed(record))
    }

    /// Proposes the owner's next record. It counts once it comes back in the log.
    fn change(&mut self, asked: Asked<'_>) -> Result<(), MembershipError> {
        let epoch_top = self.store.epoch_top()?;
        let record = self.sync.proposer(&*self.clock, epoch_top).record(asked)?;
        Ok(self.propose(record)?)
    }

    /// Proposes one more invite.
    pub fn invite(&mut self, invite: &Invite, scope: Scope, not_after_ms: u64) -> Result<(), MembershipError> {
        self.change(Asked::Invite { invite, scope, not_after_ms })
    }

    /// Proposes a roster without a device or an open invite, in a new epoch.
    pub fn revoke(&mut self, device: DeviceId) -> Result<(), MembershipError> {
        self.change(Asked::Revoke(device))
    }

    /// Proposes another name for a device.
    pub fn rename(&mut self, device: DeviceId, name: &str) -> Result<(), MembershipError> {
        self.change(Asked::Rename { device, name })
    }

    /// Proposes another scope for a device.
    pub fn set_scope(&mut self, device: DeviceId, scope: Scope) -> Result<(), MembershipError> {
        self.change(Asked::Scope { device, scope })
    }

    /// Proposes another recovery phrase.
    pub fn set_recovery(&mut self, keys: &RecoveryKeys) -> Result<(), MembershipError> {
        self.change(Asked::Recovery(keys))
    }

    /// A phrase with fresh randomness.
    pub fn new_phrase(&self) -> RecoveryPhrase {
        RecoveryPhrase::new(self.clock.random())
    }

    /// A link with fresh secrets.
    pub fn new_link(&self) -> Result<ShareLink, MembershipError> {
        let identity = self.identity();
        let server = identity.server.parse().map_err(|_| MembershipError::NoKey)?;
        let invite = Invite::new(self.clock.random(), self.clock.random());
        Ok(ShareLink::new(server, invite, identity.workspace))
    }

    /// The names of everyone listed, where this device can open them.
    pub fn device_names(&self) -> Vec<(DeviceId, Option<String>)> {
        let members = self.held().roster().members();
        members.map(|member| (member.device.id, name_of(&self.sync.ring, &member.device))).collect()
    }
}
