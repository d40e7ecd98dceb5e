//! Operations that were imported into a document and depend on others that are not here.

use std::time::Duration;

use roost::HeldReason;
use roost::json::{Value, json};
use roost::loro::{ExportMode, LoroDoc, VersionVector};
use roost_e2e::live::process::{Device, Server};

use crate::collections::Pair;

const PATIENCE: Duration = Duration::from_secs(60);

/// The first half of another document's history, and the second alone.
fn halves() -> (Vec<u8>, Vec<u8>) {
    let loro = LoroDoc::new();
    loro.get_text("text").insert(0, "first ").unwrap();
    loro.commit();
    let first = loro.oplog_vv();
    let whole = loro.export(ExportMode::updates(&VersionVector::default())).unwrap();
    loro.get_text("text").insert(6, "second ").unwrap();
    loro.commit();
    (whole, loro.export(ExportMode::updates(&first)).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_that_wait_for_others_stand_in_the_status_until_those_come() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let pair = Pair::new(dir.path(), &server).await;
    let notes = pair.laptop.document("notes").unwrap();
    let (first, second) = halves();
    notes.edit(|loro| loro.import(&second).map(|_| ())).unwrap();
    pair.laptop.wait_until(PATIENCE, |status| status.settled).await.unwrap();
    let status = pair.laptop.status();
    let held = status.held.iter().find(|held| held.document == notes.id()).unwrap();
    assert_eq!((&held.reason, held.reason.code()), (&HeldReason::Waits, "waits_for_operations"));
    assert!(!status.synced && !status.on_server, "{status:?}");

    notes.edit(|loro| loro.import(&first).map(|_| ())).unwrap();
    pair.laptop.wait_synced(PATIENCE).await.unwrap();
    assert!(pair.laptop.status().held.is_empty());
    let arrived = pair.phone.document("notes").unwrap();
    let mut changes = arrived.changes();
    while arrived.read(|loro| loro.get_text("text").to_string()).unwrap() != "first second " {
        changes.next().await.unwrap();
    }
}

/// The command ends by itself with what a person has to know: a wait in vain would end with 75.
#[tokio::test(flavor = "multi_thread")]
async fn sync_ends_and_names_the_document_that_waits_for_operations() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let pair = Pair::new(dir.path(), &server).await;
    let notes = pair.laptop.document("notes").unwrap();
    let (first, second) = halves();
    notes.edit(|loro| loro.import(&second).map(|_| ())).unwrap();
    drop(notes);
    pair.laptop.close().await;

    let laptop = Device::new(dir.path().join("laptop"));
    let ended = laptop.run(&["sync", "--json"]);
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(4), "{said}");
    let objects: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [report, failure] = &objects[..] else { panic!("{said}") };
    let held = &report["held"];
    assert_eq!((&report["synced"], held.as_array().map(Vec::len)), (&json!(false), Some(1)), "{said}");
    assert_eq!((&held[0]["name"], &held[0]["reason"]), (&json!("notes"), &json!("waits_for_operations")), "{said}");
    assert_eq!(failure["error"]["code"], "waits_for_operations", "{said}");
    let message = failure["error"]["message"].as_str().unwrap();
    assert!(message.contains("document notes") && message.contains("depend on others that are not here"), "{message}");

    // The other device brings what they depend on: nobody has to do anything here.
    let theirs = pair.phone.document("notes").unwrap();
    theirs.edit(|loro| loro.import(&first).map(|_| ())).unwrap();
    pair.phone.wait_synced(PATIENCE).await.unwrap();
    laptop.ok(&["sync"]);
    assert_eq!(laptop.ok(&["cat", "notes"]), "first second ");
    let text = || theirs.read(|loro| loro.get_text("text").to_string()).unwrap();
    pair.phone.wait_until(PATIENCE, |_| text() == "first second ").await.unwrap();
}
