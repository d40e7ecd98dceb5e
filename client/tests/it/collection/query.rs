//! Questions: conditions, order, pages, relations; and what an index saves.

use roost::json::{Value, json};
use roost::{Condition, field};

use super::{Project, Todo, id, todo, todos};

fn titles(rows: Vec<roost::Row<Todo>>) -> Vec<String> {
    rows.into_iter().map(|row| row.record.title).collect()
}

#[tokio::test]
async fn conditions_find_what_they_say() {
    let (_dir, _workspace, todos) = todos().await;
    let fill = [
        Todo { done: true, votes: 3, ..todo("bread", Some("2026-12-01")) },
        Todo { votes: 10, ..todo("butter", Some("2026-11-30")) },
        Todo { votes: -1, ..todo("jam", None) },
    ];
    for (record, name) in fill.iter().zip(["a", "b", "c"]) {
        todos.insert_as(&id(name), record).unwrap();
    }
    let found = |condition: Condition| titles(todos.find(condition).unwrap());
    assert_eq!(found(field("done").eq(true)), ["bread"]);
    assert_eq!(found(field("done").eq(1)), [""; 0], "a number is no boolean");
    assert_eq!(found(field("votes").gt(2)), ["bread", "butter"]);
    assert_eq!(found(field("votes").lt("z")), [""; 0], "a number is no text");
    assert_eq!(found(field("votes").ge(3).and(field("votes").le(3.0))), ["bread"]);
    assert_eq!(found(field("due").missing()), ["jam"]);
    assert_eq!(found(field("due").missing().not()), ["bread", "butter"]);
    assert_eq!(found(field("due").lt("2026-12-01")), ["butter"]);
    assert_eq!(found(field("due").lt("2026-12-01").not()), ["bread", "jam"]);
    assert_eq!(found(field("title").begins("b")), ["bread", "butter"]);
    assert_eq!(found(field("title").one_of(["jam", "bread", "tea"])), ["bread", "jam"]);
    let many: Vec<Value> = (0..50_000).map(|n| json!(n)).chain([json!("3"), json!(null), json!(true)]).collect();
    assert_eq!(found(field("votes").one_of(many.clone())), ["bread", "butter"], "however many, each by its type");
    assert_eq!(found(field("done").one_of(many)), ["bread"]);
    assert_eq!(found(field("title").one_of([""; 0])), [""; 0]);
    assert_eq!(found(field("title").eq("jam").or(field("votes").eq(10))), ["butter", "jam"]);
    assert_eq!(found(field("no such'\"field").eq(1)), [""; 0]);
    assert_eq!(todos.find_one(field("votes").gt(2)).unwrap().unwrap().id, id("a"));
    assert_eq!(todos.query().filter(field("votes").gt(2)).filter(field("done").eq(false)).count().unwrap(), 1);
}

#[tokio::test]
async fn pages_follow_on_each_other_in_any_order() {
    let (_dir, workspace, todos) = todos().await;
    workspace
        .batch(|batch| {
            for number in 0..50 {
                let due = (number % 7 > 0).then(|| format!("2026-12-{:02}", number % 5));
                let record = Todo { votes: number % 3, ..todo(&format!("{number}"), due.as_deref()) };
                batch.insert_as(&todos, &id(&format!("{number:02}")), &record)?;
            }
            Ok(())
        })
        .unwrap();
    let orders = [
        todos.query(),
        todos.query().order_by("due"),
        todos.query().order_by_largest("due").order_by("votes"),
        todos.query().order_by_largest("votes").order_by_largest("due"),
        todos.query().filter(field("votes").gt(0)).order_by("title"),
    ];
    for query in orders {
        let whole = query.run().unwrap();
        assert_eq!(whole.next, None);
        let (mut paged, mut next) = (Vec::new(), None);
        loop {
            let mut page = query.clone().limit(7);
            if let Some(place) = next {
                page = page.after(place);
            }
            let page = page.run().unwrap();
            paged.extend(page.rows);
            let Some(place) = page.next else { break };
            next = Some(place);
        }
        assert_eq!(paged, whole.rows);
    }
    let place = todos.query().order_by("due").limit(1).run().unwrap().next.unwrap();
    assert_eq!(todos.query().after(place).run().unwrap_err().code(), "place_malformed");
}

#[tokio::test]
async fn records_lead_to_each_other_by_key() {
    let (_dir, workspace, todos) = todos().await;
    let projects = workspace.collection::<Project>().unwrap();
    let house = projects.insert(&Project { name: "house".to_owned() }).unwrap();
    for (title, project) in [("roof", Some(house.to_string())), ("door", Some(house.to_string())), ("tea", None)] {
        todos.insert(&Todo { project, ..todo(title, None) }).unwrap();
    }
    let of_house = todos.related(&house, &todos, "project").order_by("title").run().unwrap();
    assert_eq!(titles(of_house.rows), ["door", "roof"]);
    let pairs = todos.query().order_by("title").with(&projects, "project").unwrap();
    let pairs: Vec<(String, Option<String>)> =
        pairs.into_iter().map(|(todo, project)| (todo.record.title, project.map(|row| row.record.name))).collect();
    let house = Some("house".to_owned());
    assert_eq!(pairs, [("door".to_owned(), house.clone()), ("roof".to_owned(), house), ("tea".to_owned(), None)]);
}

#[tokio::test]
async fn the_table_follows_whatever_changes_the_document() {
    let (_dir, workspace, todos) = todos().await;
    let bread = todos.insert(&todo("bread", None)).unwrap();
    let document = workspace.document("collections").unwrap();
    document
        .edit(|loro| {
            let root = loro.get_map("todos");
            root.ensure_mergeable_map(bread.as_str())?.insert("due", "2026-12-31")?;
            let raw = root.ensure_mergeable_map("raw")?;
            raw.insert("title", "by hand")?;
            raw.insert("done", true)
        })
        .unwrap();
    assert_eq!(titles(todos.query().order_by("title").run().unwrap().rows), ["bread", "by hand"]);
    assert_eq!(todos.find(field("due").eq("2026-12-31")).unwrap().len(), 1);
    document.edit(|loro| loro.get_map("todos").delete("raw")).unwrap();
    assert_eq!(todos.count().unwrap(), 1, "deleted outright");
}

#[tokio::test]
async fn a_table_is_made_anew_when_its_form_changes_and_brought_up_to_date_when_it_was_away() {
    let (dir, workspace, todos) = todos().await;
    for number in 0..20 {
        todos.insert(&todo(&format!("{number}"), Some("2026-12-01"))).unwrap();
    }
    drop(todos);
    workspace.close().await;
    // An app that does not use the collection writes the document.
    let workspace = super::reopened(&dir, roost::schema::Schema::default()).await;
    let document = workspace.document("collections").unwrap();
    document.edit(|loro| loro.get_map("todos").ensure_mergeable_map("late")?.insert("votes", 1)).unwrap();
    drop(document);
    workspace.close().await;
    let workspace = super::reopened(&dir, roost::schema::Schema::default()).await;
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct Any {
        #[serde(default)]
        title: roost::json::Value,
    }
    impl roost::Record for Any {
        const NAME: &str = "todos";
    }
    let any = workspace.collection::<Any>().unwrap();
    assert_eq!(any.count().unwrap(), 21);
    assert_eq!(any.find_one(field("title").eq("7")).unwrap().unwrap().record.title, json!("7"));
}
