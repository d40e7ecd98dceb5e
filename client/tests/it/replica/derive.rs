//! Fields derived from older fields: the same bytes on every device, again after late edits, and never over an edit.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use roost::DocumentId;
use roost::json::{Value, json};
use roost::loro::LoroMap;
use roost::replica::{OpenError, Replica};
use roost::schema::{Derive, Fault, Progress, Schema, SchemaError, Version, View};
use roost::sync::Notice;
use roost_shared::roster::Scope;

use super::bench::Bench;
use crate::machine::world::{Team, TestLog};

fn minutes(meal: &Value) -> Value {
    json!({ "minutes": meal["hours"].as_i64().unwrap_or(0) * 60 })
}

fn with(derive: Derive) -> Schema {
    Schema::new().version(2, |version: Version| version.derive("diary", derive))
}

fn second() -> Schema {
    with(Derive::each("meals", ["hours"], ["minutes"], minutes))
}

fn diary(bench: &mut Bench) -> DocumentId {
    bench.replica.named("diary").unwrap()
}

fn set(bench: &mut Bench, meal: &str, field: &str, value: i64) {
    let diary = diary(bench);
    let edited =
        bench.replica.edit(diary, |loro| loro.get_map("meals").ensure_mergeable_map(meal)?.insert(field, value));
    edited.unwrap();
}

fn record(loro: &roost::loro::LoroDoc, meal: &str) -> LoroMap {
    loro.get_map("meals").get(meal).unwrap().into_container().unwrap().into_map().unwrap()
}

/// What stands in the register of a derived field.
fn derived(bench: &mut Bench, meal: &str, field: &str) -> Option<i64> {
    let diary = diary(bench);
    let register = bench.replica.read(diary, |loro| record(loro, meal).get(&format!("~derived:{field}")));
    let value = register.unwrap()?.get_deep_value().into_map().unwrap();
    value.get("value").and_then(|value| value.as_i64().copied())
}

/// Two devices of one workspace, at version 1, that both know of a meal of two hours.
fn two() -> (Team, TestLog, Bench, Bench) {
    let team = Team::of(&[Scope::ReadWrite]);
    let mut log = TestLog::of(&team, 1);
    let (one, other) = (Bench::new(&team, 0, log.id), Bench::new(&team, 1, log.id));
    let (mut one, mut other) = (one.restart_with(Schema::new()), other.restart_with(Schema::new()));
    set(&mut one, "soup", "hours", 2);
    one.sync(&mut log);
    other.sync(&mut log);
    one.sync(&mut log);
    (team, log, one, other)
}

fn digest(bench: &mut Bench) -> (roost::Hash, Vec<(u64, i32)>) {
    let diary = diary(bench);
    bench.replica.digest(diary).unwrap()
}

#[test]
fn what_is_derived_is_there_before_anyone_looks() {
    let (_, _, one, _) = two();
    let mut one = one.restart_with(second());
    assert_eq!(derived(&mut one, "soup", "minutes"), Some(120));
    let once = digest(&mut one);
    for _ in 0..3 {
        one = one.restart_with(second());
        assert_eq!(digest(&mut one), once, "a second run writes nothing");
    }
}

#[test]
fn two_devices_on_one_base_derive_the_same_bytes() {
    let (_, mut log, one, other) = two();
    let (mut one, mut other) = (one.restart_with(second()), other.restart_with(second()));
    assert_eq!(digest(&mut one), digest(&mut other), "before they met");
    one.sync(&mut log);
    other.sync(&mut log);
    one.sync(&mut log);
    assert_eq!(digest(&mut one), digest(&mut other));
    assert_eq!(derived(&mut other, "soup", "minutes"), Some(120));
}

#[test]
fn on_different_bases_they_converge() {
    let (_, mut log, mut one, mut other) = two();
    set(&mut one, "soup", "hours", 3);
    set(&mut other, "bread", "hours", 5);
    let (mut one, mut other) = (one.restart_with(second()), other.restart_with(second()));
    one.sync(&mut log);
    other.sync(&mut log);
    one.sync(&mut log);
    other.sync(&mut log);
    assert_eq!(digest(&mut one), digest(&mut other));
    for bench in [&mut one, &mut other] {
        assert_eq!(derived(bench, "soup", "minutes"), Some(180));
        assert_eq!(derived(bench, "bread", "minutes"), Some(300));
    }
}

