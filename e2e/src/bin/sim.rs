//! Runs seeds: `sim SEED` one of them with its last lines, `sim --lied SEED` with a server that lies, `sim --versions SEED` with an app that is updated, `sim --full SEED` with a workspace that is full, `sim --moved SEED` with a server that another, empty one replaces, `sim --from A --count N` many, `sim` all night.

use std::io::Write as _;
use std::process::ExitCode;

use roost_e2e::sim::Outcome;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &String| text.parse::<u64>().ok();
    let value = |flag: &str| {
        arguments.iter().position(|argument| argument == flag).and_then(|at| number(arguments.get(at + 1)?))
    };
    if let Some(seed) = arguments.first().and_then(number) {
        return report(seed, &roost_e2e::sim::run(seed, None), true);
    }
    if let Some(seed) = value("--lied") {
        return report(seed, &roost_e2e::sim::run_lied(seed), true);
    }
    if let Some(seed) = value("--versions") {
        return report(seed, &roost_e2e::sim::run_versions(seed, None), true);
    }
    if let Some(seed) = value("--full") {
        return report(seed, &roost_e2e::sim::run_full(seed), true);
    }
    if let Some(seed) = value("--moved") {
        return report(seed, &roost_e2e::sim::run_moved(seed), true);
    }
    let from = value("--from").unwrap_or(0);
    let count = value("--count").unwrap_or(u64::MAX - from);
    for seed in from..from + count {
        if report(seed, &roost_e2e::sim::run(seed, None), false) != ExitCode::SUCCESS {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn report(seed: u64, outcome: &Outcome, is_verbose: bool) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let fine = outcome.verdicts.is_empty();
    if is_verbose || !fine {
        for line in &outcome.last_lines {
            let _ = writeln!(out, "{line}");
        }
        for verdict in &outcome.verdicts {
            let _ = writeln!(out, "WRONG: {verdict}");
        }
    }
    if is_verbose || !fine || seed.is_multiple_of(100) {
        let (events, entries, journal) = (outcome.events, outcome.entries, outcome.journal);
        let _ = writeln!(out, "seed {seed}: {events} events, {entries} entries, journal {journal:016x}");
    }
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
