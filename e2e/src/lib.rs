//! Everything together: [`sim`], the seeded simulator, and [`live`], real processes with faults between them, for which
//! the [`typist`] types.
//!
//! Planted bugs, lying stores and faults live here, as wrappers, and never as switches in shipped code.

#![allow(missing_docs, reason = "not a public face: the modules and types say what they are")]

pub mod live;
pub mod sim;
pub mod typist;
