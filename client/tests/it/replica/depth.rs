//! The deepest document that is taken is read on the stack of an ordinary thread. Who overflows it takes the process down,
//! and so a process of its own tries.

use std::env;
use std::process::Command;
use std::thread;

use roost::loro::{ContainerID, ContainerType, LoroMap, LoroValue};
use roost::replica::EditError;
use roost_shared::limits::NESTING_MAX;
use roost_shared::roster::Scope;

use super::bench::Bench;
use crate::machine::world::{NOTES, Team, TestLog};

/// Set for the process that tries.
const TRIES: &str = "ROOST_TEST_DEPTH";
/// What a thread has that asks for nothing else.
const STACK_BYTES: usize = 2 * 1024 * 1024;

fn survives(test: &str) {
    let this = env::current_exe().unwrap();
    let tried = Command::new(this).args(["--exact", test, "--nocapture"]).env(TRIES, "1").output().unwrap();
    assert!(tried.status.success(), "{}\n{}", tried.status, String::from_utf8_lossy(&tried.stderr));
    assert!(String::from_utf8_lossy(&tried.stdout).contains("1 passed"), "there is a test of this name");
}

#[test]
fn tried_in_a_process_of_its_own() {
    if env::var_os(TRIES).is_some() {
        thread::Builder::new().stack_size(STACK_BYTES).spawn(walk_the_deepest).unwrap().join().unwrap();
    }
}

/// Containers as deep as may be, with a counter and a value in the deepest, which is as deep as may be; all that walks a
/// document does so, here and on another device.
fn walk_the_deepest() {
    let team = Team::of(&[Scope::ReadWrite]);
    let mut log = TestLog::of(&team, 1);
    let (mut one, mut other) = (Bench::new(&team, 0, log.id), Bench::new(&team, 1, log.id));
    for value_levels in [1, NESTING_MAX] {
        let edited = one.replica.edit(NOTES, |loro| {
            let start = loro.get_map(format!("map {value_levels}").as_str());
            let end = (2..NESTING_MAX).try_fold(start, |map, _| map.insert_container("deeper", LoroMap::new()))?;
            end.ensure_mergeable_counter("counter")?.increment(0.5)?;
            end.insert("end", (0..value_levels).fold(LoroValue::Null, |within, _| LoroValue::from(vec![within])))
        });
        assert!(matches!(edited, Ok(()) | Err(EditError::TooDeep)), "{edited:?}");
    }
    let mut one = one.restart();
    for _ in 0..2 {
        one.sync(&mut log);
        other.sync(&mut log);
    }
    assert_eq!(one.replica.digest(NOTES).unwrap(), other.replica.digest(NOTES).unwrap());
    assert_eq!(other.replica.store().quarantined().unwrap(), 0);
    let id = ContainerID::new_root("map 1", ContainerType::Map);
    drop(other.replica.value_of(NOTES, &id).unwrap());
}

#[test]
fn the_deepest_document_overflows_no_stack() {
    survives("replica::depth::tried_in_a_process_of_its_own");
}
