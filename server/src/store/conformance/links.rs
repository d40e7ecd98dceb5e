//! A share link is used up once, by one device, while the server's clock lets it.

use futures_util::future::join_all;
use roost_shared::Code;
use roost_shared::limits::{PASSCODE_TRIES_MAX, REDEEM_RETRY_MS};
use roost_shared::roster::{Device, Scope, Status};

use super::world::{
    INVITE, LAPTOP, NOT_AFTER_MS, NOW_MS, OWNER, STRANGER, World, access_hash, device, device_id, invite, link_hash,
    owner, people, people_and, replace,
};
use crate::store::{Redeem, Store};

/// Another link.
const OTHER: u8 = 7;

async fn with_links(store: &dyn Store) -> World<'_> {
    let mut devices = people_and(invite(INVITE));
    devices.push(invite(OTHER));
    World::create_with(store, devices).await
}

async fn redeems(world: &World<'_>, redeem: Redeem, what: &str) {
    assert_eq!(world.store.redeem(redeem).await, Ok(()), "{what}");
}

async fn unavailable(world: &World<'_>, redeem: Redeem, what: &str) {
    let refused = world.store.redeem(redeem).await.map_err(|refusal| refusal.code);
    assert_eq!(refused, Err(Code::LinkUnavailable), "{what}");
}

pub async fn one_device_redeems(store: &dyn Store) {
    let world = with_links(store).await;
    let racing = (20..36).map(|seed| store.redeem(world.redeem(INVITE, seed)));
    let outcomes = join_all(racing).await;
    let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(won, 1, "of sixteen devices at once exactly one redeems");
    let lost = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    assert!(lost.clone().all(|refusal| refusal.code == Code::LinkUnavailable), "the others: link_unavailable");
    unavailable(&world, world.redeem(INVITE, LAPTOP), "nor any device after them").await;
    redeems(&world, world.redeem(OTHER, LAPTOP), "another link is another matter").await;
    world.stands().await;
}

pub async fn the_same_device_may_repeat(store: &dyn Store) {
    let world = with_links(store).await;
    let at = |later_ms| Redeem { now_ms: NOW_MS + later_ms, ..world.redeem(INVITE, LAPTOP) };
    redeems(&world, at(0), "a link nobody used").await;
    redeems(&world, at(0), "the same device at once").await;
    redeems(&world, at(REDEEM_RETRY_MS), "the same device ten minutes later").await;
    unavailable(&world, at(REDEEM_RETRY_MS + 1), "the window does not move with each repetition").await;
    unavailable(&world, Redeem { device: device_id(STRANGER), ..at(1) }, "another device in the window").await;
}

pub async fn the_servers_clock_judges_expiry(store: &dyn Store) {
    let world = with_links(store).await;
    let at = |invite, now_ms| Redeem { now_ms, ..world.redeem(invite, LAPTOP) };
    unavailable(&world, at(INVITE, NOT_AFTER_MS + 1), "a moment too late").await;
    unavailable(&world, at(INVITE, u64::MAX), "at the end of time").await;
    redeems(&world, at(INVITE, NOT_AFTER_MS), "at the last moment").await;
    unavailable(&world, at(INVITE, NOT_AFTER_MS + 1), "a repetition is no longer alive either").await;
}

pub async fn five_wrong_access_proofs_burn_a_link(store: &dyn Store) {
    let world = with_links(store).await;
    let wrong = |invite| Redeem { access_hash: access_hash(STRANGER), ..world.redeem(invite, LAPTOP) };
    for _ in 1..PASSCODE_TRIES_MAX {
        unavailable(&world, wrong(INVITE), "a wrong access proof").await;
        unavailable(&world, wrong(OTHER), "a wrong access proof").await;
    }
    redeems(&world, world.redeem(INVITE, LAPTOP), "the right one after four wrong ones").await;
    unavailable(&world, wrong(OTHER), "the fifth wrong one").await;
    unavailable(&world, world.redeem(OTHER, LAPTOP), "the right one after five wrong ones").await;
    let record = super::world::next(&world.roster, replace(OTHER, LAPTOP), OTHER);
    world.refuses_record(record, Code::LinkUnavailable, "a burnt link takes no joiner").await;
}

pub async fn an_unknown_link_is_unavailable(store: &dyn Store) {
    let world = with_links(store).await;
    for hash in [link_hash(STRANGER), access_hash(INVITE), roost_shared::Hash::ZERO] {
        unavailable(&world, Redeem { link_hash: hash, ..world.redeem(INVITE, LAPTOP) }, "an unknown link").await;
    }
    let crossed = Redeem { access_hash: access_hash(OTHER), ..world.redeem(INVITE, LAPTOP) };
    unavailable(&world, crossed, "the access proof of another link").await;
    redeems(&world, world.redeem(INVITE, LAPTOP), "an unknown link harms no other").await;
}

pub async fn links_follow_the_roster(store: &dyn Store) {
    let mut world = World::create(store).await;
    unavailable(&world, world.redeem(INVITE, LAPTOP), "before the invite is listed").await;
    let mut devices = people_and(invite(INVITE));
    devices.push(invite(OTHER));
    world.posts(owner(OWNER, 1, devices), OWNER).await;
    // The newest record says when a link dies, sooner or later than the one before.
    let shorter = Device { not_after_ms: NOW_MS - 1, ..invite(INVITE) };
    let longer = Device { not_after_ms: NOT_AFTER_MS + 1_000, ..invite(OTHER) };
    let mut devices = people_and(shorter);
    devices.push(longer);
    world.posts(owner(OWNER, 1, devices), OWNER).await;
    unavailable(&world, world.redeem(INVITE, LAPTOP), "an invite whose life the owner cut short").await;
    let late = Redeem { now_ms: NOT_AFTER_MS + 1_000, ..world.redeem(OTHER, LAPTOP) };
    redeems(&world, late, "an invite whose life the owner made longer").await;
    // A link is withdrawn by listing its invite as revoked.
    let mut devices = people();
    devices.extend([INVITE, OTHER].map(|seed| device(seed, Scope::ReadWrite, Status::Revoked)));
    world.posts(owner(OWNER, 1, devices), OWNER).await;
    unavailable(&world, world.redeem(OTHER, LAPTOP), "a withdrawn link, even by who redeemed it").await;
}

pub async fn a_redemption_outlives_the_next_record(store: &dyn Store) {
    let mut world = with_links(store).await;
    redeems(&world, world.redeem(INVITE, LAPTOP), "a link nobody used").await;
    for _ in 0..PASSCODE_TRIES_MAX {
        let wrong = Redeem { access_hash: access_hash(STRANGER), ..world.redeem(OTHER, LAPTOP) };
        unavailable(&world, wrong, "a wrong access proof").await;
    }
    let mut devices = people_and(invite(INVITE));
    devices.push(invite(OTHER));
    world.posts(owner(OWNER, 2, devices), OWNER).await;
    unavailable(&world, world.redeem(INVITE, STRANGER), "a link used before the record").await;
    unavailable(&world, world.redeem(OTHER, LAPTOP), "a link burnt before the record").await;
    redeems(&world, world.redeem(INVITE, LAPTOP), "the device that used it, in its window").await;
}
