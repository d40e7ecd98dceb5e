//! New log ids: on evidence, once an hour, and what begins again under one.

use roost_shared::limits::LOG_CHANGE_PAUSE_MS;
use roost_shared::wire::http::LogLife;
use roost_shared::{Code, Cursor, Hash, Header, LogId};

use super::world::{BODY_MIN, NOW_MS, PHONE, TABLET, World, accepted_or, sealed};
use crate::store::{ChangeLog, Refusal, Store};

const SECOND: LogId = LogId([0x23; 16]);
const THIRD: LogId = LogId([0x24; 16]);

async fn kept(world: &World<'_>, change: ChangeLog, what: &str) {
    let refused = world.store.change_log(change).await.map_err(|refusal| refusal.code);
    assert_eq!(refused, Err(Code::LogKept), "{what}");
    world.stands().await;
}

async fn granted(world: &mut World<'_>, change: ChangeLog, what: &str) {
    assert_eq!(world.store.change_log(change).await, Ok(change.proposed), "{what}");
    world.log = change.proposed;
    world.stands().await; // the entries stay as they are
}

/// Four entries, the root of each size known.
async fn four(store: &dyn Store) -> World<'_> {
    let mut world = World::create(store).await;
    for author_seq in 1..=3 {
        world.writes(PHONE, author_seq).await;
    }
    world
}

pub async fn evidence_is_asked_for(store: &dyn Store) {
    let mut world = four(store).await;
    let with = |cursor, root| ChangeLog { cursor: Cursor(cursor), root, ..world.change(SECOND, NOW_MS) };
    for (size, root) in world.roots.iter().enumerate() {
        kept(&world, with(size as u64, *root), "the root the server has there").await;
    }
    kept(&world, with(0, Hash([0x77; 32])), "nothing read is evidence of nothing").await;
    kept(&world, ChangeLog { proposed: LogId::ZERO, ..with(9, Hash::ZERO) }, "zeros are no log id").await;
    let other_old = ChangeLog { old: THIRD, ..with(9, Hash::ZERO) };
    let refused = store.change_log(other_old).await;
    assert_eq!(refused, Err(Refusal { code: Code::LogChanged, log: Some(world.log) }), "old is not the current id");
    let change = with(2, Hash([0x77; 32]));
    granted(&mut world, change, "another root at a size the server has").await;
    let longer = ChangeLog { cursor: Cursor(5), root: world.roots[4], ..world.change(THIRD, later(1)) };
    granted(&mut world, longer, "a device that has read past the tail").await;
}

pub async fn a_repeated_proposal_gets_the_same_answer(store: &dyn Store) {
    let mut world = four(store).await;
    let change = world.change(SECOND, NOW_MS);
    granted(&mut world, change, "a new log id").await;
    for again in [change, ChangeLog { now_ms: later(5), ..change }, ChangeLog { cursor: Cursor(0), ..change }] {
        assert_eq!(store.change_log(again).await, Ok(SECOND), "the same proposal again");
    }
    world.stands().await;
    let other = store.change_log(ChangeLog { proposed: THIRD, ..change }).await;
    let moved = Err(Refusal { code: Code::LogChanged, log: Some(SECOND) });
    assert_eq!(other, moved, "another proposal on the old id: log_changed, with the new one");
    let found = accepted_or(store.workspace(world.workspace).await, "workspace()");
    let wanted = vec![LogLife { log: super::world::LOG, first: 1 }, LogLife { log: SECOND, first: 5 }];
    assert_eq!(found.map(|found| found.logs), Some(wanted), "two lives, and where the second began");
}

/// `hours` after the check began.
const fn later(hours: u64) -> u64 {
    NOW_MS + hours * LOG_CHANGE_PAUSE_MS
}

pub async fn once_an_hour(store: &dyn Store) {
    let mut world = four(store).await;
    let change = world.change(SECOND, NOW_MS);
    granted(&mut world, change, "the first new log id").await;
    kept(&world, world.change(THIRD, NOW_MS), "at once").await;
    kept(&world, world.change(THIRD, later(1) - 1), "within an hour").await;
    kept(&world, world.change(THIRD, NOW_MS - 1), "by a clock that was set back").await;
    let change = world.change(THIRD, later(1));
    granted(&mut world, change, "after an hour").await;
    let found = accepted_or(store.workspace(world.workspace).await, "workspace()");
    let firsts = found.map(|found| found.logs.iter().map(|life| life.first).collect::<Vec<_>>());
    assert_eq!(firsts, Some(vec![1, 5, 5]), "a life without entries");
    world.writes(PHONE, 1).await;
}

pub async fn authors_start_again(store: &dyn Store) {
    let mut world = four(store).await;
    let known = world.entries[3].clone();
    let next_of_old = world.update(PHONE, 4);
    let change = world.change(SECOND, NOW_MS);
    granted(&mut world, change, "a new log id").await;
    for (envelope, what) in [(known, "a known envelope of the old log"), (next_of_old, "the next one of the old log")] {
        let refused = store.append(world.append(PHONE, vec![envelope])).await;
        assert_eq!(refused, Err(Refusal { code: Code::LogChanged, log: Some(SECOND) }), "{what}");
    }
    world.stands().await;
    let gap = world.append(PHONE, vec![world.update(PHONE, 4)]);
    world.refuses(gap, Code::AuthorGap, "author_seq goes on under a new log id").await;
    // Its last base under the old id was 3: that is forgotten too.
    let from_start = Header { base_size: Cursor(0), base_root: world.roots[0], ..world.header(PHONE, 1) };
    world.appends(PHONE, vec![sealed(from_start, 1, BODY_MIN, PHONE)]).await;
    world.writes(PHONE, 2).await;
    world.writes(TABLET, 1).await;
    let again =
        super::world::accepted(store.append(world.append(PHONE, vec![world.entries[5].clone()])).await, "known");
    assert_eq!(again, [6], "dedupe holds under the new id");
    let other = sealed(world.entries[4].header().clone(), 0xee, BODY_MIN, PHONE);
    world.refuses(world.append(PHONE, vec![other]), Code::Equivocation, "and so does equivocation").await;
}
