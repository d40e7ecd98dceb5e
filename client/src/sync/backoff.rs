//! Full-jitter backoff: wait a random time below a ceiling that doubles, 0.5 s at first and 30 s at the most.
//!
//! Marc Brooker, "Exponential Backoff And Jitter", 2015. The randomness is a seeded SplitMix64, so that the machine
//! stays deterministic.

use roost_shared::limits::{BACKOFF_MAX_MS, BACKOFF_MIN_MS};

#[derive(Debug, Clone)]
pub(super) struct Backoff {
    state: u64,
    tries: u32,
}

impl Backoff {
    pub(super) const fn new(seed: u64) -> Self {
        Self { state: seed, tries: 0 }
    }

    /// How long to wait before the next try, never less than `at_least_ms`.
    pub(super) fn next_ms(&mut self, at_least_ms: u64) -> u64 {
        let ceiling = BACKOFF_MIN_MS.saturating_mul(1 << self.tries.min(16)).min(BACKOFF_MAX_MS);
        self.tries += 1;
        at_least_ms.min(BACKOFF_MAX_MS) + self.random() % (ceiling + 1)
    }

    /// The other side answered sensibly: start over.
    pub(super) const fn reset(&mut self) {
        self.tries = 0;
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