#[test]
fn a_late_edit_by_an_older_app_is_derived_from_again() {
    let (_, mut log, one, mut other) = two();
    let mut one = one.restart_with(second());
    one.sync(&mut log);
    set(&mut other, "soup", "hours", 4);
    set(&mut other, "tea", "hours", 1);
    other.sync(&mut log);
    one.sync(&mut log);
    assert_eq!((derived(&mut one, "soup", "minutes"), derived(&mut one, "tea", "minutes")), (Some(240), Some(60)));
    other.sync(&mut log);
    assert_eq!(digest(&mut one), digest(&mut other));
    assert!(one.replica.view().synced && other.replica.view().synced);
}

#[test]
fn an_edit_of_the_field_itself_stays() {
    let (_, mut log, one, mut other) = two();
    let mut one = one.restart_with(second());
    set(&mut one, "soup", "minutes", 95);
    set(&mut other, "soup", "hours", 4); // knows nothing of it, and comes later
    one.sync(&mut log);
    other.sync(&mut log);
    one.sync(&mut log);
    let diary = diary(&mut one);
    let kept = one.replica.read(diary, |loro| record(loro, "soup").get("minutes").unwrap().get_deep_value()).unwrap();
    assert_eq!(kept.as_i64(), Some(&95));
    assert_eq!(derived(&mut one, "soup", "minutes"), Some(240), "and what it would be is beside it");
}

#[test]
fn a_step_may_build_on_the_one_before_it_and_a_later_one_replaces_it() {
    let (_, mut log, one, other) = two();
    let seconds = |meal: &Value| json!({ "seconds": meal["minutes"].as_i64().unwrap_or(0) * 60 });
    let third =
        second().version(3, |version| version.derive("di*", Derive::each("meals", ["minutes"], ["seconds"], seconds)));
    let mut one = one.restart_with(third.clone());
    assert_eq!(derived(&mut one, "soup", "seconds"), Some(7_200));
    let rounded = |meal: &Value| json!({ "minutes": meal["hours"].as_i64().unwrap_or(0) * 60 + 1 });
    let fourth =
        third.version(4, |version| version.derive("diary", Derive::each("meals", ["hours"], ["minutes"], rounded)));
    let mut one = one.restart_with(fourth);
    assert_eq!(derived(&mut one, "soup", "minutes"), Some(121));
    assert_eq!(derived(&mut one, "soup", "seconds"), Some(7_260));
    one.sync(&mut log);
    let mut other = other.restart_with(second());
    other.sync(&mut log);
    one.sync(&mut log);
    other.sync(&mut log);
    assert_eq!(derived(&mut other, "soup", "minutes"), Some(121), "an older app leaves what a newer one derives");
    assert_eq!(digest(&mut one), digest(&mut other));
}

#[test]
fn a_root_map_may_be_the_one_record() {
    let (_, _, mut one, _) = two();
    let diary = diary(&mut one);
    one.replica.edit(diary, |loro| loro.get_map("settings").insert("grams", 1_500)).unwrap();
    let kilos = |settings: &Value| json!({ "kilos": settings["grams"].as_f64().unwrap_or(0.0) / 1_000.0 });
    let mut one = one.restart_with(with(Derive::map("settings", ["grams"], ["kilos"], kilos)));
    let register =
        one.replica.read(diary, |loro| loro.get_map("settings").get("~derived:kilos").unwrap().get_deep_value());
    assert_eq!(register.unwrap().into_map().unwrap().get("value").unwrap().as_double(), Some(&1.5));
}

