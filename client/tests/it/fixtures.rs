//! A clock, people and chains: what several modules start from.

use std::sync::atomic::{AtomicU64, Ordering};

use roost::clock::Clock;
use roost::keys::link::Invite;
use roost::keys::ring::KeyRing;
use roost::keys::{EpochKey, KeyPair, Seed};
use roost::members::change::{self, Change};
use roost::sync::Chain;
use roost::{Scope, WorkspaceId};
use roost_shared::Hash;
use roost_shared::roster::{Owner, Record, RecordBody};

/// Seed bytes of the devices.
pub const PHONE: u8 = 2;
pub const LAPTOP: u8 = 4;
pub const STRANGER: u8 = 9;
/// When invites end, ms since 1970.
pub const EXPIRY_MS: u64 = 1_800_000_600_000;

/// Time stands still; randomness is the hash of a seed and a counter, the same in every run.
pub struct StillClock {
    seed: u64,
    drawn: AtomicU64,
}

impl StillClock {
    pub const fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }
}

impl Clock for StillClock {
    fn now_ms(&self) -> u64 {
        1_800_000_000_000
    }

    fn monotonic_ms(&self) -> u64 {
        0
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
            let block = Hash::of(&[&self.seed.to_be_bytes(), &drawn.to_be_bytes()]);
            chunk.copy_from_slice(&block.0[..chunk.len()]);
        }
    }
}

pub fn owner() -> KeyPair {
    KeyPair::owner(&Seed::new([1; 32]))
}

pub fn device(seed: u8) -> KeyPair {
    KeyPair::device(&Seed::new([seed; 32]))
}

pub fn workspace() -> WorkspaceId {
    owner().workspace_id()
}

pub fn invite() -> Invite {
    Invite::new([0x1d; 16], [0x5e; 32])
}

/// Some key of an epoch; only that of epoch 1 is in the chains below.
pub fn epoch_key(epoch: u8) -> EpochKey {
    EpochKey::new(workspace(), epoch.into(), [0xe0 | epoch; 32])
}

/// The phone alone, in epoch 1.
pub fn genesis(clock: &StillClock) -> Chain {
    let record = change::genesis(clock, &owner(), &epoch_key(1), &device(PHONE), "phone").unwrap();
    Chain::verify(workspace(), vec![record]).unwrap()
}

/// One more invite.
pub fn add_invite(clock: &StillClock, chain: &mut Chain, invite: &Invite, scope: Scope) {
    let ring = KeyRing::open(chain.records(), &[&owner()]);
    let added = change::owner_record(
        clock,
        &owner(),
        chain.roster(),
        &[&ring],
        &Change::inviting(chain.roster(), invite, scope, EXPIRY_MS),
    );
    chain.push(added.unwrap()).unwrap();
}

/// The laptop takes the place of [`invite`].
pub fn join_laptop(clock: &StillClock, chain: &mut Chain) {
    let invite = invite().keys();
    let ring = KeyRing::open(chain.records(), &[&invite]);
    let key = ring.get(chain.roster().epoch()).unwrap();
    let record = change::replace(clock, &invite, chain.roster(), key, &device(LAPTOP), "laptop");
    chain.push(record).unwrap();
}

/// The owner's record that begins the next epoch.
pub fn next_epoch(clock: &StillClock, chain: &Chain) -> Record {
    let ring = KeyRing::open(chain.records(), &[&owner()]);
    change::owner_record(clock, &owner(), chain.roster(), &[&ring], &Change::next_epoch(chain.roster())).unwrap()
}

/// And begins it.
pub fn advance(clock: &StillClock, chain: &mut Chain) {
    let record = next_epoch(clock, chain);
    chain.push(record).unwrap();
}

/// The phone, and the laptop by invite, still in epoch 1: three records.
pub fn shared(clock: &StillClock) -> Chain {
    let mut chain = genesis(clock);
    add_invite(clock, &mut chain, &invite(), Scope::ReadWrite);
    join_laptop(clock, &mut chain);
    chain
}

/// An owner record with something else in it, signed by the owner all the same.
pub fn altered(record: &Record, alter: impl FnOnce(&mut Owner)) -> Record {
    let RecordBody::Owner(body) = &record.body else { panic!("not an owner record") };
    let mut body = body.clone();
    alter(&mut body);
    let body = RecordBody::Owner(body);
    Record::build(record.workspace, record.version, record.previous, body, |text| owner().sign(text))
}
