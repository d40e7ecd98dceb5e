//! Operations that were imported into a document and depend on others that are not here.

use std::time::Duration;

use roost::HeldReason;
use roost::loro::{ExportMode, LoroDoc, VersionVector};
use roost_e2e::live::process::Server;

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
