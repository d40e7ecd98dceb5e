//! Building roster records.

use roost_shared::hash::Hash;
use roost_shared::roster::{Device, LABEL_LEN, Owner, Record, RecordBody, Replace, Roster, Scope, Status, WRAP_LEN};
use roost_shared::{DeviceId, WorkspaceId};

use crate::clock::Clock;
use crate::keys::link::Invite;
use crate::keys::recovery::BLOB_LEN;
use crate::keys::ring::KeyRing;
use crate::keys::seal::{self, SealBroken, back_link, wrap};
use crate::keys::{EpochKey, KeyPair};

/// The first record: the owner, and the device that creates the workspace.
pub fn genesis(
    clock: &dyn Clock,
    owner: &KeyPair,
    key: &EpochKey,
    device: &KeyPair,
    name: &str,
) -> Result<Record, SealBroken> {
    let first = device_of(device, Scope::ReadWrite, Status::Active);
    let body = Owner {
        ed: owner.ed(),
        x: owner.x(),
        epoch: 1,
        ek_commit: key.commit(),
        back_link: [0; 48],
        wrap: wrap(key, &owner.x(), clock.random())?,
        recovery_verifier: [0; 32],
        recovery_blob: [0; 81],
        devices: vec![listed(clock, key, &first, name)?],
    };
    Ok(sign(owner, owner.workspace_id(), 1, Hash::ZERO, body))
}

/// What the next owner record changes.
#[derive(Debug, Clone)]
pub struct Change {
    /// The roster's epoch, or a later one: that has a key of its own.
    pub epoch: u32,
    /// Devices to be listed otherwise than the roster does, or besides. Wraps are made anew.
    pub amended: Vec<Device>,
    /// Another recovery phrase: verifier and blob.
    pub recovery: Option<([u8; 32], [u8; BLOB_LEN])>,
}

impl Change {
    /// The next epoch, everyone as they are.
    pub fn next_epoch(roster: &Roster) -> Self {
        Self { epoch: roster.epoch() + 1, amended: Vec::new(), recovery: None }
    }

    /// The same epoch, one device otherwise or besides.
    pub fn of(roster: &Roster, device: Device) -> Self {
        Self { epoch: roster.epoch(), amended: vec![device], recovery: None }
    }

    /// One device or open invite out, and with it a new epoch, which it cannot open.
    pub fn without(roster: &Roster, device: &Device) -> Self {
        let revoked = Device { status: Status::Revoked, ..device.clone() };
        Self { epoch: roster.epoch() + 1, amended: vec![revoked], recovery: None }
    }

    /// One more invite.
    pub fn inviting(roster: &Roster, invite: &Invite, scope: Scope, not_after_ms: u64) -> Self {
        let device = device_of(&invite.keys(), scope, Status::Invite);
        let (link_hash, access_hash) = (invite.link_hash(), invite.access_hash());
        Self::of(roster, Device { not_after_ms, link_hash, access_hash, ..device })
    }
}

/// The next owner record. The first of `rings` is the roster's; any further one may still open a name.
pub fn owner_record(
    clock: &dyn Clock,
    owner: &KeyPair,
    roster: &Roster,
    rings: &[&KeyRing],
    change: &Change,
) -> Result<Record, SealBroken> {
    let now = roster.owner().ok_or(SealBroken)?;
    let held = rings.first().and_then(|ring| ring.get(roster.epoch())).ok_or(SealBroken)?;
    let (recovery_verifier, recovery_blob) = change.recovery.unwrap_or((now.recovery_verifier, now.recovery_blob));
    let now = &Owner { recovery_verifier, recovery_blob, ..now.clone() };
    let body = if change.epoch == roster.epoch() {
        Owner { devices: relist(clock, roster, rings, held, change)?, ..now.clone() }
    } else {
        let key = EpochKey::new(roster.workspace(), change.epoch, clock.random());
        Owner {
            epoch: change.epoch,
            ek_commit: key.commit(),
            back_link: back_link(&key, held),
            wrap: wrap(&key, &owner.x(), clock.random())?,
            devices: relist(clock, roster, rings, &key, change)?,
            ..now.clone()
        }
    };
    Ok(sign(owner, roster.workspace(), roster.version() + 1, roster.hash(), body))
}

