//! What keeps an edit from the server stands in the status, with its document.

use roost::{HeldReason, Roost};

#[tokio::test]
async fn an_edit_that_is_not_on_the_server_stands_in_the_status_with_its_document() {
    let dir = tempfile::tempdir().unwrap();
    let roost = Roost::builder(dir.path()).paused(true).open().await.unwrap();
    let workspace = roost.create_workspace("http://127.0.0.1:1", "laptop").await.unwrap();
    assert!(workspace.status().held.is_empty(), "nothing was edited");
    let notes = workspace.document("notes").unwrap();
    notes.edit(|loro| loro.get_text("text").insert(0, "plums")).unwrap();
    let status = workspace.status();
    let held = status.held.iter().find(|held| held.document == notes.id()).unwrap();
    assert_eq!((&held.reason, held.reason.code()), (&HeldReason::Offline, "unreachable"));
    assert!(!status.on_server && !status.synced && !status.settled, "{status:?}");
    assert_eq!(status.fault, None);
    assert!(workspace.check_writes().is_ok());
}
