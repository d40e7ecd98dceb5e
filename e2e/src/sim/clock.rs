//! Time and randomness as the simulator gives them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use roost::clock::Clock;

use super::plant::Plant;
use super::random::Random;

/// When simulated time starts, ms since 1970.
pub const EPOCH_MS: u64 = 1_800_000_000_000;

/// The one true time of a world.
pub type WorldTime = Arc<AtomicU64>;

/// A device's clock: the world's time, wrong by an amount that may jump.
pub struct SimClock {
    world: WorldTime,
    skew_ms: AtomicI64,
    random: Mutex<Random>,
    plant: Option<Plant>,
}

impl SimClock {
    pub fn new(world: WorldTime, random: Random, plant: Option<Plant>) -> Self {
        Self { world, skew_ms: AtomicI64::new(0), random: Mutex::new(random), plant }
    }

    /// The clock is wrong by this much from now on.
    pub fn jump(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }

    /// How wrong it is.
    pub fn skew_ms(&self) -> i64 {
        self.skew_ms.load(Ordering::Relaxed)
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        self.world.load(Ordering::Relaxed).saturating_add_signed(self.skew_ms())
    }

    fn monotonic_ms(&self) -> u64 {
        self.world.load(Ordering::Relaxed)
    }

    fn fill(&self, bytes: &mut [u8]) {
        if self.plant == Some(Plant::ReusedPeer) && bytes.len() == 8 {
            return bytes.fill(7); // every opening of every document gets the same peer id
        }
        self.random.lock().fill(bytes);
    }
}
