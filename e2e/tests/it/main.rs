//! Everything together: simulated worlds, and real processes.

mod commands;
mod kills;
mod secrets;
mod sim;
