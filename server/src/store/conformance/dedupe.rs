//! Exactly once: known bytes get their number again, other bytes under it are refused.

use futures_util::future::join_all;
use roost_shared::roster::{Scope, Status};
use roost_shared::{Code, Cursor, DocumentId, Envelope, Header};

use super::world::{
    BODY_MIN, OWNER, PHONE, QUOTA_BYTES, READER, TABLET, World, accepted, device, device_id, owner, people, sealed,
};
use crate::store::{Append, Store};

/// Appends known bytes, which must be answered with `seqs` and change nothing.
async fn repeats(world: &World<'_>, append: Append, seqs: &[u64], what: &str) {
    assert_eq!(accepted(world.store.append(append).await, what), seqs, "{what}");
    world.stands().await;
}

pub async fn known_bytes_get_their_seq_whatever_else(store: &dyn Store) {
    let mut world = World::create(store).await;
    let known = world.writes(PHONE, 1).await;
    let append = || world.append(PHONE, vec![known.clone()]);
    repeats(&world, append(), &[2], "the same append again").await;
    repeats(&world, Append { if_tail: Some(Cursor(0)), ..append() }, &[2], "with an if_tail that is wrong").await;
    repeats(&world, Append { may_append: false, ..append() }, &[2], "with a token that may only read").await;
    repeats(&world, Append { device: device_id(READER), ..append() }, &[2], "by another device").await;
    let twice = world.append(PHONE, vec![known.clone(), known.clone()]);
    repeats(&world, twice, &[2, 2], "twice in one append").await;
}

pub async fn known_bytes_get_their_seq_after_the_roster_moved(store: &dyn Store) {
    let mut world = World::create(store).await;
    let known = world.writes(PHONE, 1).await;
    let mut revoked = people();
    revoked.retain(|device| device.id != device_id(PHONE));
    revoked.push(device(PHONE, Scope::ReadWrite, Status::Revoked));
    world.posts(owner(OWNER, 2, people()), OWNER).await;
    repeats(&world, world.append(PHONE, vec![known.clone()]), &[2], "in a stale epoch").await;
    let overhead = known.as_bytes().len() - BODY_MIN;
    let left = usize::try_from(QUOTA_BYTES - world.bytes()).unwrap_or(usize::MAX) - overhead;
    let filling = sealed(world.header(TABLET, 1), 1, left, TABLET);
    world.appends(TABLET, vec![filling]).await;
    repeats(&world, world.append(PHONE, vec![known.clone()]), &[2], "with a full quota").await;
    world.posts(owner(OWNER, 3, revoked), OWNER).await;
    repeats(&world, world.append(PHONE, vec![known]), &[2], "by a device revoked since").await;
}

pub async fn known_and_new_in_one_append(store: &dyn Store) {
    let mut world = World::create(store).await;
    let base = world.header(PHONE, 1);
    let all: Vec<Envelope> =
        (1..=4).map(|author_seq| sealed(Header { author_seq, ..base.clone() }, 3, BODY_MIN, PHONE)).collect();
    world.appends(PHONE, all[..2].to_vec()).await;
    world.writes(TABLET, 1).await;
    let moved = Append { if_tail: Some(Cursor(3)), ..world.append(PHONE, all.clone()) };
    world.refuses(moved, Code::TailMoved, "if_tail is asked before the first envelope that is new").await;
    let append = Append { if_tail: Some(world.tail()), ..world.append(PHONE, all.clone()) };
    let seqs = accepted(store.append(append).await, "two known and two new envelopes");
    assert_eq!(seqs, [2, 3, 5, 6], "known ones keep their numbers, new ones get the next");
    let seqs = accepted(store.append(world.append(PHONE, all)).await, "all of them once more");
    assert_eq!(seqs, [2, 3, 5, 6]);
    let page = store.read(world.workspace, Cursor::START, 100_000).await;
    assert_eq!(page.map(|page| page.tail), Ok(Cursor(6)), "no row twice");
}

pub async fn other_bytes_are_equivocation(store: &dyn Store) {
    let mut world = World::create(store).await;
    let first = world.writes(PHONE, 1).await;
    world.writes(PHONE, 2).await;
    let others = [
        ("another body", sealed(first.header().clone(), 0xaa, BODY_MIN, PHONE)),
        ("another signature", sealed(first.header().clone(), PHONE, BODY_MIN, TABLET)),
        ("another document", {
            let header = Header { document: DocumentId([0x34; 16]), ..first.header().clone() };
            sealed(header, PHONE, BODY_MIN, PHONE)
        }),
        ("another base", sealed(world.header(PHONE, 1), PHONE, BODY_MIN, PHONE)),
    ];
    for (what, other) in others {
        world.refuses(world.append(PHONE, vec![other.clone()]), Code::Equivocation, what).await;
        let after_known = world.append(PHONE, vec![first.clone(), other]);
        world.refuses(after_known, Code::Equivocation, "the same after a known envelope").await;
    }
    let second = world.header(PHONE, 3);
    let new_first = vec![sealed(second, 1, BODY_MIN, PHONE), sealed(first.header().clone(), 0xaa, BODY_MIN, PHONE)];
    world
        .refuses(world.append(PHONE, new_first), Code::Equivocation, "nothing of it is stored, the new one neither")
        .await;
}

pub async fn concurrent_duplicates_are_one_row(store: &dyn Store) {
    let world = World::create(store).await;
    let base = world.header(PHONE, 1);
    let all: Vec<Envelope> =
        (1..=3).map(|author_seq| sealed(Header { author_seq, ..base.clone() }, 3, BODY_MIN, PHONE)).collect();
    // Every way to send a beginning of them, several times, at once.
    let deliveries = (0..24).map(|round| store.append(world.append(PHONE, all[..=round % 3].to_vec())));
    for (round, outcome) in join_all(deliveries).await.into_iter().enumerate() {
        let seqs = accepted(outcome, "one of many deliveries of the same bytes");
        assert_eq!(seqs, Vec::from_iter(2..=2 + (round as u64 % 3)), "delivery {round} gets the one number of each");
    }
    let page = store.read(world.workspace, Cursor(1), 100_000).await;
    let rows = page.map(|page| page.entries.into_iter().filter_map(|entry| entry.body).collect::<Vec<_>>());
    let wanted: Vec<Vec<u8>> = all.into_iter().map(Envelope::into_bytes).collect();
    assert_eq!(rows, Ok(wanted), "one row each");
    // Of two versions of one author_seq that race, one is in and the other is refused.
    let rivals = (1..=8u8).map(|fill| sealed(world.header(TABLET, 1), fill, BODY_MIN, TABLET));
    let outcomes = join_all(rivals.map(|rival| store.append(world.append(TABLET, vec![rival])))).await;
    let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(won, 1, "exactly one of eight rivals is in");
    let lost =
        outcomes.iter().filter(|outcome| outcome.as_ref().is_err_and(|refusal| refusal.code == Code::Equivocation));
    assert_eq!(lost.count(), 7, "the others are equivocation");
}
