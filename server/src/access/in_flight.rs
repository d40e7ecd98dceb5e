//! Bytes of requests and Hellos that are not whole yet: how many are held, and for whom.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use roost_shared::Code;
use roost_shared::limits::{HTTP_CHAIN_MAX, SMALL_BODY_MAX};

use super::Asker;

/// The smallest share of one asker: with less, the longest body would not come in.
const EACH_MIN: usize = 12 * 1024 * 1024;

const _: () = assert!(large(EACH_MIN) >= HTTP_CHAIN_MAX);

/// Budgets of unfinished bytes: one for askers without a token, one for bearers of one.
#[derive(Clone)]
pub struct InFlight {
    /// The budget of askers without a token.
    pub unknown: Budget,
    /// The budget of bearers of a token.
    pub known: Budget,
}

impl InFlight {
    /// Budgets of `all` bytes each, and of `each` bytes for one address or one device in them.
    pub fn new(all: usize, each: usize) -> Self {
        Self { unknown: Budget::new(all, each), known: Budget::new(all, each) }
    }

    /// The budgets have room for the longest body.
    pub const fn is_enough(all: usize, each: usize) -> bool {
        all >= each && each >= EACH_MIN
    }

    /// A charge of no bytes yet, to an asker, for a body or Hello that was announced with a length.
    pub fn charge(&self, asker: Asker, announced: usize) -> Charge {
        let budget = match asker {
            Asker::Address(_) => &self.unknown,
            Asker::Bearer(..) => &self.known,
        };
        Charge { budget: budget.clone(), asker, announced, bytes: 0 }
    }
}

/// Bytes that may be held at once.
#[derive(Clone)]
pub struct Budget {
    all: usize,
    each: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    bytes: usize,
    most: usize,
    of: HashMap<Asker, usize>,
}

impl Budget {
    /// A budget of `all` bytes, and of no more than `each` of them for one asker.
    pub fn new(all: usize, each: usize) -> Self {
        Self { all, each, held: Arc::default() }
    }

    /// The number of bytes held now.
    pub fn held(&self) -> usize {
        self.held.lock().bytes
    }

    /// The largest number of bytes held so far.
    pub fn most(&self) -> usize {
        self.held.lock().most
    }
}

/// The part of a budget that large bodies may take: small ones get through beside them.
const fn large(budget: usize) -> usize {
    budget - budget / 4
}

/// Bytes that are held for one request or socket; dropped, they are given back.
pub struct Charge {
    budget: Budget,
    asker: Asker,
    announced: usize,
    bytes: usize,
}

impl Charge {
    /// Adds bytes that have arrived.
    ///
    /// # Errors
    /// The asker's share or the whole budget has no room; nothing was added.
    pub fn add(&mut self, bytes: usize) -> Result<(), Code> {
        let is_small = self.announced.max(self.bytes + bytes) <= SMALL_BODY_MAX;
        let room = |budget| if is_small { budget } else { large(budget) };
        let mut held = self.budget.held.lock();
        let of_asker = held.of.get(&self.asker).copied().unwrap_or(0) + bytes;
        if of_asker > room(self.budget.each) {
            return Err(Code::TooMany);
        }
        let all = held.bytes + bytes;
        if all > room(self.budget.all) {
            return Err(Code::RetryLater);
        }
        held.of.insert(self.asker, of_asker);
        held.bytes = all;
        held.most = held.most.max(all);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut held = self.budget.held.lock();
        held.bytes -= self.bytes;
        if let Some(of_asker) = held.of.get_mut(&self.asker) {
            *of_asker -= self.bytes;
            if *of_asker == 0 {
                held.of.remove(&self.asker);
            }
        }
    }
}
