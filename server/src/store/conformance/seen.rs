//! How far each device has read is kept, the furthest of each, and nothing that cannot be.

use roost_shared::hash::Hash;
use roost_shared::roster::{Scope, Status};
use roost_shared::wire::message::Seen;
use roost_shared::{LogId, WorkspaceId};

use super::world::{
    LOG, NOW_MS, OWNER, PHONE, READER, STRANGER, TABLET, World, device, device_id, genesis, owner, people, workspace_of,
};
use crate::store::Store;

fn seen(seed: u8, size: u64) -> Seen {
    Seen {
        device: device_id(seed),
        log: LOG,
        epoch: 1,
        size,
        root: Hash([seed; 32]),
        at_ms: NOW_MS + size,
        signature: [seed; 64],
    }
}

async fn held(store: &dyn Store, workspace: WorkspaceId) -> Vec<Seen> {
    let mut held = super::world::accepted_or(store.seen(workspace).await, "the list");
    held.sort_by_key(|seen| seen.at_ms);
    held
}

pub async fn the_furthest_of_each_is_kept(store: &dyn Store) {
    let mut world = World::create(store).await;
    for author_seq in 1..=3 {
        world.writes(PHONE, author_seq).await;
    }
    let ours = workspace_of(OWNER);
    assert_eq!(held(store, ours).await, []);
    assert_eq!(store.see(ours, seen(PHONE, 2)).await, Ok(true));
    assert_eq!(store.see(ours, seen(PHONE, 2)).await, Ok(false), "it is known");
    assert_eq!(store.see(ours, seen(PHONE, 1)).await, Ok(false), "a late one");
    assert_eq!(store.see(ours, seen(READER, 1)).await, Ok(true), "who may only read reads");
    assert_eq!(held(store, ours).await, [seen(READER, 1), seen(PHONE, 2)]);
    assert_eq!(store.see(ours, seen(PHONE, 4)).await, Ok(true));
    assert_eq!(held(store, ours).await, [seen(READER, 1), seen(PHONE, 4)]);
    world.stands().await;
}

pub async fn what_cannot_be_is_not_kept(store: &dyn Store) {
    let mut world = World::create(store).await;
    let ours = workspace_of(OWNER);
    let tail = world.tail().0;
    assert_eq!(store.see(ours, seen(PHONE, tail + 1)).await, Ok(false), "past the tail");
    assert_eq!(store.see(ours, Seen { log: LogId([9; 16]), ..seen(PHONE, tail) }).await, Ok(false), "another log");
    assert_eq!(store.see(ours, seen(STRANGER, tail)).await, Ok(false), "who is not in");
    let mut devices = people();
    devices[1] = device(TABLET, Scope::ReadWrite, Status::Revoked);
    world.posts(owner(OWNER, 2, devices), OWNER).await;
    assert_eq!(store.see(ours, seen(TABLET, tail)).await, Ok(false), "who was sent away");
    assert_eq!(held(store, ours).await, []);
}

pub async fn seen_of_workspaces_do_not_meet(store: &dyn Store) {
    World::create(store).await;
    let (ours, theirs) = (workspace_of(OWNER), workspace_of(STRANGER));
    let record = genesis(STRANGER, people());
    assert_eq!(store.create(theirs, LOG, vec![record]).await, Ok(LOG));
    assert_eq!(store.see(ours, seen(PHONE, 1)).await, Ok(true));
    assert_eq!(held(store, theirs).await, []);
    assert_eq!(held(store, workspace_of(77)).await, [], "one that is not there");
}
