//! A workspace at its quota: edits wait, and nothing else does.

use std::time::{Duration, Instant};

use roost::{DeviceId, DeviceStatus, Document, HeldReason, Notice, Roost, Scope, Sharing, Status, Workspace};
use roost_e2e::live::process::{Device, Server};
use roost_shared::hash::Hash;

use crate::collections::Pair;
use crate::kills::two_devices;

const PATIENCE: Duration = Duration::from_secs(60);
/// What an act of the owner may take; what is printed is far below, and an act that waits for edits never ends.
const AT_ONCE: Duration = Duration::from_secs(10);
const QUOTA: [&str; 2] = ["--quota-bytes", "16384"];

/// More than fits the quota, however it is compressed.
fn large() -> String {
    (0..1_000_u32).map(|number| Hash::of(&[&number.to_be_bytes()]).to_string()).collect()
}

fn write(document: &Document, text: &str) {
    document.edit(|loro| loro.get_text("text").insert(0, text)).unwrap();
}

fn text(document: &Document) -> String {
    document.read(|loro| loro.get_text("text").to_string()).unwrap()
}

/// Until the status says that this document waits for room, and how much there is.
async fn is_full_for(workspace: &Workspace, document: &Document) {
    let is_full = |status: &Status| {
        status.held.iter().any(|held| {
            let full = matches!(held.reason, HeldReason::Quota { room: Some(room) } if room.quota_bytes == 16_384);
            held.document == document.id() && full
        })
    };
    workspace.wait_until(PATIENCE, is_full).await.unwrap();
    let status = workspace.status();
    assert!(!status.on_server && !status.synced, "{status:?}");
}

/// What the owner does about a device and a link; the longest that any of it took.
async fn owner_acts(laptop: &Workspace, device: DeviceId, name: &str) -> Duration {
    let mut longest = Duration::ZERO;
    let mut took = |started: Instant| longest = longest.max(started.elapsed());
    let started = Instant::now();
    laptop.rename(device, name, PATIENCE).await.unwrap();
    took(started);
    for scope in [Scope::Read, Scope::ReadWrite] {
        let started = Instant::now();
        laptop.set_scope(device, scope, PATIENCE).await.unwrap();
        took(started);
    }
    let started = Instant::now();
    let link = laptop.share(&Sharing::new(Scope::Read), PATIENCE).await.unwrap();
    took(started);
    let started = Instant::now();
    laptop.revoke(link.id, PATIENCE).await.unwrap();
    took(started);
    longest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_workspace_holds_edits_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(&dir.path().join("server"), &QUOTA);
    let Pair { laptop, phone } = Pair::new(dir.path(), &server).await;
    let link = laptop.share(&Sharing::new(Scope::ReadWrite), PATIENCE).await.unwrap().link;
    let tablet = Roost::builder(dir.path().join("tablet")).open().await.unwrap().join(&link, "tablet").await.unwrap();
    let third = tablet.device();
    tablet.close().await;
    let empty = owner_acts(&laptop, third, "before").await;

    // What the phone writes does not fit; what the laptop writes does, and the phone reads it as it comes.
    let (photos, notes) = (phone.document("photos").unwrap(), laptop.document("notes").unwrap());
    write(&photos, &large());
    is_full_for(&phone, &photos).await;
    let mut events = phone.events();
    write(&notes, "small");
    let read = phone.document("notes").unwrap();
    phone.wait_until(PATIENCE, |_| text(&read) == "small").await.unwrap();

    let plans = laptop.document("plans").unwrap();
    write(&plans, &large());
    is_full_for(&laptop, &plans).await;
    let full = owner_acts(&laptop, third, "after").await;
    let started = Instant::now();
    laptop.revoke(third, PATIENCE).await.unwrap();
    let revoked = started.elapsed();
    laptop.create_recovery(PATIENCE).await.unwrap();
    println!(
        "figure: the owner's acts with an empty outbox {empty:?} at the longest, in a full workspace {full:?}; a revocation there {revoked:?}"
    );
    assert!(full < AT_ONCE && revoked < AT_ONCE);
    let is_out = |phone: &Workspace| {
        let devices = phone.devices();
        devices.iter().any(|device| device.id == third && device.status == DeviceStatus::Revoked)
    };
    phone.wait_until(PATIENCE, |status| status.online && is_out(&phone)).await.unwrap();
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, Notice::Offline { .. }), "the phone's socket stays");
    }

    server.kill();
    server.restart_with(&["--quota-bytes", "1048576"]);
    let (theirs, ours) = (phone.document("plans").unwrap(), laptop.document("photos").unwrap());
    phone.wait_until(PATIENCE, |status| status.synced && text(&theirs) == large()).await.unwrap();
    laptop.wait_until(PATIENCE, |status| status.synced && text(&ours) == large()).await.unwrap();
    assert!(laptop.status().held.is_empty() && phone.status().held.is_empty());
    laptop.close().await;
    phone.close().await;
}

#[test]
fn every_command_of_the_owner_works_in_a_full_workspace() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &QUOTA);
    let (one, _) = two_devices(dir.path(), &server.address());
    let link = one.ok(&["share"]);
    Device::new(dir.path().join("third")).ok(&["join", "--name", "third", link.trim()]);
    let id = one.ok(&["status"]).lines().next().unwrap().split(' ').nth(1).unwrap().to_owned();
    one.ok(&["insert", "photos", "0", &large()]);
    let (code, error) = one.fails(&["sync", "--wait", "30s"]);
    assert!(code == 4 && error.contains("document photos") && error.contains("of 16 KB"), "{code}: {error}");
    let listed = one.run(&["status", "--json"]);
    let listed: serde_json::Value =
        serde_json::from_slice(listed.stdout.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    let held = listed["held"].as_array().unwrap().iter().find(|held| held["name"] == "photos").unwrap();
    assert_eq!((&held["reason"], &held["quota_bytes"]), (&"quota_exceeded".into(), &16_384.into()));

    let mut longest = Duration::ZERO;
    let mut act = |command: &[&str]| {
        let started = Instant::now();
        let said = one.ok(command);
        longest = longest.max(started.elapsed());
        said
    };
    act(&["rename", "third", "tablet"]);
    act(&["scope", "tablet", "read"]);
    act(&["scope", "tablet", "read_write"]);
    act(&["share"]);
    let links = act(&["links"]);
    act(&["unlink", links.split(' ').next().unwrap()]);
    act(&["revoke", "tablet"]);
    let phrase = act(&["recovery", "create"]);
    println!("figure: the owner's commands in a full workspace take {longest:?} at the longest");
    assert!(longest < AT_ONCE);

    let new = Device::new(dir.path().join("new"));
    let address = server.address();
    let using = ["recovery", "use", "--server", &address, "--workspace", &id, "--name", "new", "--keep", "other"];
    let used = new.run_with(&using, &phrase);
    assert!(used.status.success(), "{used:?}");
    let devices = new.ok(&["devices"]);
    assert!(devices.contains("tablet ReadWrite Revoked") && devices.contains("one ReadWrite Revoked"), "{devices}");
}
