//! The rules of the chain: one life that keeps them all, and each rule broken once.

use ed25519_dalek::VerifyingKey;
use roost_shared::roster::{ChainError, Device, Record, RecordBody, RecordError, Roster, Scope, Status};
use roost_shared::{DeviceId, Hash, WorkspaceId};

use crate::samples::{
    INVITE, LAPTOP, OWNER, PHONE, STRANGER, chain, device, device_id, device_with_key, ed, next, owner, replace,
    roster_after, sign, workspace,
};

/// What `roster` says of its next record; it must refuse it and stay as it was.
fn refused(roster: &Roster, record: &Record) -> ChainError {
    let mut after = roster.clone();
    let error = after.apply(record).expect_err("the record breaks a rule");
    assert_eq!(&after, roster, "a refused record leaves the roster as it was");
    error
}

/// What `roster` says of an owner record that the owner signed.
fn owner_refused(roster: &Roster, epoch: u32, devices: Vec<Device>) -> ChainError {
    refused(roster, &next(roster, RecordBody::Owner(owner(epoch, devices)), OWNER))
}

/// What `roster` says of `joiner` using `invite` up.
fn replace_refused(roster: &Roster, invite: u8, joiner: u8, signer: u8) -> ChainError {
    refused(roster, &next(roster, RecordBody::Replace(replace(invite, joiner)), signer))
}

fn phone() -> Device {
    device(PHONE, Status::Active)
}

fn used_invite() -> Device {
    device(INVITE, Status::Replaced)
}

fn status(roster: &Roster, id: DeviceId) -> Option<Status> {
    roster.member(id).map(|member| member.device.status)
}

#[test]
fn a_whole_life() {
    let (phone, invite, laptop) = (device_id(PHONE), device_id(INVITE), device_id(LAPTOP));

    let empty = roster_after(0);
    assert_eq!((empty.version(), empty.epoch(), empty.hash()), (0, 0, Hash::ZERO));
    assert!(empty.owner().is_none());

    let genesis = roster_after(1);
    assert_eq!((genesis.version(), genesis.epoch(), genesis.hash()), (1, 1, chain()[0].hash()));
    assert_eq!(genesis.scope(phone), Some(Scope::ReadWrite));

    let invited = roster_after(2);
    assert_eq!(status(&invited, invite), Some(Status::Invite));
    assert_eq!(invited.scope(invite), None, "an invite is not in");
    assert!(!invited.has_newcomer());

    let joined = roster_after(3);
    assert_eq!(status(&joined, invite), Some(Status::Replaced));
    assert_eq!(joined.scope(laptop), Some(Scope::ReadWrite), "the scope of the invite");
    assert!(joined.has_newcomer());
    assert_eq!(joined.epoch(), 1, "only the owner advances the epoch");

    let settled = roster_after(4);
    assert_eq!(settled.epoch(), 2);
    assert!(!settled.has_newcomer());

    let revoked = roster_after(5);
    assert_eq!(revoked.epoch(), 3);
    assert_eq!((status(&revoked, laptop), revoked.scope(laptop)), (Some(Status::Revoked), None));
    assert_eq!(revoked.members().count(), 3);

    let trimmed = roster_after(6);
    assert_eq!(trimmed.members().map(|member| member.device.id).collect::<Vec<_>>(), [phone]);
    assert_eq!((trimmed.scope(laptop), trimmed.scope(invite)), (None, None));

    let purged = roster_after(7);
    assert!(purged.is_purged() && !trimmed.is_purged());
    assert_eq!(purged.version(), 7);
}

#[test]
fn records_follow_one_another() {
    let roster = roster_after(1);
    let moved = ChainError::Moved { version: 1 };
    let build = |version, previous| Record::build(workspace(), version, previous, RecordBody::Purge, sign(OWNER));
    assert_eq!(refused(&roster, &build(2, Hash([7; 32]))), moved, "another previous record");
    for version in [0, 1, 3, u64::MAX] {
        assert_eq!(refused(&roster, &build(version, roster.hash())), moved, "version {version}");
    }
    // The newest record once more, and the chain with a record missing.
    assert_eq!(refused(&roster, &chain()[0]), moved);
    let mut gap = chain();
    gap.remove(1);
    assert_eq!(Roster::verify(workspace(), &gap), Err(moved));
}

