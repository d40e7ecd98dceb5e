//! Everything together: simulated worlds, and real processes.

mod sim;
