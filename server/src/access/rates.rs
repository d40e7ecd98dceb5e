//! Rates of requests. Each asker has buckets of its own, and empties nobody else's.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use roost_shared::Code;

use super::Asker;

/// The bucket of requests without a token: for a workspace, a link, a roster.
const STRANGER: Quota = quota(100, 1_000);
/// The bucket of returning devices: sessions and sockets. Apart from the rest, so that who shares an address
/// with a stranger still gets in.
const RETURNING: Quota = quota(100, 1_000);
/// Tries at recovery phrases.
const RECOVERY: Quota = quota(1, 10);
/// The bucket of a token's bearer.
const BEARER: Quota = quota(500, 2_000);
/// Buckets that are full again are forgotten after so many requests: an asker that went costs no memory.
const SWEEP_EVERY: u32 = 4_096;

const fn quota(per_second: u32, at_once: u32) -> Quota {
    match (NonZeroU32::new(per_second), NonZeroU32::new(at_once)) {
        (Some(per_second), Some(at_once)) => Quota::per_second(per_second).allow_burst(at_once),
        _ => panic!("a bucket that never has anything"),
    }
}

type Bucket = DefaultKeyedRateLimiter<Asker>;

/// The buckets of all askers.
pub struct Rates {
    stranger: Bucket,
    returning: Bucket,
    recovery: Bucket,
    bearer: Bucket,
    asked: AtomicU32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            stranger: RateLimiter::keyed(STRANGER),
            returning: RateLimiter::keyed(RETURNING),
            recovery: RateLimiter::keyed(RECOVERY),
            bearer: RateLimiter::keyed(BEARER),
            asked: AtomicU32::new(0),
        }
    }
}

impl Rates {
    /// Takes one request without a token off what `asker` may ask.
    pub fn stranger(&self, asker: Asker) -> Result<(), Code> {
        self.take(&self.stranger, asker)
    }

    /// Takes one request for a session or a socket off what `asker` may ask: with a token, off the token's.
    pub fn returning(&self, asker: Asker) -> Result<(), Code> {
        match asker {
            Asker::Address(_) => self.take(&self.returning, asker),
            Asker::Bearer(..) => self.bearer(asker),
        }
    }

    /// Takes one try at a recovery phrase off what `asker` may try.
    pub fn recovery(&self, asker: Asker) -> Result<(), Code> {
        self.take(&self.recovery, asker)
    }

    /// Takes one request with a token off what its bearer may ask.
    pub fn bearer(&self, asker: Asker) -> Result<(), Code> {
        self.take(&self.bearer, asker)
    }

    /// The number of askers remembered.
    pub fn remembered(&self) -> usize {
        self.stranger.len() + self.returning.len() + self.recovery.len() + self.bearer.len()
    }

    fn take(&self, bucket: &Bucket, asker: Asker) -> Result<(), Code> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            for bucket in [&self.stranger, &self.returning, &self.recovery, &self.bearer] {
                bucket.retain_recent();
                bucket.shrink_to_fit();
            }
        }
        bucket.check_key(&asker).map_err(|_| Code::TooMany)
    }
}
