//! Counters: what they count is a function of the operations, through undo, redo and restarts, and what is derived from
//! them is the same on every device.

use roost::json::{Value, json};
use roost::loro::{ContainerID, ContainerType, LoroDoc, LoroResult};
use roost::replica::EditError;
use roost::schema::{Derive, Schema};
use roost_shared::DocumentId;
use roost_shared::roster::Scope;

use super::bench::Bench;
use crate::machine::world::{NOTES, Team, TestLog};

fn world() -> (TestLog, Bench, Bench, Bench) {
    let team = Team::of(&[Scope::ReadWrite, Scope::ReadWrite]);
    let log = TestLog::of(&team, 1);
    let bench = |n| Bench::new(&team, n, log.id);
    let (one, two, three) = (bench(0), bench(1), bench(2));
    (log, one, two, three)
}

fn count(bench: &mut Bench, by: f64) -> Result<(), EditError> {
    let counted = bench.replica.edit(NOTES, |loro| loro.get_counter("counter").increment(by));
    bench.clock.pass(5_000);
    counted
}

fn counted(bench: &mut Bench) -> f64 {
    let id = ContainerID::new_root("counter", ContainerType::Counter);
    bench.replica.value_of(NOTES, &id).unwrap().unwrap().into_double().unwrap()
}

#[test]
fn a_counter_counts_through_undo_redo_and_restarts() {
    let (mut log, mut one, mut two, _) = world();
    for by in [1.0, 20.0, 300.0] {
        count(&mut one, by).unwrap();
    }
    one.sync(&mut log);
    two.sync(&mut log);
    count(&mut two, 4_000.0).unwrap();
    two.sync(&mut log);
    one.sync(&mut log);
    for left in [4_021.0, 4_001.0, 4_000.0] {
        assert!(one.replica.undo(NOTES).unwrap());
        assert_eq!(counted(&mut one), left);
    }
    let mut one = one.restart();
    for again in [4_001.0, 4_021.0] {
        assert!(one.replica.redo(NOTES).unwrap());
        assert_eq!(counted(&mut one), again);
    }
    one.sync(&mut log);
    two.sync(&mut log);
    assert_eq!(counted(&mut two), 4_021.0);
    assert_eq!(one.replica.digest(NOTES).unwrap(), two.replica.digest(NOTES).unwrap());
    assert!(two.replica.undo(NOTES).unwrap());
    assert_eq!(counted(&mut two), 21.0);
}

/// Sums of doubles depend on their order, and here it differs.
#[test]
fn fractions_add_up_the_same_in_whatever_order_they_came() {
    let (mut log, mut one, mut two, mut three) = world();
    for round in 0..6 {
        for step in 0..5 {
            count(&mut one, 0.1 + f64::from(round) * 0.07).unwrap();
            count(&mut two, 1e9 / 3.0 - f64::from(step) * 0.013).unwrap();
        }
        let (first, second) = if round % 2 == 0 { (&mut one, &mut two) } else { (&mut two, &mut one) };
        first.sync(&mut log);
        second.sync(&mut log);
    }
    one.sync(&mut log);
    two.sync(&mut log);
    three.sync(&mut log);
    let wanted = counted(&mut one).to_bits();
    assert_eq!(counted(&mut two).to_bits(), wanted);
    assert_eq!(counted(&mut three).to_bits(), wanted);
    assert_eq!(counted(&mut one.restart()).to_bits(), wanted);
    assert_eq!(two.replica.digest(NOTES).unwrap(), three.replica.digest(NOTES).unwrap());
}

