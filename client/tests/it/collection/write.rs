//! Writes: one field at a time, all or nothing, through hooks.

use std::sync::{Arc, Mutex};

use roost::json::{Value, json};
use roost::schema::{Derive, Schema, View};
use roost::{Collection, Error, Fields, Merge, Record, Writing, field};

use super::{Project, Todo, id, reopened, todo, todos, workspace};

#[tokio::test]
async fn a_record_is_made_read_changed_and_deleted() {
    let (dir, workspace, todos) = todos().await;
    assert!(todos.is_empty().unwrap());
    let bread = todos.insert(&todo("bread", Some("2026-12-01"))).unwrap();
    assert_eq!(todos.get(&bread).unwrap(), Some(todo("bread", Some("2026-12-01"))));
    todos.update(&bread, |todo| todo.done = true).unwrap();
    todos.set(&bread, "due", "2026-12-24").unwrap();
    let expected = Todo { done: true, ..todo("bread", Some("2026-12-24")) };
    assert_eq!(todos.get(&bread).unwrap(), Some(expected.clone()));
    drop(todos);
    workspace.close().await;

    let workspace = reopened(&dir, Schema::default()).await;
    let todos = workspace.collection::<Todo>().unwrap();
    assert_eq!((todos.get(&bread).unwrap(), todos.count().unwrap()), (Some(expected), 1));
    todos.delete(&bread).unwrap();
    assert_eq!((todos.get(&bread).unwrap(), todos.count().unwrap()), (None, 0));
    for refused in [todos.delete(&bread), todos.update(&bread, |_| ()), todos.set(&bread, "done", true)] {
        assert_eq!(refused.unwrap_err().code(), "record_missing");
    }
    todos.restore(&bread).unwrap();
    assert!(todos.get(&bread).unwrap().unwrap().done, "nothing of it was lost");
    assert_eq!(todos.restore(&bread).unwrap_err().code(), "record_missing", "it is there");
}

#[tokio::test]
async fn only_what_changed_is_written() {
    let (_dir, workspace, todos) = todos().await;
    let bread = todos.insert(&todo("bread", None)).unwrap();
    let document = workspace.document(Todo::DOCUMENT).unwrap();
    let operations = || document.read(|loro| loro.len_ops()).unwrap();
    let before = operations();
    todos.update(&bread, |_| ()).unwrap();
    assert_eq!(operations(), before, "nothing changed");
    todos.update(&bread, |todo| todo.done = true).unwrap();
    assert_eq!(operations(), before + 1);
    todos.update(&bread, |todo| todo.title.push_str(" and butter")).unwrap();
    assert_eq!(operations(), before + 1 + " and butter".len(), "a text grows where it grew");
}

