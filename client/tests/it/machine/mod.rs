//! The sync machine by itself: one event in, one step out.

mod forgeries;
mod inbox;
mod outbox;
mod resync;
mod rig;
mod roster;
mod seen;
mod session;
pub mod world;
