//! One workspace on one device, over a store in memory and a log kept by the test.

mod bench;
mod beside;
mod census;
mod contain;
mod dates;
mod depth;
mod derive;
mod digest;
mod documents;
mod history;
mod merge;
mod orders;
mod presence;
mod rewrite;
mod sizes;
mod strays;
mod transactions;
mod turns;
mod vectors;
mod work;
mod writing;