#[test]
fn a_reader_derives_nothing() {
    let team = Team::of(&[Scope::Read]);
    let mut log = TestLog::of(&team, 1);
    let (mut one, mut reader) = (Bench::new(&team, 0, log.id), Bench::new(&team, 1, log.id));
    set(&mut one, "soup", "hours", 2);
    one.sync(&mut log);
    reader.sync(&mut log);
    let mut reader = reader.restart_with(second());
    assert_eq!(derived(&mut reader, "soup", "minutes"), None);
    let mut one = one.restart_with(second());
    one.sync(&mut log);
    reader.sync(&mut log);
    assert_eq!(derived(&mut reader, "soup", "minutes"), Some(120), "what writers derive reaches it");
}

fn fails(derive: Derive) -> Fault {
    let (_, _, one, _) = two();
    let (mut one, failed) = one.restart_failing(with(derive));
    assert_eq!(derived(&mut one, "soup", "minutes"), None, "the document is as it was");
    let OpenError::Migration(failed) = failed else { panic!("{failed}") };
    let said = failed.to_string();
    assert!(
        said.starts_with("document diary was not migrated to schema version 2 (derive minutes of meals from hours): "),
        "{said}"
    );
    failed.fault
}

#[test]
fn a_step_that_fails_leaves_the_document_and_says_why() {
    let panicking = fails(Derive::each("meals", ["hours"], ["minutes"], |_| panic!("as an app may")));
    assert!(matches!(panicking, Fault::Panicked), "{panicking}");
    let answering = fails(Derive::each("meals", ["hours"], ["minutes"], |_| json!({ "seconds": 1 })));
    assert!(matches!(answering, Fault::Answer(_)), "{answering}");
    let counted = AtomicU64::new(0);
    let drifting = Derive::each(
        "meals",
        ["hours"],
        ["minutes"],
        move |_| json!({ "minutes": counted.fetch_add(1, Ordering::Relaxed) }),
    );
    let drifting = fails(drifting);
    assert!(matches!(drifting, Fault::NotRepeatable), "{drifting}");
    assert_eq!(drifting.code(), "step_not_repeatable");
}

#[test]
fn steps_that_chase_each_other_are_refused() {
    let (_, _, one, _) = two();
    let more = |from: &'static str, to: &'static str| {
        Derive::each("meals", [from, "hours"], [to], move |meal| json!({ to: meal[from].as_i64().unwrap_or(0) + 1 }))
    };
    let circle = Schema::new()
        .version(2, |version| version.derive("diary", more("one", "other")))
        .version(3, |version| version.derive("diary", more("other", "one")));
    let (_, failed) = one.restart_failing(circle);
    assert!(matches!(&failed, OpenError::Migration(error) if matches!(error.fault, Fault::NotRepeatable)), "{failed}");
}

