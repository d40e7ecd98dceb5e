//! What an append puts into the log, and what leaves it as it was.

use roost_shared::limits::APPEND_ENVELOPES_MAX;
use roost_shared::roster::{RecordBody, Scope, Status};
use roost_shared::{Code, Cursor, DeviceId, Envelope, Hash, Header, Kind};

use super::world::{
    BODY_MIN, INVITE, LAPTOP, OWNER, PHONE, QUOTA_BYTES, READER, STRANGER, TABLET, World, accepted, device, device_id,
    invite, next, owner, people, people_and, replace, sealed,
};
use crate::store::{Append, Store};

pub async fn seqs_have_no_gaps(store: &dyn Store) {
    let mut world = World::create(store).await;
    world.writes(PHONE, 1).await;
    world.posts(owner(OWNER, 2, people()), OWNER).await;
    let base = world.header(PHONE, 2);
    let batch = (2..=4).map(|author_seq| sealed(Header { author_seq, ..base.clone() }, 7, BODY_MIN, PHONE));
    world.appends(PHONE, batch.collect()).await;
    world.writes(TABLET, 1).await;
    world.posts(owner(OWNER, 2, people()), OWNER).await;
    let snapshot = Header { kind: Kind::Snapshot, ..world.header(TABLET, 2) };
    world.appends(TABLET, vec![sealed(snapshot, 1, BODY_MIN, TABLET)]).await;
    assert_eq!(world.tail(), Cursor(9));
}

pub async fn an_append_has_one_to_256_envelopes(store: &dyn Store) {
    let world = World::create(store).await;
    world.refuses(world.append(PHONE, Vec::new()), Code::BadMessage, "an append of nothing").await;
    let envelope = world.update(PHONE, 1);
    let many = vec![envelope; APPEND_ENVELOPES_MAX + 1];
    world.refuses(world.append(PHONE, many), Code::TooLarge, "an append of 257 envelopes").await;
}

pub async fn all_or_nothing(store: &dyn Store) {
    let mut world = World::create(store).await;
    let base = world.header(PHONE, 1);
    let good: Vec<Envelope> =
        (1..=3).map(|author_seq| sealed(Header { author_seq, ..base.clone() }, 1, BODY_MIN, PHONE)).collect();
    let last = |header| {
        let mut envelopes = good.clone();
        envelopes.push(sealed(header, 1, BODY_MIN, PHONE));
        world.append(PHONE, envelopes)
    };
    let next = || Header { author_seq: 4, ..base.clone() };
    let gap = Header { author_seq: 5, ..next() };
    world.refuses(last(gap), Code::AuthorGap, "three good envelopes and one that leaves a gap").await;
    let stale = Header { epoch: 9, ..next() };
    world.refuses(last(stale), Code::EpochStale, "three good envelopes and one of another epoch").await;
    let off = Header { base_root: Hash([9; 32]), ..next() };
    world.refuses(last(off), Code::BaseMismatch, "three good envelopes and one with a wrong base").await;
    let stranger = Header { author: device_id(TABLET), ..next() };
    world.refuses(last(stranger), Code::WrongAuthor, "three good envelopes and one of another author").await;
    let mut heavy = good.clone();
    heavy.push(sealed(next(), 1, usize::try_from(QUOTA_BYTES).unwrap_or(usize::MAX), PHONE));
    world.refuses(world.append(PHONE, heavy), Code::QuotaExceeded, "three good envelopes and one too many bytes").await;
    let twice = store.append(world.append(PHONE, vec![good[0].clone(), good[0].clone()])).await;
    assert!(twice.is_err(), "one author_seq twice in one append is never two rows");
    world.stands().await;
    world.appends(PHONE, good).await;
}

