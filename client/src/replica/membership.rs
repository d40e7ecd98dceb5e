//! Roster records of this device, and the keys that records bring.

use roost_shared::hash::Hash;
use roost_shared::roster::{Record, Scope, WRAP_LEN};
use roost_shared::{Code, DocumentId};

use super::documents::EditError;
use super::{Output, Replica, Work, digest, ring};
use crate::keys::link::{Invite, ShareLink};
use crate::keys::roster::{Change, add_invite, advance_epoch, name_of};
use crate::keys::{KeyPair, Seed};
use crate::store::StoreError;
use crate::sync::{Event, fork};

impl Replica {
    /// The newest roster may bring keys: what waited for one is looked at again.
    pub(super) fn refresh_keys(&mut self) -> Result<(), StoreError> {
        self.ring = ring(&self.identity, self.machine.held());
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
        };
        let rings = [&served, &self.ring];
        let built =
            self.owner().and_then(|owner| advance_epoch(&*self.clock, &owner, theirs.roster(), &rings, &change).ok());
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

    /// Proposes an owner record with one more invite. It counts once it comes back in the log: see
    /// [`Replica::is_invited`].
    pub fn invite(&mut self, invite: &Invite, scope: Scope, not_after_ms: u64) -> Result<Vec<Output>, InviteError> {
        let owner = self.owner().ok_or(InviteError::NotOwner)?;
        // A newcomer first: an invite would wrap the epoch key to it, and the epoch that a leaked link opens would stay.
        if self.machine.is_proposing() || self.machine.held().roster().has_newcomer() {
            return Err(InviteError::Busy);
        }
        let roster = self.machine.held().roster();
        let record = add_invite(&*self.clock, &owner, roster, &self.ring, invite, scope, not_after_ms)
            .map_err(|_| InviteError::NoKey)?;
        Ok(self.propose(record)?)
    }

    /// A link with fresh secrets.
    pub fn new_link(&self) -> Result<ShareLink, InviteError> {
        let server = self.identity.server.parse().map_err(|_| InviteError::NoKey)?;
        let invite = Invite::new(self.clock.random(), self.clock.random());
        Ok(ShareLink::new(server, invite, self.identity.workspace))
    }

    /// Whether the roster lists the invite.
    pub fn is_invited(&self, invite: &Invite) -> bool {
        self.machine.held().roster().member(invite.keys().device_id()).is_some()
    }

    /// The names of everyone listed, where this device can open them.
    pub fn device_names(&self) -> Vec<(roost_shared::DeviceId, Option<String>)> {
        let roster = self.machine.held().roster();
        let named = roster.members().map(|member| (member.device.id, name_of(&self.ring, &member.device)));
        named.collect()
    }

    /// The convergence digest of a document, and the version it stands for.
    pub fn digest(&mut self, document: DocumentId) -> Result<(Hash, Vec<(u64, i32)>), EditError> {
        self.read(document, digest::digest)
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

/// Why no invite was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// Only the owner makes links.
    #[error("only a device that holds the owner key can share the workspace")]
    NotOwner,
    /// One record at a time.
    #[error("another change of the roster is on its way: try again")]
    Busy,
    /// A key is missing.
    #[error("this device lacks the current epoch's key: let it sync once")]
    NoKey,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server did not take it.
    #[error("the server refused the record: {0}")]
    Refused(Code),
}
