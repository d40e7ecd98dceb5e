//! History: each change has the date of who wrote it, whatever other clocks said; versions are ordered by what follows on
//! what.

use roost::clock::Clock as _;
use roost::loro::Frontiers;
use roost::replica::RevisionRow;
use roost_shared::roster::Scope;

use super::bench::Bench;
use crate::machine::world::{NOTES, Team, TestLog};

/// When the clocks of these tests begin.
const START_S: i64 = 1_700_000_000;
const YEAR_S: i64 = 365 * 86_400;
const MINUTE_MS: u64 = 60_000;

fn two() -> (TestLog, Bench, Bench) {
    let team = Team::of(&[Scope::ReadWrite]);
    let log = TestLog::of(&team, 1);
    let (one, other) = (Bench::new(&team, 0, log.id), Bench::new(&team, 1, log.id));
    (log, one, other)
}

fn meet(log: &mut TestLog, one: &mut Bench, other: &mut Bench) {
    for _ in 0..2 {
        one.sync(log);
        other.sync(log);
    }
    assert_eq!(one.replica.digest(NOTES).unwrap(), other.replica.digest(NOTES).unwrap());
}

fn dates(bench: &mut Bench) -> Vec<i64> {
    bench.replica.history(NOTES).unwrap().iter().map(|row| row.at_s).collect()
}

/// Now, as the history has it, by this device's clock.
fn now_s(bench: &Bench) -> i64 {
    i64::try_from(bench.clock.now_ms() / 1_000).unwrap()
}

fn text_at(bench: &mut Bench, version: &Frontiers) -> String {
    if version.is_empty() {
        return String::new();
    }
    bench.replica.read(NOTES, |loro| loro.fork_at(version).unwrap().get_text("text").to_string()).unwrap()
}

/// No row stands before one that it follows on, on any device.
fn is_in_order(bench: &mut Bench, rows: &[RevisionRow]) {
    let vvs: Vec<_> = bench
        .replica
        .read(NOTES, |loro| rows.iter().map(|row| loro.frontiers_to_vv(&row.version).unwrap()).collect())
        .unwrap();
    for (newer, vv) in vvs.iter().enumerate() {
        assert!(vvs[..newer].iter().all(|before| !vv.includes_vv(before)), "row {newer} follows on one above it");
    }
}

#[test]
fn a_change_has_its_writers_date_whatever_other_clocks_said() {
    let (mut log, mut one, mut other) = two();
    one.clock.set_ahead(56 * YEAR_S * 1_000);
    one.write(NOTES, "in 2079 ");
    let future = now_s(&one);
    meet(&mut log, &mut one, &mut other);
    other.clock.pass(MINUTE_MS);
    other.write(NOTES, "today ");
    let today = now_s(&other);
    meet(&mut log, &mut one, &mut other);
    // A third clock, far behind, and the first set right.
    other.clock.set_ahead(-10 * YEAR_S * 1_000);
    other.write(NOTES, "in 2013 ");
    let past = now_s(&other);
    meet(&mut log, &mut one, &mut other);
    one.clock.set_ahead(0);
    one.clock.pass(10 * MINUTE_MS);
    one.write(NOTES, "and today");
    let last = now_s(&one);
    meet(&mut log, &mut one, &mut other);
    for bench in [&mut one, &mut other] {
        assert_eq!(dates(bench), [last, past, today, future], "newest first");
    }
    let mut one = one.restart();
    assert_eq!(dates(&mut one), [last, past, today, future]);
    let rows = one.replica.history(NOTES).unwrap();
    is_in_order(&mut one, &rows);
    assert_eq!(text_at(&mut one, &rows[2].version), "in 2079 today ");
    let devices: Vec<_> = rows.iter().map(|row| row.device.unwrap()).collect();
    assert_eq!(devices[0], devices[3]);
    assert_eq!(devices[1], devices[2]);
    assert_ne!(devices[0], devices[1]);
}