#[test]
fn a_migration_that_is_given_up_leaves_the_document() {
    let (_, _, one, _) = two();
    let clock: Arc<dyn roost::clock::Clock> = Arc::clone(&one.clock) as _;
    let mut told = Vec::new();
    let mut watch = |progress| {
        let is_last_moment = matches!(progress, Progress::Document { done: 1, .. });
        told.push(progress);
        if is_last_moment { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let failed = Replica::open_watched(one.replica.into_store(), clock, second(), &mut watch).err().unwrap();
    assert!(matches!(&failed, OpenError::Migration(error) if matches!(error.fault, Fault::TimedOut)), "{failed}");
    let progress = |done| Progress::Document { name: "diary".to_owned(), done, of: 1 };
    assert_eq!(told, [progress(0), progress(1)]);
}

#[test]
fn a_schema_that_cannot_work_is_refused_before_anything_is_opened() {
    let field = |source, target| Derive::each("meals", [source], [target], minutes);
    let step =
        |version: u32, derive| Schema::new().version(version, |version: Version| version.derive("diary", derive));
    let refused = |schema: Schema| schema.check().unwrap_err();
    assert!(matches!(refused(step(1, field("hours", "minutes"))), SchemaError::Order(1)));
    assert!(matches!(refused(second().version(2, |version| version)), SchemaError::Order(2)));
    assert!(matches!(refused(step(2, field("hours", "hours"))), SchemaError::DerivesFromItself { version: 2, .. }));
    assert!(matches!(refused(step(2, field("~hours", "minutes"))), SchemaError::Reserved { .. }));
    assert!(matches!(refused(step(2, Derive::each("meals", [], ["minutes"], minutes))), SchemaError::Empty(2)));
    second().check().unwrap();
}

#[test]
fn a_view_reads_records_without_an_operation() {
    let schema = Schema::new()
        .version(2, |version| version.view(View::of("foods").renamed("kcal", "energy").default("unit", "g")))
        .version(3, |version| version.view(View::of("foods").renamed("energy", "calories")));
    let mut record = json!({ "kcal": 52, "name": "apple", "colour": "red" }).as_object().unwrap().clone();
    schema.read("foods", &mut record);
    let read = json!({ "calories": 52, "name": "apple", "colour": "red", "unit": "g" });
    assert_eq!(Value::Object(record.clone()), read, "unknown fields stay");
    assert_eq!(
        (schema.stored("foods", "calories"), schema.stored("foods", "name")),
        ("kcal".to_owned(), "name".to_owned())
    );
    let before = record.clone();
    schema.read("drinks", &mut record);
    assert_eq!(record, before, "a view is of one collection");
}

#[test]
fn what_an_older_app_wrote_into_this_very_file_is_derived_from() {
    let (_, _, one, _) = two();
    let one = one.restart_with(second());
    for older in [Schema::new(), Schema::default(), Schema::raw()] {
        let mut back = one.replica.store().image().map(|image| Bench::of_image(&image, &one, older)).unwrap();
        set(&mut back, "soup", "hours", 7);
        let mut again = back.restart_with(second());
        assert_eq!(derived(&mut again, "soup", "minutes"), Some(420));
    }
}

#[test]
fn what_is_derived_goes_with_its_source() {
    let (_, mut log, one, mut other) = two();
    let mut one = one.restart_with(second());
    let diary = diary(&mut one);
    one.replica.edit(diary, |loro| record(loro, "soup").delete("hours")).unwrap();
    assert_eq!(derived(&mut one, "soup", "minutes"), None);
    set(&mut one, "soup", "hours", 1);
    one.sync(&mut log);
    other.sync(&mut log);
    other.replica.edit(diary, |loro| record(loro, "soup").delete("hours")).unwrap();
    other.sync(&mut log);
    one.sync(&mut log);
    assert_eq!(derived(&mut one, "soup", "minutes"), None);
    let once = digest(&mut one);
    assert_eq!(digest(&mut one.restart_with(second())), once);
}

/// A record that a step cannot take, by an app of before: at runtime and at the next opening the rest goes on.
#[test]
fn one_document_that_cannot_be_migrated_keeps_nobody_from_the_rest() {
    let picky = || {
        with(Derive::each("meals", ["hours"], ["minutes"], |meal| {
            let hours = meal["hours"].as_i64().unwrap_or(0);
            assert!(hours < 24, "a long meal");
            json!({ "minutes": hours * 60 })
        }))
    };
    let (_, mut log, one, mut other) = two();
    let mut one = one.restart_with(picky());
    set(&mut other, "feast", "hours", 72);
    other.sync(&mut log);
    let notices = one.sync(&mut log);
    assert!(
        notices.iter().any(|notice| matches!(notice, Notice::NotMigrated { code: "step_panicked", .. })),
        "{notices:?}"
    );
    let mut one = one.restart_with(picky());
    assert_eq!(derived(&mut one, "soup", "minutes"), Some(120), "it opens, and has what it had");
    let mut mended = one.restart_with(second());
    assert_eq!(derived(&mut mended, "feast", "minutes"), Some(4_320));
}

#[test]
fn two_steps_of_one_version_do_not_make_one_field() {
    let step = |root| Derive::each(root, ["hours"], ["minutes"], minutes);
    let twice = |one, other| {
        Schema::new().version(2, |version: Version| version.derive("diary", step(one)).derive("di*", step(other)))
    };
    assert!(matches!(twice("meals", "meals").check(), Err(SchemaError::DerivesTwice { version: 2, .. })));
    twice("meals", "drinks").check().unwrap();
}