#[tokio::test]
async fn fields_that_the_type_does_not_know_are_kept() {
    let (_dir, workspace, todos) = todos().await;
    let bread = todos.insert(&todo("bread", None)).unwrap();
    let document = workspace.document(Todo::DOCUMENT).unwrap();
    let colour = |loro: &roost::loro::LoroDoc| loro.get_map(Todo::NAME).ensure_mergeable_map(bread.as_str());
    document.edit(|loro| colour(loro)?.insert("colour", "brown")).unwrap();
    todos.update(&bread, |todo| *todo = super::todo("rolls", None)).unwrap();
    let kept = document.read(|loro| colour(loro).unwrap().get("colour").unwrap().get_deep_value()).unwrap();
    assert_eq!(kept.as_string().map(|text| text.to_string()), Some("brown".to_owned()));
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Kind {
    Paper,
    #[serde(other)]
    Unknown,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Loose {
    kind: Kind,
}

impl Record for Loose {
    const NAME: &str = "todos";

    fn fields(fields: Fields) -> Fields {
        Todo::fields(fields)
    }
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Numbers {
    all: Vec<u64>,
}

impl Record for Numbers {
    const NAME: &str = "numbers";
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct OtherTodo {
    title: String,
}

impl Record for OtherTodo {
    const NAME: &str = "todos";
}

#[tokio::test]
async fn what_does_not_fit_the_type_does_not_break_the_rest() {
    let (_dir, workspace, todos) = todos().await;
    let bread = todos.insert(&todo("bread", None)).unwrap();
    let document = workspace.document(Todo::DOCUMENT).unwrap();
    document
        .edit(|loro| {
            let todos = loro.get_map("todos");
            todos.ensure_mergeable_map("odd")?.insert("title", 7)?;
            todos.ensure_mergeable_map("new")?.insert("kind", "Vellum")
        })
        .unwrap();
    let page = todos.query().run().unwrap();
    assert_eq!((page.rows.len(), page.rows[0].id.clone()), (1, bread));
    let odd: Vec<&str> = page.unreadable.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(odd, ["new", "odd"]);
    assert_eq!(todos.get(&id("odd")).unwrap_err().code(), "record_unreadable");
    let loose = workspace.collection::<Loose>().unwrap();
    assert_eq!(loose.get(&id("new")).unwrap(), Some(Loose { kind: Kind::Unknown }));

    // It can be mended, a field at a time, and deleted.
    assert_eq!(todos.set(&id("odd"), "done", true).unwrap_err().code(), "record_unreadable", "there is no title yet");
    document.edit(|loro| loro.get_map("todos").ensure_mergeable_map("odd")?.insert("done", true)).unwrap();
    document.edit(|loro| loro.get_map("todos").ensure_mergeable_map("odd")?.delete("title")).unwrap();
    document.edit(|loro| loro.get_map("todos").ensure_mergeable_map("odd")?.insert("votes_of", 2)).unwrap();
    todos.set(&id("odd"), "title", "a title").unwrap();
    assert_eq!(todos.get(&id("odd")).unwrap(), Some(Todo { done: true, ..todo("a title", None) }));
    todos.delete(&id("new")).unwrap();
    assert!(todos.query().run().unwrap().unreadable.is_empty());
}

#[tokio::test]
async fn what_would_not_be_kept_as_it_is_is_refused() {
    let (_dir, workspace, todos) = todos().await;
    let bread = todos.insert(&todo("bread", None)).unwrap();
    assert_eq!(todos.set(&bread, "colour", "brown").unwrap_err().code(), "field_unknown");
    let numbers = workspace.collection::<Numbers>().unwrap();
    let one = numbers.insert(&Numbers { all: vec![u64::from(u32::MAX), i64::MAX.unsigned_abs()] }).unwrap();
    let refused = numbers.update(&one, |numbers| numbers.all.push(u64::MAX)).unwrap_err();
    assert_eq!(refused.code(), "edit_refused");
    assert!(refused.to_string().contains("keep it as text"), "{refused}");
    assert_eq!(numbers.get(&one).unwrap().unwrap().all, [u64::from(u32::MAX), i64::MAX.unsigned_abs()]);
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Purse {
    euros: f64,
}

impl Record for Purse {
    const NAME: &str = "purses";

    fn fields(fields: Fields) -> Fields {
        fields.merge("euros", Merge::Counter)
    }
}

#[tokio::test]
async fn a_counter_holds_what_is_set_or_refuses_it() {
    const LIMIT: i64 = 1 << 53;
    let (_dir, workspace, todos) = todos().await;
    let bread = todos.insert(&todo("bread", None)).unwrap();
    let votes = |todos: &Collection<Todo>| todos.get(&bread).unwrap().unwrap().votes;
    for held in [1, -1, LIMIT - 1, LIMIT, -LIMIT, 0, LIMIT] {
        todos.set(&bread, "votes", held).unwrap();
        assert_eq!(votes(&todos), held);
    }
    for beyond in [LIMIT + 1, LIMIT + 2, i64::MAX, -LIMIT - 1, i64::MIN] {
        assert_eq!(todos.set(&bread, "votes", beyond).unwrap_err().code(), "edit_refused", "{beyond}");
        assert_eq!(votes(&todos), LIMIT, "{beyond}");
    }
    let purses = workspace.collection::<Purse>().unwrap();
    let purse = purses.insert(&Purse { euros: 0.1 }).unwrap();
    for euros in [0.3, 0.0, 1e9 / 3.0, -0.7] {
        purses.set(&purse, "euros", euros).unwrap();
        let held = purses.get(&purse).unwrap().unwrap().euros;
        assert!((held - euros).abs() <= 1e-6, "{held} is not {euros}");
    }
    for refused in [f64::MAX, -1e17] {
        assert_eq!(purses.set(&purse, "euros", refused).unwrap_err().code(), "edit_refused");
    }
}

/// Each write of a batch reads what the ones before it wrote, counters included, and so does who asks afterwards.
#[tokio::test]
async fn a_batch_that_counts_again_reads_what_it_wrote() {
    let (dir, workspace, todos) = todos().await;
    let purses = workspace.collection::<Purse>().unwrap();
    let read = workspace
        .batch(|batch| {
            let bread = batch.insert(&todos, &Todo { votes: 2, ..todo("bread", None) })?;
            let purse = batch.insert(&purses, &Purse { euros: 0.1 })?;
            for _ in 0..3 {
                batch.update(&todos, &bread, |todo| todo.votes += 5)?;
                batch.update(&purses, &purse, |purse| purse.euros += 0.2)?;
            }
            batch.update(&todos, &bread, |todo| todo.votes -= 1)?;
            let held = (batch.get(&todos, &bread)?.unwrap().votes, batch.get(&purses, &purse)?.unwrap().euros);
            Ok((bread, purse, held))
        })
        .unwrap();
    let (bread, purse, (votes, euros)) = read;
    assert_eq!(votes, 16);
    let held = |todos: &Collection<Todo>, purses: &Collection<Purse>| {
        (todos.get(&bread).unwrap().unwrap().votes, purses.get(&purse).unwrap().unwrap().euros.to_bits())
    };
    assert_eq!(held(&todos, &purses), (votes, euros.to_bits()));
    // A batch that is called off counts nothing.
    let failed = workspace.batch(|batch| {
        batch.update(&todos, &bread, |todo| todo.votes += 100)?;
        batch.delete(&todos, &id("nowhere"))
    });
    assert_eq!(failed.unwrap_err().code(), "record_missing");
    todos.update(&bread, |todo| todo.votes += 1).unwrap();
    assert_eq!(todos.get(&bread).unwrap().unwrap().votes, 17);
    drop((todos, purses));
    workspace.close().await;

    let workspace = reopened(&dir, Schema::default()).await;
    let (todos, purses) = (workspace.collection::<Todo>().unwrap(), workspace.collection::<Purse>().unwrap());
    assert_eq!(held(&todos, &purses), (17, euros.to_bits()));
}

#[tokio::test]
async fn two_types_of_one_collection_keep_its_fields_in_one_way() {
    let (_dir, workspace, todos) = todos().await;
    todos.insert(&todo("bread", None)).unwrap();
    let Err(refused) = workspace.collection::<OtherTodo>() else { panic!("it would read with the wrong form") };
    assert_eq!(refused.code(), "collection_form");
}

#[tokio::test]
async fn made_again_under_its_id_a_record_begins_anew() {
    let (_dir, _workspace, todos) = todos().await;
    let today = id("2026-11-21");
    todos.insert_as(&today, &Todo { votes: 3, ..todo("old", Some("then")) }).unwrap();
    assert_eq!(todos.insert_as(&today, &todo("twice", None)).unwrap_err().code(), "record_exists");
    for life in 1..=3 {
        todos.delete(&today).unwrap();
        todos.insert_as(&today, &todo("new", None)).unwrap();
        assert_eq!(todos.get(&today).unwrap(), Some(todo("new", None)), "life {life}");
        assert_eq!(todos.count().unwrap(), 1);
    }
    for wrong in ["", "a~b"] {
        assert!(roost::RecordId::new(wrong).is_err(), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_batch_is_one_commit_or_none() {
    let (_dir, workspace, todos) = todos().await;
    let projects = workspace.collection::<Project>().unwrap();
    let house = workspace
        .batch(|batch| {
            let house = batch.insert(&projects, &Project { name: "house".to_owned() })?;
            let roof = batch.insert(&todos, &Todo { project: Some(house.to_string()), ..todo("roof", None) })?;
            batch.update(&todos, &roof, |todo| todo.votes = 2)?;
            assert_eq!(batch.get(&todos, &roof)?.map(|todo| todo.votes), Some(2));
            Ok(house)
        })
        .unwrap();
    let document = workspace.document(Todo::DOCUMENT).unwrap();
    let (digest, status) = (document.digest().unwrap(), workspace.status());
    let failed = workspace.batch(|batch| {
        batch.insert(&todos, &todo("door", None))?;
        batch.delete(&projects, &house)?;
        batch.delete(&projects, &id("nowhere"))
    });
    assert_eq!(failed.unwrap_err().code(), "record_missing");
    assert_eq!((document.digest().unwrap(), todos.count().unwrap(), projects.count().unwrap()), (digest, 1, 1));
    assert_eq!(workspace.status().outbox, status.outbox);
    let elsewhere = workspace.batch_of("another", |batch| batch.insert(&todos, &todo("lost?", None)));
    assert_eq!(elsewhere.unwrap_err().code(), "other_document");
}

#[tokio::test]
async fn hooks_alter_refuse_and_are_told() {
    let (_dir, _workspace, todos) = todos().await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let trims = todos.before(|writing| match writing {
        Writing::Create { record, .. } | Writing::Update { record, .. } => {
            record.title = record.title.trim().to_owned();
            if record.title.is_empty() { Err("a todo needs a title".to_owned()) } else { Ok(()) }
        }
        Writing::Delete { record, .. } if record.done => Ok(()),
        _ => Err("first do it".to_owned()),
    });
    let after = todos.after(move |writing| {
        let said = match writing {
            Writing::Create { record, .. } => format!("made {}", record.title),
            Writing::Update { before, record, .. } => format!("{} is {}", before.title, record.title),
            Writing::Delete { record, .. } => format!("deleted {}", record.title),
            _ => "something".to_owned(),
        };
        tell.lock().unwrap().push(said);
    });
    let bread = todos.insert(&todo("  bread ", None)).unwrap();
    let refused = todos.insert(&todo("   ", None)).unwrap_err();
    assert_eq!((refused.code(), refused.to_string().as_str()), ("hook_refused", "refused: a todo needs a title"));
    assert_eq!(todos.delete(&bread).unwrap_err().code(), "hook_refused");
    todos.update(&bread, |todo| (todo.title, todo.done) = ("rolls ".to_owned(), true)).unwrap();
    todos.delete(&bread).unwrap();
    assert_eq!(*told.lock().unwrap(), ["made bread", "bread is rolls", "deleted rolls"]);
    drop((trims, after));
    todos.insert(&todo("   ", None)).unwrap();
    assert_eq!(told.lock().unwrap().len(), 3, "a guard that is dropped ends its hook");
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Meal {
    name: String,
    minutes: i64,
    unit: String,
}

impl Record for Meal {
    const NAME: &str = "meals";
    const DOCUMENT: &str = "diary";
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct OldMeal {
    title: String,
    hours: i64,
}

impl Record for OldMeal {
    const NAME: &str = "meals";
    const DOCUMENT: &str = "diary";
}

#[tokio::test]
async fn a_collection_is_read_through_the_schema() {
    let (dir, workspace) = workspace().await;
    let old = workspace.collection::<OldMeal>().unwrap();
    let soup = old.insert(&OldMeal { title: "soup".to_owned(), hours: 2 }).unwrap();
    drop(old);
    workspace.close().await;
    let minutes = |meal: &Value| json!({ "minutes": meal["hours"].as_i64().unwrap_or(0) * 60 });
    let schema = Schema::new()
        .version(2, |version| version.view(View::of("meals").renamed("title", "name").default("unit", "g")))
        .version(3, |version| version.derive("diary", Derive::each("meals", ["hours"], ["minutes"], minutes)));
    let workspace = reopened(&dir, schema).await;
    let meals = workspace.collection::<Meal>().unwrap();
    let meal = |minutes, unit: &str| Meal { name: "soup".to_owned(), minutes, unit: unit.to_owned() };
    assert_eq!(meals.get(&soup).unwrap(), Some(meal(120, "g")));
    meals.update(&soup, |meal| (meal.name, meal.minutes) = ("stew".to_owned(), 95)).unwrap();
    let stored = workspace.document("diary").unwrap().read(|loro| Value::from(loro.get_map("meals").get_deep_value()));
    let stored = stored.unwrap()[soup.as_str()].clone();
    assert_eq!((&stored["title"], &stored["minutes"], &stored["unit"]), (&json!("stew"), &json!(95), &Value::Null));
    let count = |condition| meals.query().filter(condition).count().unwrap();
    assert_eq!(count(roost::field("unit").eq("g")), 1, "by its default");
    assert_eq!(count(roost::field("name").eq("stew").and(roost::field("minutes").lt(100))), 1);
    assert_eq!(count(roost::field("unit").missing()), 0);
}

#[tokio::test]
async fn a_default_is_asked_for_as_it_is_read() {
    let (dir, workspace, todos) = todos().await;
    let bread = todos.insert(&todo("bread", None)).unwrap();
    drop(todos);
    workspace.close().await;
    let schema = Schema::new()
        .version(2, |version| version.view(View::of("todos").default("unit", "g")))
        .version(3, |version| version.view(View::of("todos").renamed("unit", "measure").default("measure", "kg")));
    let workspace = reopened(&dir, schema).await;
    let todos = workspace.collection::<Measured>().unwrap();
    assert_eq!(todos.get(&bread).unwrap().unwrap().measure, "g");
    assert_eq!(todos.find(field("measure").eq("g")).unwrap().len(), 1);
    assert_eq!(todos.find(field("measure").eq("kg")).unwrap().len(), 0);
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Measured {
    measure: String,
}

impl Record for Measured {
    const NAME: &str = "todos";

    fn fields(fields: Fields) -> Fields {
        Todo::fields(fields)
    }
}

#[tokio::test]
async fn a_value_that_its_policy_cannot_keep_is_refused() {
    let (_dir, _workspace, todos) = todos().await;
    let bread = todos.insert(&todo("bread", None)).unwrap();
    let refused: Error = todos.set(&bread, "votes", "many").unwrap_err();
    assert_eq!(refused.code(), "record_unreadable", "{refused}");
    assert_eq!(todos.set(&bread, "a~b", 1).unwrap_err().code(), "name_malformed");
}

#[tokio::test]
async fn a_workspace_used_within_its_own_edit_says_so_instead_of_waiting_for_ever() {
    let (_dir, workspace, todos) = todos().await;
    let bread = todos.insert(&todo("bread", None)).unwrap();
    let nested = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = workspace.batch(|batch| {
            let held = todos.get(&bread)?;
            batch.set(&todos, &bread, "done", held.is_some())
        });
    }));
    let said = nested.unwrap_err();
    assert!(
        said.downcast_ref::<&str>().is_some_and(|said| said.contains("use the document or the batch they are given"))
    );
    assert_eq!(todos.get(&bread).unwrap(), Some(todo("bread", None)), "and nothing is broken by it");
    todos.set(&bread, "done", true).unwrap();
}
