//! The simulator's own proof: it finds nothing wrong in what ships, finds what was planted, and repeats itself.

use std::time::Instant;

use roost_e2e::sim::{Outcome, Plant, Reached, run, run_full, run_lied, run_moved, run_versions};

/// Fresh seeds each run of the suite goes through; `ROOST_SIM_FROM` moves on to others.
const SEEDS: u64 = 300;
/// Worlds with a server that lies.
const LIES: u64 = 100;
/// Worlds with a workspace that is full for a while.
const FULL: u64 = 50;
/// Worlds whose server is replaced by an empty one.
const MOVED: u64 = 100;
/// Each planted bug must be found within so many.
const SEEDS_TO_FIND: u64 = 300;

fn first_seed() -> u64 {
    std::env::var("ROOST_SIM_FROM").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn judge(outcome: &Outcome, seed: &str) {
    assert!(
        outcome.verdicts.is_empty(),
        "seed {seed}: {:#?}\nthe last lines:\n{}\nsee it again: cargo run -p roost-e2e --bin sim -- {seed}",
        outcome.verdicts,
        outcome.last_lines.join("\n")
    );
}

#[test]
fn nothing_is_lost_and_everything_comes_to_rest() {
    let from = first_seed();
    let started = Instant::now();
    let (mut events, mut entries, mut reached) = (0, 0, Reached::default());
    for seed in from..from + SEEDS {
        let outcome = run(seed, None);
        judge(&outcome, &format!("{seed}"));
        events += outcome.events;
        entries += outcome.entries;
        reached += outcome.reached;
    }
    assert!(reached.looks > 0, "{reached:?}");
    let a_minute = SEEDS as f64 * 60.0 / started.elapsed().as_secs_f64();
    println!(
        "figure: sim {SEEDS} seeds from {from}, {events} events, {entries} entries, {reached:?}, 0 wrong, {a_minute:.0} seeds a minute"
    );
}

#[test]
fn a_lying_server_is_noticed_or_does_no_harm() {
    let from = first_seed();
    let mut reached = Reached::default();
    for seed in from..from + LIES {
        let outcome = run_lied(seed);
        judge(&outcome, &format!("--lied {seed}"));
        reached += outcome.reached;
    }
    println!(
        "figure: {} lies of a server in {LIES} worlds: {} devices stopped syncing, {} logs were given a new id, everyone else came to rest with nothing lost",
        reached.lies, reached.stopped, reached.replaced
    );
    assert!(reached.lies > LIES / 2 && reached.stopped > 0, "{reached:?}");
}

#[test]
fn a_full_workspace_comes_to_rest_when_there_is_room() {
    let from = first_seed();
    let mut reached = Reached::default();
    for seed in from..from + FULL {
        let outcome = run_full(seed);
        judge(&outcome, &format!("--full {seed}"));
        reached += outcome.reached;
    }
    println!(
        "figure: {FULL} worlds with a workspace that is full for a while: {} appends found no room, {} devices were sent away, 0 wrong",
        reached.held, reached.revoked
    );
    assert!(reached.held > FULL && reached.revoked > 0, "{reached:?}");
}

#[test]
fn an_empty_server_is_filled_and_nothing_is_lost() {
    let from = first_seed();
    let mut reached = Reached::default();
    for seed in from..from + MOVED {
        let outcome = run_moved(seed);
        judge(&outcome, &format!("--moved {seed}"));
        reached += outcome.reached;
    }
    println!(
        "figure: {MOVED} worlds with another, empty server: {} logs were adopted anew, {} rosters were forks, {} devices took their place again, 0 wrong",
        reached.replaced, reached.forks, reached.rejoins
    );
    assert!(reached.replaced > MOVED, "{reached:?}");
}

#[test]
fn an_app_of_many_versions_loses_nothing() {
    let from = first_seed();
    let mut reached = Reached::default();
    for seed in from..from + SEEDS {
        let outcome = run_versions(seed, None);
        judge(&outcome, &format!("--versions {seed}"));
        reached += outcome.reached;
    }
    println!(
        "figure: {SEEDS} worlds with an app of four versions: {} updates, {} processes that died in a step, {} devices behind, {} with edits that missed a rewrite, 0 wrong",
        reached.updated, reached.died_in_step, reached.behind, reached.late
    );
    assert!(reached.died_in_step > 0 && reached.behind > 0 && reached.late > 0, "{reached:?}");
}

#[test]
fn one_seed_makes_one_journal() {
    for seed in [3, 17, 185] {
        let (one, other) = (run(seed, None), run(seed, None));
        assert_eq!(one.last_lines, other.last_lines, "seed {seed} went another way");
        assert_eq!((one.journal, one.events), (other.journal, other.events), "seed {seed} went another way");
        let (one, other) = (run_versions(seed, None), run_versions(seed, None));
        assert_eq!(one.last_lines, other.last_lines, "seed --versions {seed} went another way");
        assert_eq!((one.journal, one.events), (other.journal, other.events), "seed --versions {seed} went another way");
    }
}

#[test]
fn planted_bugs_are_found() {
    let is_found = |plant: Plant, run: fn(u64, Option<Plant>) -> Outcome| {
        let found = (0..SEEDS_TO_FIND).find_map(|seed| {
            let verdict = run(seed, Some(plant)).verdicts.into_iter().next();
            verdict.map(|verdict| (seed, verdict))
        });
        let (seed, verdict) = found.unwrap_or_else(|| panic!("{plant:?} was not found in {SEEDS_TO_FIND} seeds"));
        println!("figure: planted {plant:?} found at seed {seed}: {verdict}");
    };
    Plant::ALL.into_iter().for_each(|plant| is_found(plant, run));
    Plant::VERSIONS.into_iter().for_each(|plant| is_found(plant, run_versions));
}
