//! A device's standing in its workspace: its keys, the keys it can open, and the roster that it holds.

use roost_shared::WorkspaceId;
use roost_shared::roster::{Record, Roster};

use crate::keys::KeyPair;
use crate::keys::link::Invite;
use crate::keys::ring::KeyRing;
use crate::store::Identity;

/// A device among the members of its workspace.
pub(crate) struct Standing<'a> {
    pub(crate) workspace: WorkspaceId,
    pub(crate) device: &'a KeyPair,
    pub(crate) ring: &'a KeyRing,
    /// The newest roster that the device knows.
    pub(crate) roster: &'a Roster,
}

/// The epoch keys that a device can open, by its own key, its invite's or the owner's.
pub(crate) fn ring(identity: &Identity, records: &[Record]) -> KeyRing {
    let device = KeyPair::device(&identity.device_seed);
    let invite = identity.invite.as_ref().map(Invite::keys);
    let owner = identity.owner_seed.as_ref().map(KeyPair::owner);
    let holders: Vec<&KeyPair> = [Some(&device), invite.as_ref(), owner.as_ref()].into_iter().flatten().collect();
    KeyRing::open(records, &holders)
}