#[test]
fn records_belong_to_one_workspace_and_owner() {
    let roster = roster_after(1);
    let other = WorkspaceId::of_owner(&ed(STRANGER));
    let record = Record::build(other, 2, roster.hash(), RecordBody::Purge, sign(OWNER));
    assert_eq!(refused(&roster, &record), ChainError::Workspace);
    assert_eq!(Roster::verify(other, &chain()), Err(ChainError::Workspace));

    let mut foreign = owner(1, vec![phone()]);
    foreign.ed = ed(STRANGER);
    let record = next(&roster, RecordBody::Owner(foreign), STRANGER);
    assert_eq!(refused(&roster, &record), ChainError::Workspace, "a foreign owner key");
}

#[test]
fn the_right_key_signs() {
    let body = || RecordBody::Owner(owner(1, vec![phone()]));
    for signer in [PHONE, STRANGER] {
        assert_eq!(refused(&roster_after(0), &next(&roster_after(0), body(), signer)), ChainError::Signature);
        assert_eq!(refused(&roster_after(1), &next(&roster_after(1), body(), signer)), ChainError::Signature);
        let purge = next(&roster_after(1), RecordBody::Purge, signer);
        assert_eq!(refused(&roster_after(1), &purge), ChainError::Signature);
    }
    for signer in [OWNER, PHONE, LAPTOP] {
        assert_eq!(replace_refused(&roster_after(2), INVITE, LAPTOP, signer), ChainError::Signature);
    }
    let good = next(&roster_after(1), body(), OWNER).as_bytes().to_vec();
    for byte in [good.len() - 64, good.len() - 33, good.len() - 32, good.len() - 1] {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        let record = Record::parse(bad).expect("a signature is any 64 bytes");
        assert_eq!(refused(&roster_after(1), &record), ChainError::Signature, "byte {byte}");
    }
}

#[test]
fn an_invite_is_used_once() {
    let closed = ChainError::Rule("the invite is not open");
    assert_eq!(replace_refused(&roster_after(3), INVITE, STRANGER, INVITE), closed, "used");
    assert_eq!(replace_refused(&roster_after(1), INVITE, LAPTOP, INVITE), closed, "unknown");
    assert_eq!(replace_refused(&roster_after(1), PHONE, LAPTOP, PHONE), closed, "a device is no invite");
    assert_eq!(replace_refused(&roster_after(0), INVITE, LAPTOP, INVITE), closed, "nothing comes before genesis");
    let listed = ChainError::Rule("the new device was listed before");
    assert_eq!(replace_refused(&roster_after(2), INVITE, PHONE, INVITE), listed);
    assert_eq!(replace_refused(&roster_after(2), INVITE, INVITE, INVITE), listed, "an invite in its own place");

    let mut revoked = roster_after(2);
    let body = RecordBody::Owner(owner(1, vec![phone(), device(INVITE, Status::Revoked)]));
    revoked.apply(&next(&revoked, body, OWNER)).expect("an invite may be revoked");
    assert_eq!(replace_refused(&revoked, INVITE, LAPTOP, INVITE), closed, "revoked meanwhile");
}

#[test]
fn a_status_never_goes_back() {
    let back = ChainError::Rule("a status never goes back");
    let with = |seed, status| vec![phone(), device(seed, status)];
    // Invite to a device or a used invite: only the joiner does that.
    assert_eq!(owner_refused(&roster_after(2), 1, with(INVITE, Status::Active)), back);
    assert_eq!(owner_refused(&roster_after(2), 1, with(INVITE, Status::Replaced)), back);
    // An active device to an invite or a used one.
    assert_eq!(owner_refused(&roster_after(1), 1, vec![device(PHONE, Status::Invite)]), back);
    assert_eq!(owner_refused(&roster_after(1), 1, vec![device(PHONE, Status::Replaced)]), back);
    for again in [Status::Active, Status::Invite, Status::Replaced] {
        assert_eq!(owner_refused(&roster_after(5), 3, with(LAPTOP, again)), back, "revoked to {again:?}");
    }
    for again in [Status::Active, Status::Invite, Status::Revoked] {
        assert_eq!(owner_refused(&roster_after(5), 3, with(INVITE, again)), back, "replaced to {again:?}");
    }
    let unheard_of = ChainError::Rule("only a replace record uses an invite up");
    assert_eq!(owner_refused(&roster_after(1), 1, with(INVITE, Status::Replaced)), unheard_of);
}

