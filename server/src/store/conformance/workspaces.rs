//! Creating workspaces, and what there is to say of one that is not there.

use roost_shared::roster::Record;
use roost_shared::{Code, Cursor, Hash, LogId};

use super::world::{
    LOG, NOW_MS, OWNER, PHONE, STRANGER, TABLET, World, access_hash, device_id, genesis, link_hash, next, owner,
    people, sign, workspace_of,
};
use crate::store::{Append, ChangeLog, Redeem, Refusal, Store};

pub async fn create_twice_answers_the_same(store: &dyn Store) {
    let mut world = World::create(store).await;
    let first = genesis(OWNER, people());
    let again = store.create(world.workspace, world.log, vec![first.clone()]).await;
    assert_eq!(again, Ok(world.log), "the same request again");
    let second = world.posts(owner(OWNER, 2, people()), OWNER).await;
    let beginning = store.create(world.workspace, world.log, vec![first.clone()]).await;
    assert_eq!(beginning, Ok(world.log), "a beginning of the chain the store has");
    let whole = store.create(world.workspace, world.log, vec![first.clone(), second]).await;
    assert_eq!(whole, Ok(world.log), "the whole chain the store has");
    world.stands().await;
    let first_log = world.log;
    let changed = store.change_log(world.change(LogId([0x23; 16]), NOW_MS)).await;
    assert_eq!(changed, Ok(LogId([0x23; 16])));
    let later = store.create(world.workspace, first_log, vec![first]).await;
    assert_eq!(later, Ok(LogId([0x23; 16])), "the same request after the log got a new id: the current one");
}

pub async fn create_refuses_another_workspace_under_the_id(store: &dyn Store) {
    let world = World::create(store).await;
    let exists = Err(Refusal { code: Code::WorkspaceExists, log: Some(world.log) });
    let other_log = store.create(world.workspace, LogId([0x44; 16]), vec![genesis(OWNER, people())]).await;
    assert_eq!(other_log, exists, "the same chain under another log id");
    let other_chain = store.create(world.workspace, world.log, vec![genesis(OWNER, Vec::new())]).await;
    assert_eq!(other_chain, exists, "another chain under the same log id");
    let longer = vec![genesis(OWNER, people()), next(&world.roster, owner(OWNER, 2, people()), OWNER)];
    assert_eq!(store.create(world.workspace, world.log, longer).await, exists, "a longer chain");
    world.stands().await;
}

pub async fn create_refuses_a_chain_that_breaks_the_rules(store: &dyn Store) {
    let workspace = workspace_of(OWNER);
    let first = genesis(OWNER, people());
    let skipped = Record::build(workspace, 3, first.hash(), owner(OWNER, 1, people()), sign(OWNER));
    let forged = Record::build(workspace, 1, Hash::ZERO, owner(OWNER, 1, people()), sign(STRANGER));
    let late = Record::build(workspace, 1, Hash::ZERO, owner(OWNER, 2, people()), sign(OWNER));
    let cases = [
        (vec![first, skipped], Code::RosterMoved, "a version is left out"),
        (vec![forged], Code::SignatureInvalid, "signed by someone else"),
        (vec![late], Code::RosterInvalid, "the first epoch is not 1"),
        (vec![genesis(STRANGER, people())], Code::WrongWorkspace, "another owner's chain"),
    ];
    for (chain, code, what) in cases {
        let created = store.create(workspace, LOG, chain).await;
        assert_eq!(created.map_err(|refusal| refusal.code), Err(code), "{what}");
        let found = store.workspace(workspace).await.map(|found| found.is_some());
        assert_eq!(found, Ok(false), "a refused chain leaves no workspace behind: {what}");
    }
    World::create(store).await;
}

pub async fn an_unknown_workspace_is_not_found(store: &dyn Store) {
    let world = World::create(store).await;
    let nowhere = workspace_of(STRANGER);
    let not_found = Refusal::from(Code::NotFound);
    assert!(matches!(store.workspace(nowhere).await, Ok(None)), "workspace() of an unknown one is None");
    assert_eq!(store.device(nowhere, device_id(PHONE)).await, Ok(None), "so is device()");
    assert_eq!(store.roster_head(nowhere).await, Ok(None), "so is roster_head()");
    assert_eq!(store.chain(nowhere).await, Err(not_found), "chain()");
    assert_eq!(store.read(nowhere, Cursor::START, 1_000).await, Err(not_found), "read()");
    assert_eq!(store.root_at(nowhere, Cursor(1)).await, Err(not_found), "root_at()");
    assert_eq!(store.leaves(nowhere, Cursor(1)).await, Err(not_found), "leaves()");
    let record = genesis(STRANGER, people());
    assert_eq!(store.append_record(nowhere, record).await, Err(not_found), "append_record()");
    let append = Append { workspace: nowhere, ..world.append(PHONE, vec![world.update(PHONE, 1)]) };
    assert_eq!(store.append(append).await, Err(not_found), "append()");
    let change = ChangeLog { workspace: nowhere, ..world.change(LogId([0x23; 16]), NOW_MS) };
    assert_eq!(store.change_log(change).await, Err(not_found), "change_log()");
    let redeem = Redeem {
        workspace: nowhere,
        link_hash: link_hash(PHONE),
        access_hash: access_hash(PHONE),
        device: device_id(PHONE),
        now_ms: NOW_MS,
    };
    let unavailable = Refusal::from(Code::LinkUnavailable);
    assert_eq!(store.redeem(redeem).await, Err(unavailable), "redeem() tells nobody which workspaces there are");
    world.stands().await;
}

pub async fn workspaces_do_not_meet(store: &dyn Store) {
    let mut world = World::create(store).await;
    let other = workspace_of(STRANGER);
    let created = store.create(other, world.log, vec![genesis(STRANGER, people())]).await;
    assert_eq!(created, Ok(world.log), "two workspaces may have one log id");
    world.writes(PHONE, 1).await;
    world.writes(TABLET, 1).await;
    let page = store.read(other, Cursor::START, 100_000).await;
    assert_eq!(page.map(|page| page.tail), Ok(Cursor(1)), "the other workspace is as it was");
    let device = store.device(other, device_id(OWNER)).await;
    assert_eq!(device, Ok(None), "an owner is no device");
}

pub async fn check_passes(store: &dyn Store) {
    assert_eq!(store.check().await, Ok(()), "an empty store reads and writes");
    World::create(store).await;
    assert_eq!(store.check().await, Ok(()), "so does one with a workspace");
}
