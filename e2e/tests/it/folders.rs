//! One folder holds one workspace, whichever way it comes in.

use roost_e2e::live::process::{Device, Server};

use crate::kills::two_devices;

/// The id of a device's workspace.
fn workspace(device: &Device) -> String {
    device.ok(&["status"]).lines().next().unwrap().split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn a_folder_that_holds_a_workspace_takes_no_other_by_any_door() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let address = server.address();
    let (one, _) = two_devices(dir.path(), &address);
    one.ok(&["insert", "plan", "0", "the plan"]);
    one.ok(&["sync"]);
    let (link, phrase, id) = (one.ok(&["share"]), one.ok(&["recovery", "create"]), workspace(&one));

    // Ids fall as they like: whichever of two comes first, the folder keeps what it held.
    for round in 0..4 {
        let used = Device::new(dir.path().join(format!("used {round}")));
        used.ok(&["init", "--server", &address]);
        used.ok(&["insert", "diary", "0", "my own"]);
        let doors: &[(&[&str], &str)] = &[
            (&["init", "--server", &address], ""),
            (&["join", "-"], &link),
            (&["recovery", "use", "--server", &address, "--workspace", &id], &phrase),
        ];
        for (door, stdin) in doors {
            let refused = used.run_with(door, stdin);
            let error = String::from_utf8_lossy(&refused.stderr);
            assert_eq!(refused.status.code(), Some(1), "{door:?}: {error}");
            assert!(error.contains("one folder holds one") && error.contains("--data-dir"), "{door:?}: {error}");
            assert_eq!(used.ok(&["docs"]), "diary\n", "{door:?}");
            assert_eq!(used.ok(&["cat", "diary"]), "my own", "{door:?}");
        }
    }
    let refused = one.run_with(&["join", "-"], &link);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("holds this workspace already"), "{refused:?}");

    let third = Device::new(dir.path().join("third"));
    third.ok(&["join", link.trim()]);
    third.ok(&["sync"]);
    assert_eq!(third.ok(&["cat", "plan"]), "the plan", "no door that was shut has used the link up");
}

#[test]
fn what_was_begun_in_a_folder_and_not_ended_is_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, _) = two_devices(dir.path(), &server.address());
    let link = one.ok(&["share"]);
    Device::new(dir.path().join("quicker")).ok(&["join", link.trim()]);
    for round in 0..4 {
        let late = Device::new(dir.path().join(format!("late {round}")));
        assert_eq!(late.fails(&["join", link.trim()]).0, 3, "the link is used");
        late.ok(&["init", "--server", &server.address()]);
        late.ok(&["insert", "diary", "0", "my own"]);
        assert_eq!(late.ok(&["docs"]), "diary\n");
    }
}
