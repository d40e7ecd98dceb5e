//! Devices that are pointed at another, empty server fill it, and nobody is told that they are out.

use std::path::Path;

use roost_e2e::live::process::{Device, Follow, Server};

use crate::kills::two_devices;

/// Another device of the workspace of `one`.
fn joined(one: &Device, dir: &Path, name: &str) -> Device {
    let (link, device) = (one.ok(&["share"]), Device::new(dir.join(name)));
    device.ok(&["join", "--name", name, link.trim()]);
    device
}

/// Syncs all, twice: what the last one brings reaches the first.
fn sync(devices: &[&Device]) {
    for device in devices.iter().chain(devices) {
        device.ok(&["sync"]);
    }
}

fn hold_the_same(devices: &[&Device], documents: &[&str]) {
    for document in documents {
        let digests: Vec<String> = devices.iter().map(|device| device.ok(&["digest", document])).collect();
        assert!(digests.iter().all(|digest| *digest == digests[0]), "{document}: {digests:?}");
    }
}

#[test]
fn an_empty_server_is_filled_by_one_after_the_other_and_the_old_one_may_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Server::start(&dir.path().join("old"), &[]), Server::start(&dir.path().join("new"), &[]));
    let (one, other) = two_devices(dir.path(), &old.address());
    let third = joined(&one, dir.path(), "third");
    for name in ["first", "second"] {
        one.ok(&["insert", name, "0", name]);
    }
    sync(&[&one, &other, &third]);
    other.ok(&["insert", "first", "0", "offline, "]);

    // It is done when the log has it all: who joins next reads it there.
    let address = new.address();
    one.ok(&["sync", "--server", &address]);
    let fourth = joined(&one, dir.path(), "fourth");
    fourth.ok(&["sync"]);
    assert_eq!(
        (fourth.ok(&["cat", "first"]), fourth.ok(&["cat", "second"])),
        ("first".to_owned(), "second".to_owned())
    );
    other.ok(&["sync", "--server", &address]);
    third.ok(&["sync", "--server", &address]);
    let all = [&one, &other, &third, &fourth];
    sync(&all);
    assert_eq!(third.ok(&["cat", "first"]), "offline, first");
    hold_the_same(&all, &["first", "second"]);

    // One that was not told goes on with the old server, then it is.
    other.ok(&["insert", "second", "0", "x"]);
    other.ok(&["sync", "--server", &old.address()]);
    other.ok(&["sync", "--server", &address]);
    sync(&all);
    assert_eq!(fourth.ok(&["cat", "second"]), "xsecond");
    hold_the_same(&all, &["first", "second"]);
}

#[test]
fn two_devices_fill_an_empty_server_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Server::start(&dir.path().join("old"), &[]), Server::start(&dir.path().join("new"), &[]));
    let (one, other) = two_devices(dir.path(), &old.address());
    one.ok(&["insert", "both", "0", "shared"]);
    sync(&[&one, &other]);
    one.ok(&["insert", "both", "0", "a"]);
    other.ok(&["insert", "both", "0", "b"]);
    other.ok(&["insert", "own", "0", "alone"]);

    let address = new.address();
    let filling = [&one, &other].map(|device| device.start(&["sync", "--server", &address], Follow::Stdout));
    for sync in filling {
        assert!(sync.finish());
    }
    sync(&[&one, &other]);
    let text = one.ok(&["cat", "both"]);
    assert!(text.ends_with("shared") && text.len() == "abshared".len(), "{text}");
    assert_eq!(one.ok(&["cat", "own"]), "alone");
    hold_the_same(&[&one, &other], &["both", "own"]);
}

#[test]
fn a_server_that_takes_no_workspace_says_so_and_not_that_a_device_is_out() {
    let dir = tempfile::tempdir().unwrap();
    let old = Server::start(&dir.path().join("old"), &[]);
    let closed = Server::start(&dir.path().join("closed"), &["--admission", "closed"]);
    let (one, other) = two_devices(dir.path(), &old.address());
    one.ok(&["insert", "notes", "0", "kept"]);
    for device in [&one, &other] {
        let (_, error) = device.fails(&["sync", "--server", &closed.address()]);
        assert!(error.contains("admission") && !error.contains("revoked"), "{error}");
        assert!(error.contains("safe here"), "{error}");
        device.ok(&["sync", "--server", &old.address()]);
    }
    assert_eq!(other.ok(&["cat", "notes"]), "kept");
}
