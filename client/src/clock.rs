//! The only reader of the machine's time and randomness, so that a simulator can give both.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Time and randomness.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970. It may jump: it dates the history, and nothing that must be right depends on it.
    fn now_ms(&self) -> u64;

    /// Milliseconds since some moment; never falls, never jumps. Every timer runs by it.
    fn monotonic_ms(&self) -> u64;

    /// Fills `bytes` with randomness fit for keys.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Clock {
    /// A Loro peer id; the one value Loro refuses is avoided.
    pub fn random_peer(&self) -> u64 {
        u64::from_be_bytes(self.random()) >> 1
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

/// The machine's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one reader of OS time")]
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one reader of OS time")]
    fn monotonic_ms(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        u64::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    #[expect(clippy::expect_used, reason = "without randomness there are no keys: nothing sensible can go on")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives randomness");
    }
}