/// The record by which a joiner takes its invite's place.
pub fn replace(
    clock: &dyn Clock,
    invite: &KeyPair,
    roster: &Roster,
    key: &EpochKey,
    device: &KeyPair,
    name: &str,
) -> Record {
    let id = device.device_id();
    let body = Replace {
        invite: invite.device_id(),
        device: id,
        ed: device.ed(),
        x: device.x(),
        label: seal::label(key, id, clock.random(), name),
    };
    Record::build(roster.workspace(), roster.version() + 1, roster.hash(), RecordBody::Replace(body), |text| {
        invite.sign(text)
    })
}

/// The name of a listed device: labels are sealed anew with each owner record, so the newest keys open them.
pub fn name_of(ring: &KeyRing, device: &Device) -> Option<String> {
    ring.newest_first().take(4).find_map(|key| seal::open_label(key, device.id, &device.label).ok())
}

fn sign(owner: &KeyPair, workspace: WorkspaceId, version: u64, previous: Hash, mut body: Owner) -> Record {
    body.devices.sort_by_key(|device| device.id);
    Record::build(workspace, version, previous, RecordBody::Owner(body), |text| owner.sign(text))
}

/// Everyone who is listed now, with what is amended; names and wraps under `key`.
fn relist(
    clock: &dyn Clock,
    roster: &Roster,
    rings: &[&KeyRing],
    key: &EpochKey,
    change: &Change,
) -> Result<Vec<Device>, SealBroken> {
    let is_amended = |id: DeviceId| change.amended.iter().any(|device| device.id == id);
    let kept = roster.members().map(|member| &member.device).filter(|device| !is_amended(device.id));
    let devices = kept.chain(&change.amended).map(|device| {
        let name = rings.iter().find_map(|ring| name_of(ring, device)).unwrap_or_default();
        // A box key nothing can be wrapped to is no device's: such a newcomer is out.
        let revoked = || Device { status: Status::Revoked, ..device.clone() };
        listed(clock, key, device, &name).or_else(|_| listed(clock, key, &revoked(), &name))
    });
    devices.collect()
}

/// A new device that its owner lists itself.
pub fn new_device(key: &EpochKey, device: &KeyPair, name: &str) -> Device {
    let listed = device_of(device, Scope::ReadWrite, Status::Active);
    // Opened again with the key of the record before: it is sealed anew under that of its own.
    Device { label: seal::label(key, listed.id, [0; 24], name), ..listed }
}

/// A device, to be listed.
fn device_of(keys: &KeyPair, scope: Scope, status: Status) -> Device {
    Device {
        id: keys.device_id(),
        ed: keys.ed(),
        x: keys.x(),
        scope,
        status,
        not_after_ms: 0,
        label: [0; LABEL_LEN],
        wrap: [0; WRAP_LEN],
        link_hash: Hash::ZERO,
        access_hash: Hash::ZERO,
    }
}

/// The same with its name and, if it holds one, its key; only an invite has an end and hashes.
fn listed(clock: &dyn Clock, key: &EpochKey, device: &Device, name: &str) -> Result<Device, SealBroken> {
    let label = seal::label(key, device.id, clock.random(), name);
    let bare = Device { not_after_ms: 0, link_hash: Hash::ZERO, access_hash: Hash::ZERO, label, ..device.clone() };
    let wrap = |to| wrap(key, to, clock.random());
    Ok(match device.status {
        Status::Active => Device { wrap: wrap(&device.x)?, ..bare },
        Status::Invite => Device { label, wrap: wrap(&device.x)?, ..device.clone() },
        Status::Revoked | Status::Replaced => Device { wrap: [0; WRAP_LEN], ..bare },
    })
}