#[test]
fn a_device_that_went_is_gone_for_good() {
    let gone = ChainError::Rule("a device that went is gone for good");
    let statuses = [Status::Active, Status::Revoked, Status::Invite, Status::Replaced];
    for (seed, status) in [LAPTOP, INVITE].into_iter().flat_map(|seed| statuses.map(|status| (seed, status))) {
        let devices = vec![phone(), device(seed, status)];
        assert_eq!(owner_refused(&roster_after(6), 3, devices.clone()), gone, "{seed} as {status:?}");
        assert_eq!(owner_refused(&roster_after(6), 4, devices), gone, "{seed} as {status:?} in a new epoch");
    }

    // A listed device has not gone: the same list once more, and the revoked one alone left out.
    let revoked = || device(LAPTOP, Status::Revoked);
    let mut partly = roster_after(5);
    for devices in [vec![phone(), used_invite(), revoked()], vec![phone(), used_invite()]] {
        partly.apply(&next(&partly, RecordBody::Owner(owner(3, devices)), OWNER)).expect("who went may be left out");
    }
    assert_eq!(owner_refused(&partly, 3, vec![phone(), used_invite(), revoked()]), gone);

    // Later records do not bring it back, and neither does an open invite.
    let mut later = roster_after(6);
    let open = || vec![phone(), device(STRANGER, Status::Invite)];
    later.apply(&next(&later, RecordBody::Owner(owner(3, open())), OWNER)).expect("someone new may be invited");
    assert_eq!(owner_refused(&later, 3, [open(), vec![revoked()]].concat()), gone);
    let before = ChainError::Rule("the new device was listed before");
    for joiner in [LAPTOP, INVITE] {
        assert_eq!(replace_refused(&later, STRANGER, joiner, STRANGER), before, "{joiner}");
    }
    let newcomer = next(&later, RecordBody::Replace(replace(STRANGER, STRANGER + 1)), STRANGER);
    assert_eq!(later.apply(&newcomer), Ok(()), "keys never listed before");
}

#[test]
fn nobody_active_is_left_out() {
    let left_out = ChainError::Rule("an active device or invite is left out");
    assert_eq!(owner_refused(&roster_after(1), 1, vec![]), left_out);
    assert_eq!(owner_refused(&roster_after(2), 1, vec![phone()]), left_out, "an open invite");
    assert_eq!(owner_refused(&roster_after(3), 1, vec![phone(), used_invite()]), left_out, "the newcomer");
}

#[test]
fn epochs_only_rise() {
    let first = ChainError::Rule("the first epoch is 1 and has no back link");
    assert_eq!(owner_refused(&roster_after(0), 0, vec![phone()]), first);
    assert_eq!(owner_refused(&roster_after(0), 2, vec![phone()]), first);
    let mut linked = owner(1, vec![phone()]);
    linked.back_link = [7; 48];
    assert_eq!(refused(&roster_after(0), &next(&roster_after(0), RecordBody::Owner(linked), OWNER)), first);

    let devices = || vec![phone(), used_invite(), device(LAPTOP, Status::Active)];
    let mut roster = roster_after(4);
    assert_eq!(roster.epoch(), 2);
    assert_eq!(owner_refused(&roster, 1, devices()), ChainError::Rule("the epoch never falls"));

    let one_key = ChainError::Rule("one epoch has one key");
    let new_key = ChainError::Rule("a new epoch has a new key and a back link");
    let mut same = owner(2, devices());
    same.ek_commit = Hash([7; 32]);
    assert_eq!(refused(&roster, &next(&roster, RecordBody::Owner(same), OWNER)), one_key);
    let mut same = owner(2, devices());
    same.back_link = [7; 48];
    assert_eq!(refused(&roster, &next(&roster, RecordBody::Owner(same), OWNER)), one_key);
    let mut new = owner(3, devices());
    new.back_link = [0; 48];
    assert_eq!(refused(&roster, &next(&roster, RecordBody::Owner(new), OWNER)), new_key);
    let mut new = owner(3, devices());
    new.ek_commit = owner(2, vec![]).ek_commit;
    assert_eq!(refused(&roster, &next(&roster, RecordBody::Owner(new), OWNER)), new_key);

    let far = next(&roster, RecordBody::Owner(owner(1_002, devices())), OWNER);
    assert_eq!(roster.apply(&far), Ok(()), "recovery advances by a thousand");
}

