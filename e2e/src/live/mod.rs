//! Real processes over real sockets: the `roost` command as scripts run it, and a cable that can be cut and counts.

pub mod cable;
pub mod damage;
pub mod log;
pub mod process;
pub mod speaker;
pub mod trace;
