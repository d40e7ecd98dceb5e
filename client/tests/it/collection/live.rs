//! Live queries and record changes: what a change costs does not depend on how many records there are.

use std::time::Duration;

use roost::json::{Value, json};
use roost::schema::Schema;
use roost::{Change, Diff, Live, Record, RecordId, field};
use tempfile::TempDir;

use super::{Todo, id, reopened, todo, todos};

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Sum {
    value: Value,
}

impl Record for Sum {
    const NAME: &str = "sums";
}

async fn next<T: Record>(live: &mut Live<T>) -> Diff<T> {
    let next = tokio::time::timeout(Duration::from_secs(60), live.next());
    next.await.expect("something changed").unwrap().unwrap()
}

fn ids<T>(rows: &[roost::Row<T>]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

#[tokio::test]
async fn a_live_query_tells_what_comes_changes_and_goes() {
    let (_dir, _workspace, todos) = todos().await;
    todos.insert_as(&id("a"), &todo("bread", Some("3"))).unwrap();
    let mut open = todos.query().filter(field("done").eq(false)).order_by("due").watch().unwrap();
    assert_eq!(ids(&open.rows().unwrap()), ["a"]);
    todos.insert_as(&id("b"), &todo("butter", Some("1"))).unwrap();
    assert_eq!(ids(&next(&mut open).await.added), ["b"]);
    assert_eq!(open.ids().collect::<Vec<_>>(), [id("b"), id("a")]);
    todos.set(&id("b"), "due", "9").unwrap();
    assert_eq!(ids(&next(&mut open).await.changed), ["b"]);
    assert_eq!(open.ids().collect::<Vec<_>>(), [id("a"), id("b")]);
    todos.set(&id("a"), "done", true).unwrap();
    assert_eq!(next(&mut open).await.removed, [id("a")]);
    todos.set(&id("a"), "votes", 3).unwrap(); // no longer of its interest
    todos.delete(&id("b")).unwrap();
    assert_eq!(next(&mut open).await.removed, [id("b")]);
    todos.restore(&id("b")).unwrap();
    assert_eq!(ids(&next(&mut open).await.added), ["b"]);
}

#[tokio::test]
async fn with_a_limit_the_next_in_order_moves_up() {
    let (_dir, _workspace, todos) = todos().await;
    for number in 0..5 {
        todos.insert_as(&id(&format!("{number}")), &todo("x", Some(&format!("{number}")))).unwrap();
    }
    let mut first = todos.query().filter(field("done").eq(false)).order_by("due").limit(2).watch().unwrap();
    todos.set(&id("0"), "done", true).unwrap();
    let diff = next(&mut first).await;
    assert_eq!((diff.removed, ids(&diff.added)), (vec![id("0")], vec!["2"]));
    assert_eq!(first.ids().collect::<Vec<_>>(), [id("1"), id("2")]);
    todos.set(&id("4"), "votes", 1).unwrap(); // beyond the limit
    todos.set(&id("2"), "votes", 1).unwrap();
    assert_eq!(ids(&next(&mut first).await.changed), ["2"]);
}

async fn cost_among(count: usize) -> (u64, u64) {
    let (_dir, workspace, todos) = todos().await;
    workspace
        .batch(|batch| {
            (0..count).try_for_each(|number| {
                batch.insert_as(&todos, &id(&format!("{number:06}")), &todo("x", Some(&format!("{number:06}"))))
            })
        })
        .unwrap();
    let mut all = todos.query().filter(field("done").eq(false)).order_by("due").watch().unwrap();
    let mut some = todos.query().order_by("due").limit(10).watch().unwrap();
    let (mut before_all, mut before_some) = (all.looked_at(), some.looked_at());
    for round in 0..20 {
        let changed = id(&format!("{:06}", round % 10));
        todos.set(&changed, "votes", round + 1).unwrap();
        assert_eq!(ids(&next(&mut all).await.changed), [changed.as_str()]);
        assert_eq!(ids(&next(&mut some).await.changed), [changed.as_str()]);
    }
    (before_all, before_some) = (all.looked_at() - before_all, some.looked_at() - before_some);
    (before_all, before_some)
}

#[tokio::test]
async fn what_a_change_costs_does_not_depend_on_how_many_records_there_are() {
    let few = cost_among(50).await;
    assert_eq!(few, (20, 200), "one record each, or the limit");
    assert_eq!(cost_among(5_000).await, few);
}

#[tokio::test]
async fn records_tell_what_became_of_them() {
    let (_dir, _workspace, todos) = todos().await;
    let mut changes = todos.changes();
    let bread: RecordId = todos.insert(&todo("bread", None)).unwrap();
    todos.set(&bread, "done", true).unwrap();
    todos.delete(&bread).unwrap();
    let Some(Change::Added(row)) = changes.next().await else { panic!("it was added") };
    assert_eq!((row.id, row.record), (bread.clone(), todo("bread", None)));
    let Some(Change::Updated { before, row }) = changes.next().await else { panic!("it was changed") };
    assert_eq!((before, row.record), (Some(todo("bread", None)), Todo { done: true, ..todo("bread", None) }));
    assert_eq!(changes.next().await, Some(Change::Removed(bread)));
}

#[tokio::test]
async fn who_lags_looks_again() {
    let (_dir, _workspace, todos) = todos().await;
    let mut all = todos.query().watch().unwrap();
    let mut changes = todos.changes();
    for number in 0..1_000 {
        todos.insert_as(&id(&format!("{number}")), &todo("x", None)).unwrap();
    }
    assert_eq!(next(&mut all).await.added.len(), 1_000);
    assert_eq!(changes.next().await, Some(Change::Many));
}

#[tokio::test]
async fn a_record_that_no_longer_fits_its_type_leaves_the_answer_until_it_does() {
    let (_dir, workspace, todos) = todos().await;
    todos.insert_as(&id("a"), &todo("bread", None)).unwrap();
    let mut all = todos.query().watch().unwrap();
    let document = workspace.document(Todo::DOCUMENT).unwrap();
    document.edit(|loro| loro.get_map("todos").ensure_mergeable_map("a")?.insert("done", "perhaps")).unwrap();
    assert_eq!(next(&mut all).await.removed, [id("a")]);
    assert_eq!(all.ids().count(), 0);
    todos.set(&id("a"), "done", true).unwrap();
    assert_eq!(ids(&next(&mut all).await.added), ["a"]);
}

#[tokio::test]
async fn integers_are_ordered_exactly() {
    let (_dir, workspace, _todos) = todos().await;
    let sums = workspace.collection::<Sum>().unwrap();
    let largest = 1_i64 << 53;
    let values = [json!(largest + 1), json!(largest), json!(-0.5), json!(0), json!(0.5), json!(1e300), json!(-1e300)];
    for (place, value) in [5, 4, 1, 2, 3, 6, 0].into_iter().zip(values) {
        sums.insert_as(&id(&format!("{place}")), &Sum { value }).unwrap();
    }
    let live = sums.query().order_by("value").watch().unwrap();
    let wanted: Vec<RecordId> = (0..7).map(|place| id(&format!("{place}"))).collect();
    assert_eq!(live.ids().collect::<Vec<_>>(), wanted);
    let asked = live.rows().unwrap();
    assert_eq!(ids(&asked), wanted.iter().map(RecordId::as_str).collect::<Vec<_>>(), "as the store orders them");
}

#[tokio::test]
async fn a_record_that_its_table_refuses_refuses_the_edit_and_a_live_query_goes_on() {
    let (dir, workspace, before) = todos().await;
    for name in ["a", "b"] {
        before.insert_as(&id(name), &todo("bread", None)).unwrap();
    }
    drop(before);
    workspace.close().await;
    refuse_poison(&dir);
    let workspace = reopened(&dir, Schema::default()).await;
    let todos = workspace.collection::<Todo>().unwrap();
    let mut all = todos.query().watch().unwrap();
    todos.set(&id("a"), "done", true).unwrap();
    todos.set(&id("b"), "title", "poison").unwrap_err();
    let document = workspace.document(Todo::DOCUMENT).unwrap();
    let is_poisoned = document.read(|loro| format!("{:?}", loro.get_deep_value()).contains("poison")).unwrap();
    assert!(!is_poisoned && todos.get(&id("b")).unwrap().unwrap().title == "bread", "document and table agree");
    todos.set(&id("b"), "title", "jam").unwrap();
    assert_eq!(todos.get(&id("b")).unwrap().unwrap().title, "jam");
    assert_eq!(ids(&next(&mut all).await.changed), ["a"]);
    assert_eq!(ids(&next(&mut all).await.changed), ["b"]);
}

#[tokio::test]
async fn who_follows_comes_to_an_end_when_the_workspace_is_closed() {
    let (_dir, workspace, todos) = todos().await;
    let (mut all, mut changes) = (todos.query().watch().unwrap(), todos.changes());
    let mut document = workspace.document(Todo::DOCUMENT).unwrap().changes();
    let bread = todos.insert(&todo("bread", None)).unwrap();
    workspace.close().await; // other handles are still there
    assert_eq!(next(&mut all).await.added[0].id, bread, "first what was told before");
    assert!(all.next().await.is_none());
    assert!(matches!(changes.next().await, Some(Change::Added(_))));
    assert_eq!(changes.next().await, None);
    assert!(document.next().await.is_some() && document.next().await.is_none());
}

/// From now on the tables of the workspace take no record with this word in it.
fn refuse_poison(dir: &TempDir) {
    let file = std::fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "db")).unwrap();
    let refuse = "CREATE TRIGGER poison BEFORE UPDATE ON records_1 WHEN NEW.fields LIKE '%poison%' \
                  BEGIN SELECT RAISE(ABORT, 'poison'); END";
    rusqlite::Connection::open(file).unwrap().execute_batch(refuse).unwrap();
}