#[test]
fn the_owners_box_key_never_changes() {
    let mut changed = owner(1, vec![phone()]);
    changed.x = [7; 32];
    let record = next(&roster_after(1), RecordBody::Owner(changed), OWNER);
    assert_eq!(refused(&roster_after(1), &record), ChainError::Rule("the owner keys never change"));
}

/// All points of small order in their canonical encoding, the two of y = 0 and the four of order 8 among them.
fn weak_keys() -> Vec<[u8; 32]> {
    [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ]
    .map(|text| Hash::parse(text).expect("64 digits").0)
    .to_vec()
}

#[test]
fn weak_keys_stay_out() {
    let weak = ChainError::Rule("a device key is weak");
    let no_point = (0..=u8::MAX).map(|byte| [byte; 32]).find(|key| VerifyingKey::from_bytes(key).is_err());
    let no_point = no_point.expect("half of all strings are no points");
    for key in weak_keys().into_iter().chain([no_point]) {
        assert_eq!(owner_refused(&roster_after(0), 1, vec![device_with_key(key)]), weak, "{key:02x?}");

        let joiner = device_with_key(key);
        let mut body = replace(INVITE, LAPTOP);
        (body.device, body.ed, body.x) = (joiner.id, joiner.ed, joiner.x);
        let record = next(&roster_after(2), RecordBody::Replace(body), INVITE);
        assert_eq!(refused(&roster_after(2), &record), weak, "{key:02x?} in an invite's place");

        // A workspace of a weak owner key would be anybody's.
        let roster = Roster::empty(WorkspaceId::of_owner(&key));
        let mut body = owner(1, vec![phone()]);
        body.ed = key;
        assert_eq!(refused(&roster, &next(&roster, RecordBody::Owner(body), OWNER)), ChainError::Signature);
    }
}

#[test]
fn nothing_follows_a_purge_and_nothing_is_purged_before_genesis() {
    let purged = roster_after(7);
    let again = owner(4, vec![phone(), used_invite()]);
    assert_eq!(refused(&purged, &next(&purged, RecordBody::Owner(again), OWNER)), ChainError::Purged);
    assert_eq!(refused(&purged, &next(&purged, RecordBody::Purge, OWNER)), ChainError::Purged);
    let empty = roster_after(0);
    let rule = ChainError::Rule("the first record is an owner record");
    assert_eq!(refused(&empty, &next(&empty, RecordBody::Purge, OWNER)), rule);
}

#[test]
fn devices_are_listed_once_in_ascending_order() {
    let mut devices = owner(1, vec![phone(), device(LAPTOP, Status::Active)]).devices;
    let parsed = |devices: &[Device]| {
        let mut body = owner(1, vec![]);
        body.devices = devices.to_vec();
        Record::parse(next(&roster_after(0), RecordBody::Owner(body), OWNER).as_bytes().to_vec())
    };
    assert!(parsed(&devices).is_ok());
    devices.reverse();
    assert_eq!(parsed(&devices), Err(RecordError::Field("device order")));
    assert_eq!(parsed(&[phone(), phone()]), Err(RecordError::Field("device order")), "listed twice");
}
