//! Keyless tokens are kept, listed and withdrawn, each in its own workspace.

use roost_shared::Code;
use roost_shared::hash::Hash;

use super::world::{NOW_MS, OWNER, STRANGER, World, genesis, people, workspace_of};
use crate::store::{KeylessToken, Store, TokenChange};

const MOST: usize = 3;

fn token(seed: u8) -> KeylessToken {
    KeylessToken {
        id: Hash([seed; 32]),
        label: format!("backup {seed}"),
        created_ms: NOW_MS + u64::from(seed),
        expires_ms: NOW_MS + 1_000_000,
    }
}

fn put(token: KeylessToken, now_ms: u64) -> TokenChange {
    TokenChange::Put { token, now_ms, most: MOST }
}

pub async fn tokens_are_kept_until_withdrawn(store: &dyn Store) {
    let world = World::create(store).await;
    let workspace = workspace_of(OWNER);
    for seed in [2, 1] {
        assert_eq!(store.change_token(workspace, put(token(seed), NOW_MS)).await, Ok(true));
    }
    assert_eq!(store.tokens(workspace).await, Ok(vec![token(1), token(2)]), "the oldest first");
    assert_eq!(store.token(workspace, Hash([2; 32])).await, Ok(Some(token(2))));
    assert_eq!(store.token(workspace, Hash([3; 32])).await, Ok(None));
    let withdraw = |seed| TokenChange::Withdraw { id: Hash([seed; 32]) };
    assert_eq!(store.change_token(workspace, withdraw(2)).await, Ok(true));
    assert_eq!(store.change_token(workspace, withdraw(2)).await, Ok(false), "once is enough");
    assert_eq!(store.token(workspace, Hash([2; 32])).await, Ok(None));
    assert_eq!(store.tokens(workspace).await, Ok(vec![token(1)]));
    world.stands().await;
}

pub async fn tokens_are_bounded_and_make_room_when_they_end(store: &dyn Store) {
    World::create(store).await;
    let workspace = workspace_of(OWNER);
    for seed in 0..MOST {
        let seed = u8::try_from(seed).unwrap_or(0);
        assert_eq!(store.change_token(workspace, put(token(seed), NOW_MS)).await, Ok(true));
    }
    let full = store.change_token(workspace, put(token(9), NOW_MS)).await.map_err(|refusal| refusal.code);
    assert_eq!(full, Err(Code::TooMany));
    let later = NOW_MS + 1_000_000;
    assert_eq!(store.change_token(workspace, put(token(9), later)).await, Ok(true), "the others have run out");
    assert_eq!(store.tokens(workspace).await, Ok(vec![token(9)]));
}

pub async fn tokens_of_workspaces_do_not_meet(store: &dyn Store) {
    let world = World::create(store).await;
    let (ours, theirs) = (workspace_of(OWNER), workspace_of(STRANGER));
    assert_eq!(store.change_token(ours, put(token(1), NOW_MS)).await, Ok(true));
    let nowhere = store.change_token(theirs, put(token(1), NOW_MS)).await.map_err(|refusal| refusal.code);
    assert_eq!(nowhere, Err(Code::NotFound));
    assert_eq!(store.create(theirs, world.log, vec![genesis(STRANGER, people())]).await, Ok(world.log));
    assert_eq!(store.token(theirs, Hash([1; 32])).await, Ok(None));
    assert_eq!(store.tokens(theirs).await, Ok(Vec::new()));
    assert_eq!(store.change_token(theirs, TokenChange::Withdraw { id: Hash([1; 32]) }).await, Ok(false));
    assert_eq!(store.token(ours, Hash([1; 32])).await, Ok(Some(token(1))));
}
