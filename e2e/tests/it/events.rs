//! What an app is told of syncing, and what it says to it: pause, resume, close, and to come by now and then.

use std::time::Duration;

use roost::{Notice, Roost, SyncReport};
use roost_e2e::live::process::{Device, Server};
use tokio::sync::broadcast::Receiver;

use crate::collections::{Food, foods};

const PATIENCE: Duration = Duration::from_secs(60);

/// The next report of a round that brought something.
async fn finished(events: &mut Receiver<Notice>) -> SyncReport {
    let next = async {
        loop {
            match events.recv().await.unwrap() {
                Notice::SyncFinished(report) if report.added + report.updated + report.removed > 0 => return report,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_of_sync_is_told_with_what_it_brought() {
    let (_dir, _server, pair, [one, other], id) = foods().await;
    pair.part().await;
    let plum = other.insert(&Food { name: "plum".to_owned(), ..Food::default() }).unwrap();
    other.set(&id, "name", "pear").unwrap();
    one.set(&id, "name", "apricot").unwrap();
    let mut events = pair.laptop.events();
    pair.meet().await;
    let report = finished(&mut events).await;
    assert_eq!((report.added, report.removed, report.conflicts), (1, 0, 1), "{report:?}");
    other.delete(&plum).unwrap();
    let report = finished(&mut events).await;
    assert_eq!((report.added, report.updated, report.removed, report.conflicts), (0, 0, 1, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_lasts_over_a_restart_and_a_closed_workspace_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let roost = Roost::builder(dir.path().join("one")).open().await.unwrap();
    let workspace = roost.create_workspace(&server.address(), "one").await.unwrap();
    workspace.wait_synced(PATIENCE).await.unwrap();
    workspace.pause().await.unwrap();
    workspace.close().await;

    let workspace = roost.only_workspace().await.unwrap();
    let notes = workspace.document("notes").unwrap();
    notes.edit(|loro| loro.get_text("text").insert(0, "kept")).unwrap();
    assert_eq!(workspace.wait_synced(Duration::from_millis(200)).await.unwrap_err().code(), "timed_out");
    assert!(!workspace.status().online);
    workspace.resume().await.unwrap();
    workspace.wait_synced(PATIENCE).await.unwrap();
    let clone = workspace.clone();
    workspace.close().await;
    for refused in [clone.resume().await, clone.wait_synced(PATIENCE).await, clone.pause().await] {
        assert_eq!(refused.unwrap_err().code(), "closed");
    }
    assert_eq!(notes.read(|loro| loro.get_text("text").to_string()).unwrap(), "kept");
    drop((clone, notes));
    let workspace = roost.only_workspace().await.unwrap();
    workspace.wait_until(PATIENCE, |status| status.online).await.unwrap(); // what was refused left nothing behind
    workspace.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_polls_comes_by_and_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let other = Device::new(dir.path().join("other"));
    other.ok(&["init", "--server", &server.address()]);
    let link = other.ok(&["share"]).trim().parse().unwrap();
    let roost = Roost::builder(dir.path().join("one")).poll_every(Duration::from_millis(300)).open().await.unwrap();
    let workspace = roost.join(&link, "one").await.unwrap();
    let notes = workspace.document("notes").unwrap();
    for round in 0..3 {
        workspace.wait_until(PATIENCE, |status| status.online).await.unwrap();
        workspace.wait_until(PATIENCE, |status| !status.online).await.unwrap();
        let written = tokio::task::spawn_blocking({
            let other = Device::new(dir.path().join("other"));
            move || {
                other.ok(&["insert", "notes", "0", "x"]);
                other.ok(&["sync"]);
            }
        });
        written.await.unwrap();
        let len = || notes.read(|loro| loro.get_text("text").len_unicode()).unwrap();
        workspace.wait_until(PATIENCE, |_| len() == round + 1).await.unwrap();
    }
    workspace.close().await;
}
