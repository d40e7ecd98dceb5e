//! The digest: equal where the documents are equal.

use roost_shared::roster::Scope;

use super::bench::Bench;
use crate::machine::world::{NOTES, TODOS, Team, TestLog};

fn pair() -> (TestLog, Bench, Bench, Bench) {
    let team = Team::of(&[Scope::ReadWrite, Scope::ReadWrite]);
    let log = TestLog::of(&team, 1);
    let bench = |n| Bench::new(&team, n, log.id);
    let (one, two, three) = (bench(0), bench(1), bench(2));
    (log, one, two, three)
}

#[test]
fn equal_documents_have_equal_digests_in_whatever_order_their_entries_came() {
    let (mut log, mut one, mut two, mut three) = pair();
    for round in 0..4 {
        one.write(NOTES, &format!("one {round} "));
        two.write(NOTES, &format!("two {round} "));
        two.write(TODOS, "a todo ");
        if round % 2 == 0 {
            one.sync(&mut log);
            two.sync(&mut log);
        } else {
            two.sync(&mut log);
            one = one.restart();
            one.sync(&mut log);
        }
    }
    two.sync(&mut log);
    three.sync(&mut log); // all at once
    for document in [NOTES, TODOS] {
        let digest = one.replica.digest(document).unwrap();
        assert_eq!(two.replica.digest(document).unwrap(), digest);
        assert_eq!(three.replica.digest(document).unwrap(), digest);
        assert_eq!(three.text(document), one.text(document));
    }
    assert_ne!(one.replica.digest(NOTES).unwrap().0, one.replica.digest(TODOS).unwrap().0);
    for bench in [&one, &two, &three] {
        assert!(bench.replica.view().synced, "{:?}", bench.replica.view());
        assert_eq!(bench.replica.store().quarantined().unwrap(), 0);
    }
}

#[test]
fn an_edit_that_is_not_there_yet_makes_another_digest() {
    let (mut log, mut one, mut two, _) = pair();
    one.write(NOTES, "both");
    one.sync(&mut log);
    two.sync(&mut log);
    one.write(NOTES, " and more");
    assert_ne!(one.replica.digest(NOTES).unwrap(), two.replica.digest(NOTES).unwrap());
    one.sync(&mut log);
    two.sync(&mut log);
    assert_eq!(one.replica.digest(NOTES).unwrap(), two.replica.digest(NOTES).unwrap());
}

#[test]
fn a_root_that_was_only_looked_at_does_not_count() {
    let (mut log, mut one, mut two, _) = pair();
    one.write(NOTES, "text");
    one.sync(&mut log);
    two.sync(&mut log);
    let before = one.replica.digest(NOTES).unwrap();
    one.replica
        .read(NOTES, |loro| {
            loro.get_map("map");
            loro.get_list("list");
            loro.get_text("another text");
            loro.get_tree("tree");
            loro.get_movable_list("movable list");
        })
        .unwrap();
    assert_eq!(one.replica.digest(NOTES).unwrap(), before);
    assert_eq!(two.replica.digest(NOTES).unwrap(), before);
}
