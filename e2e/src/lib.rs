//! Everything together: [`sim`], the seeded simulator, and [`live`], real processes with faults between them.
//!
//! Planted bugs, lying stores and faults live here, as wrappers, and never as switches in shipped code.

pub mod live;
pub mod sim;
