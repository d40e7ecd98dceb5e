//! Two branches of the roster: only after a server lost records. Which one holds, and what the owner mends.
//!
//! Whoever is not the owner waits for a branch that is provably the later one. The owner builds the next record on the
//! served branch, in an epoch above both, and lists again what the served branch lacks of its own.

use std::collections::BTreeMap;

use roost_shared::DeviceId;
use roost_shared::roster::{Device, RecordBody, Scope, Status};

use super::Chain;

/// Whether a device that holds `ours` goes over to `theirs`, which verified from genesis as it was read.
pub fn may_leave(ours: &Chain, theirs: &Chain) -> bool {
    let mut own = ours.records()[ours.shared_with(theirs)..].iter();
    let only_replaces = own.all(|record| matches!(record.body, RecordBody::Replace(_)));
    let (our_epoch, their_epoch) = (ours.roster().epoch(), theirs.roster().epoch());
    their_epoch > our_epoch || (their_epoch == our_epoch && only_replaces)
}

/// The devices that an owner who holds `ours` must list otherwise than `theirs` does, each as it must be listed:
/// lost devices and invites come back, lost revocations are made again, and whoever came in by an invite that was
/// used up before goes. Empty when nothing was lost.
pub fn amended(ours: &Chain, theirs: &Chain) -> Vec<Device> {
    let intruders = intruders(ours, theirs);
    let theirs = theirs.roster();
    let lost = ours.roster().members().filter_map(|member| {
        let device = &member.device;
        match theirs.member(device.id) {
            Some(found) => amend(device, &found.device),
            None if theirs.is_gone(device.id) || device.status == Status::Replaced => None,
            None => Some(device.clone()),
        }
    });
    let revoked = |device: &Device| Device { status: Status::Revoked, ..device.clone() };
    let intruders = intruders.into_iter().filter_map(|id| theirs.member(id)).map(|found| revoked(&found.device));
    lost.chain(intruders).collect()
}

/// One that both list. No status goes back, and no scope grows.
fn amend(ours: &Device, theirs: &Device) -> Option<Device> {
    let is_spent = matches!(ours.status, Status::Revoked | Status::Replaced);
    let status = match theirs.status {
        Status::Active if ours.status == Status::Revoked => Status::Revoked,
        Status::Invite if is_spent => Status::Revoked,
        status => status,
    };
    let scope = if ours.scope == Scope::Read { Scope::Read } else { theirs.scope };
    let same = (status, scope) == (theirs.status, theirs.scope) || theirs.status == Status::Revoked;
    (!same).then(|| Device { status, scope, ..theirs.clone() })
}

/// Devices that are in by an invite which was spent on our branch, and not by them.
fn intruders(ours: &Chain, theirs: &Chain) -> Vec<DeviceId> {
    let spent: BTreeMap<DeviceId, Status> =
        ours.roster().members().map(|member| (member.device.id, member.device.status)).collect();
    let joins = theirs.records()[theirs.shared_with(ours)..].iter().filter_map(|record| match &record.body {
        RecordBody::Replace(replace) => Some(replace),
        RecordBody::Owner(_) | RecordBody::Purge => None,
    });
    let by_spent = joins.filter(|join| {
        matches!(spent.get(&join.invite), Some(Status::Replaced | Status::Revoked)) && !spent.contains_key(&join.device)
    });
    by_spent.map(|join| join.device).filter(|id| theirs.roster().scope(*id).is_some()).collect()
}