#[test]
fn whole_numbers_are_exact_up_to_the_limit_and_refused_beyond_it() {
    const LIMIT: f64 = 9_007_199_254_740_992.0; // 2^53
    let (_, mut one, _, _) = world();
    count(&mut one, LIMIT - 1.0).unwrap();
    count(&mut one, 1.0).unwrap();
    assert_eq!(counted(&mut one), LIMIT);
    // A step that is lost in rounding is one that nobody would ever see.
    for by in [1.0, 2.0, LIMIT, f64::MAX, f64::INFINITY, f64::NAN] {
        let refused = count(&mut one, by);
        assert!(matches!(refused, Err(EditError::Uncountable)), "{by}: {refused:?}");
        assert_eq!(counted(&mut one), LIMIT, "{by}");
    }
    count(&mut one, -LIMIT).unwrap();
    assert_eq!(counted(&mut one), 0.0);
    count(&mut one, -LIMIT).unwrap();
    assert!(matches!(count(&mut one, -1.0), Err(EditError::Uncountable)));
    let mut one = one.restart();
    assert_eq!(counted(&mut one), -LIMIT);
}

#[test]
fn minus_zero_and_a_counter_that_nobody_touched_are_nothing() {
    let (_, mut one, _, _) = world();
    one.write(NOTES, "words");
    let untouched = one.replica.digest(NOTES).unwrap();
    assert_eq!(counted(&mut one).to_bits(), 0.0_f64.to_bits());
    assert_eq!(one.replica.digest(NOTES).unwrap(), untouched, "to look at one counts nothing");
    count(&mut one, -0.0).unwrap();
    assert_eq!(counted(&mut one).to_bits(), 0.0_f64.to_bits());
    count(&mut one, 5.0).unwrap();
    count(&mut one, -5.0).unwrap();
    assert_eq!(counted(&mut one).to_bits(), 0.0_f64.to_bits());
}

fn schema() -> Schema {
    let taste = |meal: &Value| json!({ "taste": format!("{:?}", meal["votes"].as_f64().unwrap_or(-1.0)) });
    Schema::new().version(2, |version| version.derive("diary", Derive::each("meals", ["votes"], ["taste"], taste)))
}

fn diary(bench: &mut Bench) -> DocumentId {
    bench.replica.named("diary").unwrap()
}

fn vote(loro: &LoroDoc, by: f64) -> LoroResult<()> {
    loro.get_map("meals").ensure_mergeable_map("soup")?.ensure_mergeable_counter("votes")?.increment(by)
}

/// What a record holds: what it counts, and what is derived from that.
fn soup(bench: &mut Bench) -> (Value, Value) {
    let diary = diary(bench);
    let meals = ContainerID::new_root("meals", ContainerType::Map);
    let soup = Value::from(bench.replica.value_of(diary, &meals).unwrap().unwrap())["soup"].clone();
    (soup["votes"].clone(), soup["~derived:taste"]["value"].clone())
}

#[test]
fn what_is_derived_from_a_counter_is_the_same_on_every_device() {
    let (mut log, one, two, three) = world();
    let [mut one, mut two, mut three] = [one, two, three].map(|bench| bench.restart_with(schema()));
    for (round, step) in [0.1, 0.2, 0.7, 1e9 / 3.0].into_iter().enumerate() {
        for (bench, by) in [(&mut one, step), (&mut two, -step / 3.0)] {
            let diary = diary(bench);
            bench.replica.edit(diary, |loro| vote(loro, by)).unwrap();
            bench.replica.edit(diary, |loro| vote(loro, 0.1)).unwrap();
        }
        let (first, second) = if round % 2 == 0 { (&mut one, &mut two) } else { (&mut two, &mut one) };
        first.sync(&mut log);
        second.sync(&mut log);
    }
    for _ in 0..3 {
        for bench in [&mut one, &mut two, &mut three] {
            bench.sync(&mut log);
        }
    }
    let (votes, taste) = soup(&mut one);
    assert_eq!(taste, json!(format!("{:?}", votes.as_f64().unwrap())), "derived from what is counted");
    let diary = diary(&mut one);
    let digest = one.replica.digest(diary).unwrap();
    for bench in [&mut two, &mut three] {
        assert_eq!(soup(bench), (votes.clone(), taste.clone()));
        assert_eq!(bench.replica.digest(diary).unwrap(), digest);
        assert!(bench.replica.view().synced);
    }
    let mut one = one.restart_with(schema());
    assert_eq!(soup(&mut one), (votes, taste));
}
