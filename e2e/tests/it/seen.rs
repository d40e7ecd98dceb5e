//! The third answer to "is it saved?": seen by the other devices.

use std::time::Duration;

use roost::{Roost, Workspace};
use roost_e2e::live::process::{Device, Server};

use crate::kills::two_devices;

const PATIENCE: Duration = Duration::from_secs(60);

async fn opened(device: &Device) -> Workspace {
    let roost = Roost::builder(device.dir()).open().await.unwrap();
    let id = roost.workspaces().unwrap()[0];
    roost.workspace(id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_other_device_has_read_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    other.ok(&["sync"]);

    let workspace = opened(&one).await;
    let notes = workspace.document("notes").unwrap();
    notes.edit(|loro| loro.get_text("text").insert(0, "seen?")).unwrap();
    workspace.wait_synced(PATIENCE).await.unwrap();
    let status = workspace.status();
    assert!(status.on_server && (status.seen_by, status.others) == (0, 1), "{status:?}");
    // The other comes and goes: what it says reaches this one live.
    let reading = tokio::task::spawn_blocking(move || {
        other.ok(&["sync"]);
        other
    });
    workspace.wait_until(PATIENCE, |status| status.seen_by == 1).await.unwrap();
    let other = reading.await.unwrap();
    let (tail, devices) = (workspace.status().tail.unwrap(), workspace.devices());
    let theirs = devices.iter().find(|device| device.name.as_deref() == Some("other")).unwrap();
    assert_eq!(theirs.seen_seq, Some(tail));
    assert!(theirs.seen_at_ms.is_some());
    drop(notes);
    workspace.close().await;
    // It is remembered, and shown without the server.
    assert!(server.terminate());
    let listed = one.ok(&["devices"]);
    assert!(listed.contains(&format!("last seen at {tail}, just now")), "{listed}");
    let status: serde_json::Value = serde_json::from_str(&one.ok(&["status", "--json"])).unwrap();
    assert_eq!((&status["seen_by"], &status["others"]), (&1.into(), &1.into()), "{status}");
    drop(other);
}
