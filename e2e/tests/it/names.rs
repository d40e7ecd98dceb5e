//! A server that goes by another name than its address: both names are said, and nothing is lost by it.

use roost_e2e::live::process::{Device, Server};

use crate::kills::two_devices;

#[test]
fn a_server_under_another_name_is_no_verdict_on_the_device() {
    const NAME: &str = "https://sync.example.org";
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("server");
    let server = Server::start(&data_dir, &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    one.ok(&["insert", "notes", "0", "unsent"]);
    one.ok(&["sync"]);
    let link = one.ok(&["share"]).trim().to_owned();
    let first = server.address();
    assert!(server.terminate());

    let renamed = Server::start(&data_dir, &["--public-url", NAME]);
    let address = renamed.address();
    let third = Device::new(dir.path().join("third"));
    let moved = link.replace(&first, &address);
    let told: &[(&Device, &[&str])] = &[
        (&one, &["sync", "--wait", "10s", "--server", &address]),
        (&one, &["sync", "--wait", "10s"]),
        (&one, &["status"]),
        (&third, &["join", &moved]),
    ];
    for (device, command) in told {
        let (code, error) = device.fails(command);
        assert_eq!(code, 1, "{command:?}: {error}");
        assert!(error.contains(NAME) && error.contains(&address), "{command:?}: {error}");
        assert!(!error.contains("revoked"), "{command:?}: {error}");
    }
    assert!(renamed.terminate());

    let back = Server::start(&data_dir, &[]);
    let address = back.address();
    one.ok(&["sync", "--server", &address]);
    other.ok(&["sync", "--server", &address]);
    assert_eq!(other.ok(&["cat", "notes"]), "unsent");
    third.ok(&["join", &link.replace(&first, &address)]);
    third.ok(&["sync"]);
    assert_eq!(third.ok(&["cat", "notes"]), "unsent", "the link was not used up");
}
