//! Who can open which epoch's key, from the chain alone.

use roost::keys::ring::KeyRing;
use roost::keys::{EpochKey, KeyPair, seal};
use roost::members::change::{self, Change};
use roost::sync::Chain;
use roost::{DeviceId, Scope};
use roost_shared::roster::{LABEL_LEN, Record, RecordBody, Replace, Status, WRAP_LEN};

use super::seal::{SMALL_ORDER, point};
use crate::fixtures::{
    EXPIRY_MS, LAPTOP, PHONE, STRANGER, StillClock, add_invite, advance, altered, device, epoch_key, genesis, invite,
    join_laptop, next_epoch, owner, shared, workspace,
};

fn epochs(chain: &Chain, holders: &[&KeyPair]) -> Vec<u32> {
    let ring = KeyRing::open(chain.records(), holders);
    (0..=9).filter(|epoch| ring.get(*epoch).is_some()).collect()
}

#[test]
fn each_holder_opens_what_was_wrapped_to_it_and_all_before() {
    let clock = StillClock::new(1);
    let mut chain = shared(&clock);
    advance(&clock, &mut chain);
    advance(&clock, &mut chain);
    assert_eq!(epochs(&chain, &[&device(PHONE)]), [1, 2, 3]);
    assert_eq!(epochs(&chain, &[&owner()]), [1, 2, 3]);
    assert_eq!(epochs(&chain, &[&device(LAPTOP)]), [1, 2, 3], "epoch 1 by the back link");
    assert_eq!(epochs(&chain, &[&invite().keys()]), [1], "a used link opens nothing new");
    assert_eq!(epochs(&chain, &[&device(STRANGER)]), [] as [u32; 0]);
    assert_eq!(epochs(&chain, &[]), [] as [u32; 0]);
}

#[test]
fn back_links_lead_from_the_newest_key_to_the_first() {
    let clock = StillClock::new(2);
    let mut chain = genesis(&clock);
    advance(&clock, &mut chain);
    advance(&clock, &mut chain);
    add_invite(&clock, &mut chain, &invite(), Scope::ReadWrite);
    join_laptop(&clock, &mut chain);
    // Nothing but epoch 3 was ever wrapped to the invite.
    let joined = KeyRing::open(chain.records(), &[&device(LAPTOP), &invite().keys()]);
    let phone = KeyRing::open(chain.records(), &[&device(PHONE)]);
    for epoch in 1..=3 {
        let commit = |ring: &KeyRing| ring.get(epoch).map(|key| (key.epoch(), key.commit()));
        assert!(commit(&joined).is_some(), "epoch {epoch}");
        assert_eq!(commit(&joined), commit(&phone), "epoch {epoch}");
    }
    assert_eq!(joined.first().map(|key| key.commit()), Some(epoch_key(1).commit()));
    assert!(joined.get(4).is_none());
}

#[test]
fn a_newcomer_needs_its_invite_until_the_next_epoch() {
    let clock = StillClock::new(3);
    let mut chain = shared(&clock);
    assert!(chain.roster().has_newcomer());
    assert_eq!(epochs(&chain, &[&device(LAPTOP)]), [] as [u32; 0]);
    assert_eq!(epochs(&chain, &[&device(LAPTOP), &invite().keys()]), [1]);
    advance(&clock, &mut chain);
    assert!(!chain.roster().has_newcomer());
    assert_eq!(epochs(&chain, &[&device(LAPTOP)]), [1, 2]);
}

#[test]
fn an_unused_invite_keeps_up_with_the_epochs() {
    let clock = StillClock::new(4);
    let mut chain = genesis(&clock);
    add_invite(&clock, &mut chain, &invite(), Scope::Read);
    advance(&clock, &mut chain);
    assert_eq!(epochs(&chain, &[&invite().keys()]), [1, 2]);
    let listed = &chain.roster().member(invite().keys().device_id()).unwrap().device;
    assert_eq!((listed.status, listed.scope, listed.not_after_ms), (Status::Invite, Scope::Read, EXPIRY_MS));
    assert_eq!((listed.link_hash, listed.access_hash), (invite().link_hash(), invite().access_hash()));
}

/// The laptop is out: it keeps its place, and gets no key.
fn without_laptop(record: &Record) -> Record {
    altered(record, |owner| {
        let laptop = owner.devices.iter_mut().find(|listed| listed.id == device(LAPTOP).device_id()).unwrap();
        laptop.status = Status::Revoked;
        laptop.wrap = [0; WRAP_LEN];
    })
}

#[test]
fn a_revoked_device_keeps_what_it_had_and_gets_nothing_more() {
    let clock = StillClock::new(5);
    let mut chain = shared(&clock);
    advance(&clock, &mut chain);
    let revoking = without_laptop(&next_epoch(&clock, &chain));
    chain.push(revoking).unwrap();
    advance(&clock, &mut chain);
    assert_eq!(epochs(&chain, &[&device(LAPTOP)]), [1, 2]);
    assert_eq!(epochs(&chain, &[&device(LAPTOP), &invite().keys()]), [1, 2]);
    assert_eq!(epochs(&chain, &[&device(PHONE)]), [1, 2, 3, 4]);
    assert_eq!(chain.roster().scope(device(LAPTOP).device_id()), None, "it stays out in the next epoch");
}

#[test]
fn a_key_that_is_not_the_committed_one_is_not_taken() {
    let chain = genesis(&StillClock::new(6));
    let lying = altered(&chain.records()[0], |owner| owner.ek_commit = epoch_key(2).commit());
    let lying = Chain::verify(workspace(), vec![lying]).unwrap();
    assert_eq!(epochs(&lying, &[&device(PHONE), &owner()]), [] as [u32; 0]);
    assert_eq!(epochs(&chain, &[&device(PHONE)]), [1]);
}

