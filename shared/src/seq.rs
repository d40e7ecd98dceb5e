//! Places in the log.

use std::fmt;
use std::num::NonZeroU64;

/// The number of an entry: 1, 2, 3 … without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(NonZeroU64);

/// How many entries of the log a reader has taken in: 0 before the first, n after entry n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Cursor(pub u64);

impl Seq {
    /// None for 0, which numbers no entry.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// Where a reader stands after this entry.
    pub const fn cursor(self) -> Cursor {
        Cursor(self.0.get())
    }
}

impl Cursor {
    /// Before the first entry.
    pub const START: Self = Self(0);

    /// The number of the entry that comes next.
    pub const fn next(self) -> Seq {
        // Cursor n is n entries: n + 1 is never zero, and u64::MAX entries do not exist.
        match Seq::new(self.0.saturating_add(1)) {
            Some(seq) => seq,
            None => unreachable!(),
        }
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