pub async fn only_the_authenticated_device_writes(store: &dyn Store) {
    let mut world = World::create_with(store, people_and(invite(INVITE))).await;
    let read_token = Append { may_append: false, ..world.append(PHONE, vec![world.update(PHONE, 1)]) };
    world.refuses(read_token, Code::NotAllowed, "the token does not let it append").await;
    for (seed, what) in [(READER, "a device with scope read"), (STRANGER, "not listed"), (INVITE, "an invite")] {
        let append = world.append(seed, vec![world.update(seed, 1)]);
        world.refuses(append, Code::NotAllowed, what).await;
    }
    let control = Envelope::control(world.workspace, world.log, 1, 2, b"no record");
    world.refuses(world.append(PHONE, vec![control]), Code::EnvelopeInvalid, "a control entry by append").await;
    let record = next(&world.roster, owner(OWNER, 2, people_and(invite(INVITE))), OWNER);
    let control = Envelope::control(world.workspace, world.log, 2, 2, record.as_bytes());
    let append = Append { device: DeviceId::ZERO, ..world.append(PHONE, vec![control]) };
    world.refuses(append, Code::EnvelopeInvalid, "a good record as a control entry by append").await;

    let mut revoked = people_and(invite(INVITE));
    revoked.retain(|device| device.id != device_id(TABLET));
    revoked.push(device(TABLET, Scope::ReadWrite, Status::Revoked));
    world.posts(owner(OWNER, 2, revoked), OWNER).await;
    let append = world.append(TABLET, vec![world.update(TABLET, 1)]);
    world.refuses(append, Code::NotAllowed, "a revoked device").await;
    world.posts(replace(INVITE, LAPTOP), INVITE).await;
    let append = world.append(INVITE, vec![world.update(INVITE, 1)]);
    world.refuses(append, Code::NotAllowed, "a replaced invite").await;
    world.writes(LAPTOP, 1).await;
}

pub async fn if_tail_is_asked_once(store: &dyn Store) {
    let mut world = World::create(store).await;
    world.writes(TABLET, 1).await;
    let base = world.header(PHONE, 1);
    let pair: Vec<Envelope> =
        (1..=2).map(|author_seq| sealed(Header { author_seq, ..base.clone() }, 1, BODY_MIN, PHONE)).collect();
    for tail in [0, world.tail().0 - 1, world.tail().0 + 1, u64::MAX] {
        let append = Append { if_tail: Some(Cursor(tail)), ..world.append(PHONE, pair.clone()) };
        world.refuses(append, Code::TailMoved, "the log does not end at if_tail").await;
    }
    let append = Append { if_tail: Some(world.tail()), ..world.append(PHONE, pair.clone()) };
    let seqs = accepted(store.append(append).await, "two envelopes with the right if_tail");
    assert_eq!(seqs, [3, 4], "if_tail is asked before the first envelope, not before each");
}

pub async fn the_quota_is_met_exactly(store: &dyn Store) {
    let mut world = World::create(store).await;
    world.writes(PHONE, 1).await;
    let left = QUOTA_BYTES - world.bytes() - (world.update(PHONE, 2).as_bytes().len() - BODY_MIN) as u64;
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let over = sealed(world.header(PHONE, 2), 1, left + 1, PHONE);
    world.refuses(world.append(PHONE, vec![over]), Code::QuotaExceeded, "one byte over the quota").await;
    let exact = sealed(world.header(PHONE, 2), 1, left, PHONE);
    world.appends(PHONE, vec![exact]).await;
    assert_eq!(world.bytes(), QUOTA_BYTES);
    world.posts(owner(OWNER, 2, people()), OWNER).await; // control entries are exempt
    let append = world.append(TABLET, vec![world.update(TABLET, 1)]);
    world.refuses(append, Code::QuotaExceeded, "a full workspace").await;
}

pub async fn a_purged_workspace_takes_nothing(store: &dyn Store) {
    let mut world = World::create(store).await;
    let known = world.writes(PHONE, 1).await;
    world.posts(RecordBody::Purge, OWNER).await;
    let append = world.append(PHONE, vec![world.update(PHONE, 2)]);
    world.refuses(append, Code::WorkspaceGone, "an append to a purged workspace").await;
    let record = next(&world.roster, owner(OWNER, 2, people()), OWNER);
    world.refuses_record(record, Code::WorkspaceGone, "a record after a purge").await;
    let seqs = accepted(store.append(world.append(PHONE, vec![known])).await, "known bytes after a purge");
    assert_eq!(seqs, [2]);
    let page = store.read(world.workspace, Cursor(2), 100_000).await;
    let read = page.map(|page| page.entries.into_iter().filter_map(|entry| entry.body).collect::<Vec<_>>());
    assert_eq!(read, Ok(vec![world.entries[2].as_bytes().to_vec()]), "the purge record is read by everybody");
}