#[test]
fn a_back_link_to_another_key_is_not_taken() {
    let clock = StillClock::new(7);
    let mut chain = shared(&clock);
    let record = next_epoch(&clock, &chain);
    let honest = [chain.records(), std::slice::from_ref(&record)].concat();
    let second = KeyRing::open(&honest, &[&owner()]).get(2).cloned().unwrap();
    let false_first = EpochKey::new(workspace(), 1, [0xbb; 32]);
    let lying = altered(&record, |owner| owner.back_link = seal::back_link(&second, &false_first));
    chain.push(lying).unwrap();
    assert_eq!(epochs(&chain, &[&device(LAPTOP)]), [2]);
    assert_eq!(epochs(&chain, &[&device(PHONE)]), [1, 2], "its own wrap of epoch 1 is as good as ever");
}

/// A device with an honest signing key, and a box key of its choice, in the place of the invite.
fn join_with_box_key(chain: &mut Chain, x: [u8; 32]) -> DeviceId {
    let (ed, invite) = (device(LAPTOP).ed(), invite().keys());
    let id = DeviceId::of_keys(&ed, &x);
    let replace = Replace { invite: invite.device_id(), device: id, ed, x, label: [0; LABEL_LEN] };
    let roster = chain.roster();
    let (version, body) = (roster.version() + 1, RecordBody::Replace(replace));
    let record = Record::build(workspace(), version, roster.hash(), body, |text| invite.sign(text));
    chain.push(record).unwrap();
    id
}

#[test]
fn a_newcomer_nothing_can_be_wrapped_to_is_out_and_the_others_go_on() {
    for text in SMALL_ORDER {
        let clock = StillClock::new(8);
        let mut chain = genesis(&clock);
        add_invite(&clock, &mut chain, &invite(), Scope::ReadWrite);
        let bad = join_with_box_key(&mut chain, point(text));
        assert_eq!(chain.roster().scope(bad), Some(Scope::ReadWrite));
        advance(&clock, &mut chain);
        assert_eq!(chain.roster().member(bad).map(|member| member.device.status), Some(Status::Revoked), "{text}");
        assert!(!chain.roster().has_newcomer(), "else the owner would begin epochs for ever");
        assert_eq!(epochs(&chain, &[&device(PHONE)]), [1, 2]);
        let parsed = Record::parse(chain.records()[3].as_bytes().to_vec());
        assert_eq!(parsed.as_ref(), Ok(&chain.records()[3]), "every reader takes the record");
    }
}

#[test]
fn records_built_here_parse_everywhere() {
    let clock = StillClock::new(9);
    let mut chain = shared(&clock);
    advance(&clock, &mut chain);
    for record in chain.records() {
        assert_eq!(Record::parse(record.as_bytes().to_vec()).as_ref(), Ok(record));
    }
    let parsed = chain.records().iter().map(|record| Record::parse(record.as_bytes().to_vec()).unwrap()).collect();
    let again = Chain::verify(workspace(), parsed).unwrap();
    assert_eq!(again.roster(), chain.roster());
}

#[test]
fn names_outlive_the_epoch_they_were_sealed_in() {
    let clock = StillClock::new(10);
    let mut chain = shared(&clock);
    for _ in 0..6 {
        let ring = KeyRing::open(chain.records(), &[&device(PHONE)]);
        let name = |id| change::name_of(&ring, &chain.roster().member(id).unwrap().device);
        assert_eq!(name(device(PHONE).device_id()).as_deref(), Some("phone"));
        assert_eq!(name(device(LAPTOP).device_id()).as_deref(), Some("laptop"));
        advance(&clock, &mut chain);
    }
    let stranger = KeyRing::open(chain.records(), &[&device(STRANGER)]);
    let phone = chain.roster().member(device(PHONE).device_id()).unwrap();
    assert_eq!(change::name_of(&stranger, &phone.device), None);
}

#[test]
fn without_the_current_key_no_owner_record_is_built() {
    let clock = StillClock::new(11);
    let mut chain = genesis(&clock);
    advance(&clock, &mut chain);
    let empty = KeyRing::default();
    let first_only = KeyRing::open(&chain.records()[..1], &[&owner()]);
    for ring in [empty, first_only] {
        let roster = chain.roster();
        let inviting = Change::inviting(roster, &invite(), Scope::ReadWrite, EXPIRY_MS);
        for change in [Change::next_epoch(roster), inviting] {
            assert!(change::owner_record(&clock, &owner(), roster, &[&ring], &change).is_err());
        }
    }
}

#[test]
fn a_name_means_the_same_document_on_every_device() {
    let clock = StillClock::new(12);
    let mut chain = shared(&clock);
    advance(&clock, &mut chain);
    let phone = KeyRing::open(chain.records(), &[&device(PHONE)]);
    let laptop = KeyRing::open(chain.records(), &[&device(LAPTOP)]);
    let (phone, laptop) = (phone.first().unwrap(), laptop.first().unwrap());
    let names = ["notes", "Notes", "notes ", "todos", ""];
    for name in names {
        assert_eq!(phone.named_document(name), laptop.named_document(name), "{name}");
    }
    assert_eq!(phone.index_document(), laptop.index_document());
    let mut ids: Vec<_> = names.iter().map(|name| phone.named_document(name)).collect();
    ids.push(phone.index_document());
    ids.push(EpochKey::new(workspace(), 1, [5; 32]).named_document("notes")); // of another key
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), names.len() + 2);
}
