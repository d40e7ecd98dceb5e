//! The roster is the only truth about devices, and only its owner and its invites write it.

use roost_shared::Code;
use roost_shared::roster::{Record, RecordBody, Scope, Status};

use super::world::{
    INVITE, LAPTOP, OWNER, PHONE, READER, STRANGER, TABLET, World, device, device_id, ed, genesis, invite, next, owner,
    people, people_and, replace, sign,
};
use crate::store::{Device, Redeem, Store};

pub async fn only_a_successor_is_taken(store: &dyn Store) {
    let mut world = World::create(store).await;
    let rival = next(&world.roster, owner(OWNER, 3, people()), OWNER);
    let taken = world.posts(owner(OWNER, 2, people()), OWNER).await;
    let skipping = Record::build(world.workspace, 4, world.roster.hash(), owner(OWNER, 3, people()), sign(OWNER));
    let stray = Record::build(world.workspace, 3, rival.hash(), owner(OWNER, 3, people()), sign(OWNER));
    let moved = [
        (taken, "a record the store has already"),
        (rival, "another record of the same version"),
        (genesis(OWNER, people()), "the first record"),
        (skipping, "a version is left out"),
        (stray, "built on another record"),
    ];
    for (record, what) in moved {
        world.refuses_record(record, Code::RosterMoved, what).await;
    }
    world.posts(owner(OWNER, 3, people()), OWNER).await;
}

pub async fn a_record_that_breaks_a_rule_is_refused(store: &dyn Store) {
    let mut world = World::create_with(store, people_and(invite(INVITE))).await;
    let all = || people_and(invite(INVITE));
    let bad = [
        (next(&world.roster, owner(OWNER, 2, all()), STRANGER), Code::SignatureInvalid, "a forged owner record"),
        (next(&world.roster, RecordBody::Purge, PHONE), Code::SignatureInvalid, "a purge by a device"),
        (next(&world.roster, replace(INVITE, LAPTOP), LAPTOP), Code::SignatureInvalid, "a replace by the joiner"),
        (next(&world.roster, owner(OWNER, 1, people()), OWNER), Code::RosterInvalid, "an open invite left out"),
        (next(&world.roster, replace(PHONE, LAPTOP), PHONE), Code::RosterInvalid, "a device is no invite"),
        (next(&world.roster, replace(INVITE, PHONE), INVITE), Code::RosterInvalid, "a joiner listed before"),
        (genesis(STRANGER, people()), Code::WrongWorkspace, "another workspace's record"),
    ];
    for (record, code, what) in bad {
        world.refuses_record(record, code, what).await;
    }
    world.posts(owner(OWNER, 5, all()), OWNER).await;
    let falling = next(&world.roster, owner(OWNER, 4, all()), OWNER);
    world.refuses_record(falling, Code::RosterInvalid, "an epoch that falls").await;
}

/// The device table has this about a seed.
async fn is_listed(world: &World<'_>, seed: u8, wanted: Option<(Scope, Status)>) {
    let found = world.store.device(world.workspace, device_id(seed)).await;
    let wanted = wanted.map(|(scope, status)| Device { ed: ed(seed), scope, status });
    assert_eq!(found, Ok(wanted), "device {seed} after version {}", world.roster.version());
}

pub async fn devices_follow_the_roster(store: &dyn Store) {
    let (read, both) = (Scope::Read, Scope::ReadWrite);
    let mut world = World::create_with(store, people_and(device(INVITE, read, Status::Invite))).await;
    is_listed(&world, PHONE, Some((both, Status::Active))).await;
    is_listed(&world, READER, Some((read, Status::Active))).await;
    is_listed(&world, INVITE, Some((read, Status::Invite))).await;
    is_listed(&world, LAPTOP, None).await;
    is_listed(&world, STRANGER, None).await;

    world.posts(replace(INVITE, LAPTOP), INVITE).await;
    is_listed(&world, INVITE, Some((read, Status::Replaced))).await;
    is_listed(&world, LAPTOP, Some((read, Status::Active))).await; // the scope is the invite's

    let devices = || {
        let mut devices = people_and(device(LAPTOP, both, Status::Active));
        devices.retain(|device| device.id != device_id(TABLET));
        devices
    };
    let mut revoking = devices();
    revoking.push(device(TABLET, both, Status::Revoked));
    revoking.push(device(INVITE, read, Status::Replaced));
    world.posts(owner(OWNER, 2, revoking), OWNER).await;
    is_listed(&world, TABLET, Some((both, Status::Revoked))).await;
    is_listed(&world, LAPTOP, Some((both, Status::Active))).await; // a scope may change
    is_listed(&world, INVITE, Some((read, Status::Replaced))).await;

    world.posts(owner(OWNER, 2, devices()), OWNER).await;
    is_listed(&world, TABLET, None).await;
    is_listed(&world, INVITE, None).await;
    world.posts(RecordBody::Purge, OWNER).await;
    is_listed(&world, PHONE, Some((both, Status::Active))).await; // who may still read
}

pub async fn only_the_redeeming_device_replaces(store: &dyn Store) {
    let world = World::create_with(store, people_and(invite(INVITE))).await;
    assert_eq!(store.redeem(world.redeem(INVITE, LAPTOP)).await, Ok(()));
    let thief = next(&world.roster, replace(INVITE, STRANGER), INVITE);
    world.refuses_record(thief, Code::LinkUnavailable, "a replace by who did not redeem").await;
    // The redeeming device has all the time it needs: it used the link while that was alive.
    let record = next(&world.roster, replace(INVITE, LAPTOP), INVITE);
    let seq = store.append_record(world.workspace, record.clone()).await;
    assert_eq!(seq, Ok(world.tail().next()), "a replace by the device that redeemed");
    let again = store.append_record(world.workspace, record).await;
    assert_eq!(again.map_err(|refusal| refusal.code), Err(Code::RosterMoved), "the same replace again");
    let redeem = store.redeem(world.redeem(INVITE, LAPTOP)).await;
    assert_eq!(redeem.map_err(|refusal| refusal.code), Err(Code::LinkUnavailable), "a replaced invite has no link");
    let found = store.workspace(world.workspace).await.map(|found| found.map(|found| found.roster.version()));
    assert_eq!(found, Ok(Some(2)));
}

pub async fn an_unredeemed_invite_may_be_replaced_while_it_lives(store: &dyn Store) {
    let world = World::create_with(store, people_and(invite(INVITE))).await;
    for _ in 0..4 {
        let wrong = Redeem { access_hash: super::world::access_hash(PHONE), ..world.redeem(INVITE, LAPTOP) };
        assert!(store.redeem(wrong).await.is_err());
    }
    let record = next(&world.roster, replace(INVITE, LAPTOP), INVITE);
    let seq = store.append_record(world.workspace, record).await;
    assert_eq!(seq, Ok(world.tail().next()), "a server that lost the redemption takes the replace of a live invite");
}