#[test]
fn the_version_of_a_date_is_all_that_was_written_until_then_and_what_that_follows_on() {
    let (mut log, mut one, mut other) = two();
    one.write(NOTES, "one ");
    meet(&mut log, &mut one, &mut other);
    one.clock.set_ahead(YEAR_S * 1_000);
    one.write(NOTES, "ahead ");
    meet(&mut log, &mut one, &mut other);
    other.clock.pass(10 * MINUTE_MS);
    other.write(NOTES, "two ");
    let second = now_s(&other);
    other.clock.pass(10 * MINUTE_MS);
    other.write(NOTES, "three");
    let third = now_s(&other);
    meet(&mut log, &mut one, &mut other);
    for bench in [&mut one, &mut other] {
        let at = |bench: &mut Bench, at_s| {
            let version = bench.replica.version_at(NOTES, at_s).unwrap();
            text_at(bench, &version)
        };
        assert_eq!(at(bench, START_S - 1), "");
        assert_eq!(at(bench, second - 1), "one ", "what is dated later is not yet there");
        assert_eq!(at(bench, second), "one ahead two ", "but what it follows on is");
        assert_eq!(at(bench, third), "one ahead two three");
        assert_eq!(at(bench, START_S + 2 * YEAR_S), "one ahead two three");
    }
}

/// What is typed within a minute is one change, whose date costs nothing for each letter.
#[test]
fn edits_within_a_minute_share_a_change_also_when_another_clock_is_ahead() {
    for ahead_s in [0, YEAR_S, -YEAR_S] {
        let (mut log, mut one, mut other) = two();
        one.clock.set_ahead(ahead_s * 1_000);
        one.write(NOTES, "first ");
        meet(&mut log, &mut one, &mut other);
        other.clock.pass(10 * MINUTE_MS);
        let start = now_s(&other);
        for letter in ["a", "b", "c", "d", "e"] {
            other.write(NOTES, letter);
            other.clock.pass(10_000);
        }
        let rows = other.replica.history(NOTES).unwrap();
        assert_eq!(rows.len(), 2, "one change of each device, {ahead_s} s ahead");
        assert_eq!((rows[0].at_s, rows[0].operations), (start, 5));
        other.clock.pass(2 * MINUTE_MS);
        let later = now_s(&other);
        other.write(NOTES, "f");
        assert_eq!(dates(&mut other)[..2], [later, start], "after a pause it is another");
        meet(&mut log, &mut one, &mut other);
        assert_eq!(dates(&mut one), dates(&mut other));
        assert_eq!(dates(&mut one).len(), 3);
    }
}

/// A device whose own clock was wrong: each of its edits has the date its clock said.
#[test]
fn a_clock_that_was_set_back_dates_what_comes_after() {
    let (_, mut one, _) = two();
    let mut wanted = Vec::new();
    for ahead_s in [0, 100 * YEAR_S, 0, -YEAR_S, -YEAR_S, 50 * YEAR_S] {
        one.clock.pass(10 * MINUTE_MS);
        one.clock.set_ahead(ahead_s * 1_000);
        one.write(NOTES, "x");
        wanted.insert(0, now_s(&one));
    }
    assert_eq!(dates(&mut one), wanted);
    let mut one = one.restart();
    assert_eq!(dates(&mut one), wanted);
    let rows = one.replica.history(NOTES).unwrap();
    is_in_order(&mut one, &rows);
}

/// A closure that commits by itself, and what an edit derives or imports, change no date.
#[test]
fn a_commit_within_an_edit_has_the_date_of_the_edit() {
    let (mut log, mut one, mut other) = two();
    one.clock.set_ahead(YEAR_S * 1_000);
    one.write(NOTES, "first ");
    meet(&mut log, &mut one, &mut other);
    let edited = other.replica.edit(NOTES, |loro| {
        loro.get_text("text").insert(0, "a")?;
        loro.commit();
        loro.get_text("text").insert(0, "b")?;
        loro.commit();
        loro.get_text("text").insert(0, "c")
    });
    edited.unwrap();
    let rows = other.replica.history(NOTES).unwrap();
    let own = rows.iter().filter(|row| row.device == Some(other.replica.device().device_id()));
    let own: Vec<(i64, usize)> = own.map(|row| (row.at_s, row.operations)).collect();
    assert!(own.iter().all(|(at_s, _)| *at_s == now_s(&other)), "{own:?}");
    assert_eq!(own.iter().map(|(_, operations)| operations).sum::<usize>(), 3);
}
