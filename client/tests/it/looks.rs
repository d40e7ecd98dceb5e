//! Looks while long work has the replica: each is answered from what is saved.

use std::sync::mpsc;
use std::time::Duration;

use loro::{ContainerID, ContainerType};
use roost::json::json;
use roost::{Document, field};

use crate::collection::{id, todo, todos};

/// A look that waits for the edit ends the test here rather than never.
const PATIENCE: Duration = Duration::from_secs(60);

fn text(document: &Document) -> String {
    document.read(|loro| loro.get_text("text").to_string()).unwrap()
}

#[tokio::test]
async fn looks_are_answered_from_what_is_saved_while_an_edit_takes_long() {
    let (_dir, workspace, todos) = todos().await;
    let (notes, other) = (workspace.document("notes").unwrap(), workspace.document("other").unwrap());
    notes.edit(|loro| loro.get_text("text").insert(0, "plums")).unwrap();
    other.edit(|loro| loro.get_text("text").insert(0, "pears")).unwrap();
    todos.insert_as(&id("a"), &todo("bread", Some("2027"))).unwrap();
    let (began, begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let long = std::thread::spawn({
        let notes = notes.clone();
        move || {
            notes.edit(|loro| {
                loro.get_text("text").insert(0, "half ")?;
                began.send(()).unwrap();
                released.recv_timeout(PATIENCE).unwrap();
                loro.get_text("text").insert(0, "a whole and a ")
            })
        }
    });
    begun.recv_timeout(PATIENCE).unwrap();
    assert_eq!((text(&notes), text(&other)), ("plums".to_owned(), "pears".to_owned()));
    notes.read(|loro| loro.get_text("text").insert(0, "not an edit ").unwrap()).unwrap();
    assert_eq!(text(&notes), "plums", "an edit within a look is undone");
    let root = ContainerID::new_root("text", ContainerType::Text);
    assert_eq!(notes.value_of(&root).unwrap(), Some(json!("plums")));
    assert_eq!(todos.get(&id("a")).unwrap().unwrap().title, "bread");
    assert_eq!((todos.count().unwrap(), todos.find(field("due").ge("2026")).unwrap().len()), (1, 1));
    assert_eq!(todos.query().watch().unwrap().ids().count(), 1, "a live query begins");
    assert!(!workspace.status().on_server);
    release.send(()).unwrap();
    long.join().unwrap().unwrap();
    assert_eq!(text(&notes), "a whole and a half plums");
}
