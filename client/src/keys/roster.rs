//! Building roster records.

use roost_shared::hash::Hash;
use roost_shared::roster::{Device, Owner, Record, RecordBody, Replace, Roster, Scope, Status, WRAP_LEN};
use roost_shared::{DeviceId, WorkspaceId};

use super::link::Invite;
use super::ring::KeyRing;
use super::seal::{self, SealBroken, back_link, wrap};
use super::{EpochKey, KeyPair};
use crate::clock::Clock;

/// A device to be listed.
#[derive(Clone, Copy)]
struct Entry<'a> {
    keys: ([u8; 32], [u8; 32]),
    scope: Scope,
    status: Status,
    name: &'a str,
    invite: Option<(u64, Hash, Hash)>,
}

/// The first record: the owner, and the device that creates the workspace.
pub fn genesis(
    clock: &dyn Clock,
    owner: &KeyPair,
    key: &EpochKey,
    device: &KeyPair,
    name: &str,
) -> Result<Record, SealBroken> {
    let entry =
        Entry { keys: (device.ed(), device.x()), scope: Scope::ReadWrite, status: Status::Active, name, invite: None };
    let body = Owner {
        ed: owner.ed(),
        x: owner.x(),
        epoch: 1,
        ek_commit: key.commit(),
        back_link: [0; 48],
        wrap: wrap(key, &owner.x(), clock.random())?,
        recovery_verifier: [0; 32],
        recovery_blob: [0; 81],
        devices: vec![list(clock, key, &entry)?],
    };
    Ok(sign(owner, owner.workspace_id(), 1, Hash::ZERO, body))
}

/// The next owner record: everyone as they are, and one more invite.
pub fn add_invite(
    clock: &dyn Clock,
    owner: &KeyPair,
    roster: &Roster,
    ring: &KeyRing,
    invite: &Invite,
    scope: Scope,
    not_after_ms: u64,
) -> Result<Record, SealBroken> {
    let key = ring.get(roster.epoch()).ok_or(SealBroken)?;
    let keys = invite.keys();
    let added = Entry {
        keys: (keys.ed(), keys.x()),
        scope,
        status: Status::Invite,
        name: "",
        invite: Some((not_after_ms, invite.link_hash(), invite.access_hash())),
    };
    let mut devices = relist(clock, roster, &[], &[ring], key)?;
    devices.push(list(clock, key, &added)?);
    next(owner, roster, key.epoch(), devices, |now| (now.ek_commit, now.back_link, now.wrap))
}

/// What a new epoch changes besides the key.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its number.
    pub epoch: u32,
    /// Devices to be listed otherwise than the roster does, or besides.
    pub amended: Vec<Device>,
}

impl Change {
    /// The next number, everyone as they are.
    pub fn next(roster: &Roster) -> Self {
        Self { epoch: roster.epoch() + 1, amended: Vec::new() }
    }
}

/// The next owner record: a new epoch, its key wrapped to everyone who is in. The first of `rings` is the roster's;
/// any further one may still open a name.
pub fn advance_epoch(
    clock: &dyn Clock,
    owner: &KeyPair,
    roster: &Roster,
    rings: &[&KeyRing],
    change: &Change,
) -> Result<Record, SealBroken> {
    let now = rings.first().and_then(|ring| ring.get(roster.epoch())).ok_or(SealBroken)?;
    let key = EpochKey::new(roster.workspace(), change.epoch, clock.random());
    let devices = relist(clock, roster, &change.amended, rings, &key)?;
    let owner_wrap = wrap(&key, &owner.x(), clock.random())?;
    next(owner, roster, key.epoch(), devices, |_| (key.commit(), back_link(&key, now), owner_wrap))
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

fn next(
    owner: &KeyPair,
    roster: &Roster,
    epoch: u32,
    devices: Vec<Device>,
    keys: impl FnOnce(&Owner) -> (Hash, [u8; 48], [u8; WRAP_LEN]),
) -> Result<Record, SealBroken> {
    let now = roster.owner().ok_or(SealBroken)?;
    let (ek_commit, back_link, wrap) = keys(now);
    let body = Owner { epoch, ek_commit, back_link, wrap, devices, ..now.clone() };
    Ok(sign(owner, roster.workspace(), roster.version() + 1, roster.hash(), body))
}

/// Everyone who is listed now, with what is amended; names and wraps under `key`.
fn relist(
    clock: &dyn Clock,
    roster: &Roster,
    amended: &[Device],
    rings: &[&KeyRing],
    key: &EpochKey,
) -> Result<Vec<Device>, SealBroken> {
    let is_amended = |id: DeviceId| amended.iter().any(|device| device.id == id);
    let kept = roster.members().map(|member| &member.device).filter(|device| !is_amended(device.id));
    let listed = kept.chain(amended).map(|device| {
        let name = rings.iter().find_map(|ring| name_of(ring, device)).unwrap_or_default();
        let invite =
            (device.status == Status::Invite).then_some((device.not_after_ms, device.link_hash, device.access_hash));
        let keys = (device.ed, device.x);
        let entry = Entry { keys, scope: device.scope, status: device.status, name: &name, invite };
        // A box key nothing can be wrapped to is no device's: such a newcomer is out.
        let revoked = || Entry { status: Status::Revoked, invite: None, ..entry };
        list(clock, key, &entry).or_else(|_| list(clock, key, &revoked()))
    });
    listed.collect()
}

fn list(clock: &dyn Clock, key: &EpochKey, entry: &Entry<'_>) -> Result<Device, SealBroken> {
    let (ed, x) = entry.keys;
    let id = DeviceId::of_keys(&ed, &x);
    let (not_after_ms, link_hash, access_hash) = entry.invite.unwrap_or((0, Hash::ZERO, Hash::ZERO));
    let holds_key = matches!(entry.status, Status::Active | Status::Invite);
    Ok(Device {
        id,
        ed,
        x,
        scope: entry.scope,
        status: entry.status,
        not_after_ms,
        label: seal::label(key, id, clock.random(), entry.name),
        wrap: if holds_key { wrap(key, &x, clock.random())? } else { [0; WRAP_LEN] },
        link_hash,
        access_hash,
    })
}
