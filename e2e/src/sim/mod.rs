//! The simulator: one seed in, one journal out.
//!
//! N devices (the real machine and replica over real SQLite in memory) and the real session and store rules over the
//! memory store, one heap of events, one clock. Chaos first: a network that delays, resets and partitions, crashes
//! between any two steps, clocks that jump, joins and epochs racing appends, in some seeds a server restored from a
//! backup. Safety is checked all along. Then the world heals, and everything must come to rest: liveness.

mod app;
mod chaos;
mod clock;
mod device;
mod judge;
mod lies;
mod membership;
mod network;
mod plant;
pub mod random;
mod rest;
mod server;
mod transport;
mod world;

use self::judge::QUOTA_BYTES;
pub use self::plant::Plant;
use self::world::World;

/// What became of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// What was seen to be wrong; empty when all is well.
    pub verdicts: Vec<String>,
    /// A hash over every line of the journal: equal for equal seeds.
    pub journal: u64,
    /// The last lines of it.
    pub last_lines: Vec<String>,
    /// How many events it took.
    pub events: u64,
    /// How many entries the log has at the end.
    pub entries: u64,
    /// What the seed went through.
    pub reached: Reached,
}

/// How often the rarer things happened: a simulation that never gets there proves nothing about them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reached {
    /// Logs that were given a new id.
    pub replaced: u64,
    /// Devices that met another branch of the roster.
    pub forks: u64,
    /// Devices that took their place in the roster once more.
    pub rejoins: u64,
    /// Devices that the owner saw sent away.
    pub revoked: u64,
    /// Device files that were copied, or brought back from a backup.
    pub cloned: u64,
    /// Lies of the server that reached a device.
    pub lies: u64,
    /// Devices that will have nothing more of it.
    pub stopped: u64,
    /// Apps that were updated.
    pub updated: u64,
    /// Processes that died in a step of a migration.
    pub died_in_step: u64,
    /// Devices that met a document of a newer app.
    pub behind: u64,
    /// Devices that met edits that missed a rewrite.
    pub late: u64,
    /// Devices that saw at the end what another looks at.
    pub looks: u64,
    /// Tokens that ran out on an open socket, or before it opened.
    pub expired: u64,
    /// Appends for which a full workspace had no room.
    pub held: u64,
}

impl std::ops::AddAssign for Reached {
    fn add_assign(&mut self, other: Self) {
        self.replaced += other.replaced;
        self.forks += other.forks;
        self.rejoins += other.rejoins;
        self.revoked += other.revoked;
        self.cloned += other.cloned;
        self.lies += other.lies;
        self.stopped += other.stopped;
        self.updated += other.updated;
        self.died_in_step += other.died_in_step;
        self.behind += other.behind;
        self.late += other.late;
        self.looks += other.looks;
        self.expired += other.expired;
        self.held += other.held;
    }
}

/// Runs one seed with a server that lies once, or to one device again and again.
pub fn run_lied(seed: u64) -> Outcome {
    let mut world = World::new(seed, None);
    world.plan_lie();
    world.chaos();
    world.heal();
    world.finish()
}

/// Runs one seed in which the server's address leads to another, empty server, for good or for a while.
pub fn run_moved(seed: u64) -> Outcome {
    let mut world = World::new(seed, None);
    world.plan_move();
    world.chaos();
    world.heal();
    world.finish()
}

/// Runs one seed with a workspace that is full from some time on, until there is room again.
pub fn run_full(seed: u64) -> Outcome {
    let mut world = World::new(seed, None);
    world.plan_full();
    world.chaos();
    world.store.limit(QUOTA_BYTES);
    world.heal();
    world.finish()
}

/// Runs one seed with an app of four versions, on devices that are updated one by one.
pub fn run_versions(seed: u64, plant: Option<Plant>) -> Outcome {
    let mut world = World::with_app(seed, plant);
    world.plan_updates();
    world.chaos();
    world.update_all();
    world.heal();
    world.finish()
}

/// Runs one seed.
pub fn run(seed: u64, plant: Option<Plant>) -> Outcome {
    let mut world = World::new(seed, plant);
    world.chaos();
    world.heal();
    world.finish()
}
