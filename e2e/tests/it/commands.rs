//! The command line as scripts know it: bad input gets a clear error and an exit code, and loses nothing.

use std::time::{Duration, Instant};

use roost_e2e::live::cable::Cable;
use roost_e2e::live::process::{Device, Follow, Server};

use crate::kills::two_devices;

#[test]
fn a_link_works_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let one = Device::new(dir.path().join("one"));
    one.ok(&["init", "--server", &server.address()]);
    let link = one.ok(&["share"]);
    Device::new(dir.path().join("two")).ok(&["join", link.trim()]);
    let three = Device::new(dir.path().join("three"));
    let (code, error) = three.fails(&["join", link.trim()]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("ask for a new one"), "{error}");
    let (code, error) = three.fails(&["join", "https://example.org/join#v1.short"]);
    assert_eq!(code, 1);
    assert!(error.contains("not a share link"), "{error}");
}

#[test]
fn a_read_only_device_follows_and_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let one = Device::new(dir.path().join("one"));
    one.ok(&["init", "--server", &server.address()]);
    one.ok(&["insert", "notes", "0", "hello"]);
    let link = one.ok(&["share", "--scope", "read"]);
    let reader = Device::new(dir.path().join("reader"));
    reader.ok(&["join", link.trim()]);
    one.ok(&["sync"]);
    reader.ok(&["sync"]);
    assert_eq!(reader.ok(&["cat", "notes"]), "hello");
    let (code, error) = reader.fails(&["insert", "notes", "0", "x"]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("only read"), "{error}");
}

#[test]
fn the_owner_says_who_is_in() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    one.ok(&["insert", "notes", "0", "for both"]);
    one.ok(&["sync"]);
    other.ok(&["sync"]);
    one.ok(&["rename", "other", "tablet"]);
    other.ok(&["sync"]);
    assert!(other.ok(&["devices"]).contains("tablet ReadWrite Active (this device)"), "{}", other.ok(&["devices"]));

    let (code, error) = other.fails(&["revoke", "one"]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("owner key"), "{error}");
    let (code, error) = one.fails(&["revoke", "one"]);
    assert!(code == 1 && error.contains("cannot revoke itself"), "{code} {error}");
    let (code, error) = one.fails(&["revoke", "phone"]);
    assert!(code == 1 && error.contains("roost devices"), "{code} {error}");

    other.ok(&["insert", "notes", "0", "kept. "]);
    one.ok(&["scope", "tablet", "read"]);
    let (code, error) = other.fails(&["sync"]);
    assert_eq!(code, 3, "what a reader wrote before it was one is not said to be on the server: {error}");
    let (code, error) = other.fails(&["insert", "notes", "0", "x"]);
    assert!(code == 3 && error.contains("only read"), "{code} {error}");
    one.ok(&["scope", "tablet", "read_write"]);
    other.ok(&["sync"]);
    other.ok(&["insert", "notes", "0", "back. "]);
    other.ok(&["sync"]);
    one.ok(&["sync"]);
    assert_eq!(one.ok(&["cat", "notes"]), "back. kept. for both");

    one.ok(&["revoke", "tablet"]);
    one.ok(&["insert", "notes", "0", "not for the tablet. "]);
    one.ok(&["sync"]);
    assert_eq!(other.fails(&["sync"]).0, 3);
    assert_eq!(other.ok(&["cat", "notes"]), "back. kept. for both", "what it has, it keeps");
    assert!(one.ok(&["devices"]).contains("tablet ReadWrite Revoked"));
}

#[test]
fn a_passcode_goes_with_a_link_and_five_wrong_ones_burn_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let one = Device::new(dir.path().join("one"));
    one.ok(&["init", "--server", &server.address()]);
    let share = || {
        let shared = one.run_with(&["share", "--passcode-stdin", "--qr"], "tulip\n");
        assert!(shared.status.success() && String::from_utf8_lossy(&shared.stderr).contains('█'), "{shared:?}");
        String::from_utf8(shared.stdout).unwrap().trim().to_owned()
    };
    let link = share();
    let two = Device::new(dir.path().join("two"));
    let (code, error) = two.fails(&["join", &link]);
    assert!(code == 1 && error.contains("--passcode-stdin"), "{code} {error}");
    let join = |device: &Device, passcode: &str| {
        device.run_with(&["join", "-", "--passcode-stdin"], &format!("{link}\n{passcode}\n")).status.code()
    };
    assert_eq!(join(&two, "rose"), Some(3));
    assert_eq!(join(&two, "tulip"), Some(0), "four tries were left");

    let link = share();
    let three = Device::new(dir.path().join("three"));
    let join = |passcode: &str| three.run_with(&["join", &link, "--passcode-stdin"], passcode).status.code();
    for wrong in ["a", "b", "c", "d", "e"] {
        assert_eq!(join(wrong), Some(3));
    }
    assert_eq!(join("tulip"), Some(3), "burnt");
}

#[test]
fn twelve_words_bring_everything_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    one.ok(&["insert", "notes", "0", "all of it"]);
    one.ok(&["set", "recipes", "cake.plums", "500"]);
    one.ok(&["sync"]);
    other.ok(&["sync"]);
    assert_eq!(other.fails(&["recovery", "create"]).0, 3);
    let phrase = one.ok(&["recovery", "create"]);
    assert_eq!(phrase.split_whitespace().count(), 12, "{phrase}");
    assert!(phrase.trim().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b' '), "on one line, in lower case");
    let workspace = one.ok(&["status"]).lines().next().unwrap().split(' ').nth(1).unwrap().to_owned();
    std::fs::remove_dir_all(one.dir()).unwrap();

    let three = Device::new(dir.path().join("three"));
    let address = server.address();
    let using =
        ["recovery", "use", "--server", &address, "--workspace", &workspace, "--name", "new", "--keep", "other"];
    let mut wrong = phrase.split_whitespace().collect::<Vec<_>>();
    wrong.swap(0, 1);
    for words in
        [wrong.join(" "), "legal winner thank year wave sausage worth useful legal winner thank yellow".to_owned()]
    {
        let refused = three.run_with(&using, &words);
        assert!(!refused.status.success(), "{refused:?}");
    }
    let used = three.run_with(&using, &phrase.to_ascii_uppercase());
    assert!(used.status.success(), "{used:?}");
    three.ok(&["sync"]);
    assert_eq!(three.ok(&["cat", "notes"]), "all of it");
    assert_eq!(three.ok(&["get", "recipes", "cake.plums"]).trim(), "500");
    let devices = three.ok(&["devices"]);
    assert!(devices.contains("one ReadWrite Revoked") && devices.contains("other ReadWrite Active"), "{devices}");
    // The one that was kept goes on, and the new one is the owner.
    other.ok(&["insert", "notes", "0", "still "]);
    other.ok(&["sync"]);
    three.ok(&["revoke", "other"]);
    three.ok(&["sync"]);
    assert_eq!(three.ok(&["cat", "notes"]), "still all of it");
    assert_eq!(other.fails(&["sync"]).0, 3);
}

#[test]
fn two_devices_compare_their_codes() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    let code = |device: &Device| {
        let status = device.ok(&["status"]);
        status.lines().find_map(|line| line.strip_prefix("compare code ")).unwrap().to_owned()
    };
    one.ok(&["insert", "notes", "0", "x"]);
    one.ok(&["sync"]);
    other.ok(&["sync"]);
    one.ok(&["sync"]);
    assert_eq!(code(&one), code(&other));
    assert_eq!(code(&one).split(' ').map(str::len).collect::<Vec<_>>(), [5; 6]);
    let before = code(&one);
    one.ok(&["insert", "notes", "0", "y"]);
    one.ok(&["sync"]);
    assert_ne!(code(&one), before);
}

#[test]
fn a_link_that_is_withdrawn_lets_nobody_in() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let one = Device::new(dir.path().join("one"));
    one.ok(&["init", "--server", &server.address()]);
    let link = one.ok(&["share"]);
    let listed = one.ok(&["links"]);
    one.ok(&["unlink", listed.split(' ').next().unwrap()]);
    assert_eq!(one.ok(&["links"]).trim(), "");
    let (code, error) = Device::new(dir.path().join("two")).fails(&["join", link.trim()]);
    assert_eq!(code, 3, "{error}");
}

#[test]
fn a_token_without_a_device_is_issued_and_withdrawn() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    let token = one.ok(&["token", "issue", "--label", "backup"]);
    assert_eq!(token.trim().split('.').count(), 3);
    let listed = one.ok(&["token", "list"]);
    assert!(listed.contains("backup") && !listed.contains(token.trim()), "{listed}");
    let (code, error) = other.fails(&["token", "list"]);
    assert!(code == 3 && error.contains("owner key"), "{code} {error}");
    one.ok(&["token", "revoke", listed.split(' ').next().unwrap()]);
    assert_eq!(one.ok(&["token", "list"]).trim(), "");
    assert!(one.fails(&["token", "revoke", "x"]).1.contains("64 hex digits"));
}

/// Three lives of a token on one socket.
#[test]
fn a_socket_outlives_its_token() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &["--token-life-s", "4"]);
    let (one, other) = two_devices(dir.path(), &server.address());
    let mut watch = other.start(&["sync", "--watch", "--json"], Follow::Stdout);
    assert!(watch.wait_for(|line| line.contains("\"synced\":true").then_some(())).is_some());
    let started = Instant::now();
    let mut cursor = 0;
    while started.elapsed() < Duration::from_secs(12) {
        one.ok(&["insert", "notes", "0", "x"]);
        one.ok(&["sync"]);
        cursor = watch
            .wait_for(|line| {
                assert!(line.contains("\"online\":true"), "{line}");
                let found = line.split("\"cursor\":").nth(1)?.split(',').next()?.parse::<u64>().ok()?;
                (found > cursor).then_some(found)
            })
            .unwrap();
    }
    watch.kill();
}

#[test]
fn the_server_is_away_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(&dir.path().join("server"), &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    server.kill();
    one.ok(&["insert", "notes", "0", "offline"]);
    one.ok(&["set", "notes", "a.b", "{\"x\":1}"]);
    assert_eq!(one.ok(&["get", "notes", "a.b.x"]).trim(), "1");
    let (code, error) = one.fails(&["sync", "--wait", "1s"]);
    assert_eq!(code, 75, "{error}");
    assert!(error.contains("safe here"), "{error}");
    server.restart();
    one.ok(&["sync"]);
    other.ok(&["sync"]);
    assert_eq!(other.ok(&["cat", "notes"]), "offline");
    assert_eq!(one.ok(&["digest", "notes"]), other.ok(&["digest", "notes"]));
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, _) = two_devices(dir.path(), &server.address());
    let mut watch = one.start(&["sync", "--watch", "--json"], Follow::Stdout);
    assert!(watch.wait_for(|line| line.contains("\"synced\":true").then_some(())).is_some());
    let (code, error) = one.fails(&["insert", "notes", "0", "x"]);
    assert_eq!(code, 1);
    assert!(error.contains("in use by another process"), "{error}");
    watch.kill();
    one.ok(&["insert", "notes", "0", "x"]);
}

#[test]
fn a_damaged_file_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, _) = two_devices(dir.path(), &server.address());
    let file = std::fs::read_dir(one.dir()).unwrap().flatten().map(|entry| entry.path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "db")).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[..64].fill(0x5a);
    std::fs::write(&file, &bytes).unwrap();
    let (code, error) = one.fails(&["docs"]);
    assert_eq!(code, 1);
    assert!(error.contains("damaged") && error.contains("left as it is"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[test]
fn clear_text_beyond_this_machine_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let device = Device::new(dir.path().join("device"));
    let (code, error) = device.fails(&["init", "--server", "http://192.0.2.1:7070"]);
    assert_eq!(code, 1);
    assert!(error.contains("clear text") && error.contains("--allow-http"), "{error}");
    let (_, error) = device.fails(&["docs"]);
    assert!(error.contains("no workspace"), "{error}");
}

#[test]
fn a_cut_cable_is_mended_by_the_device_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (cable, listener) = Cable::new().unwrap();
    let server = Server::start(&dir.path().join("server"), &["--public-url", &cable.address()]);
    cable.plug(listener, server.port());
    let (one, other) = two_devices(dir.path(), &cable.address());
    let mut watch = other.start(&["sync", "--watch", "--json"], Follow::Stdout);
    assert!(watch.wait_for(|line| line.contains("\"synced\":true").then_some(())).is_some());
    for round in 0..3 {
        cable.cut();
        assert!(watch.wait_for(|line| line.contains("\"online\":false").then_some(())).is_some());
        one.ok(&["insert", "notes", "0", &format!("round {round}. ")]);
        cable.mend();
        one.ok(&["sync"]);
        assert!(watch.wait_for(|line| line.contains("\"synced\":true").then_some(())).is_some());
    }
    watch.kill();
    other.ok(&["sync"]);
    assert_eq!(other.ok(&["cat", "notes"]), "round 2. round 1. round 0. ");
}

#[test]
fn the_demo_finds_no_clear_text() {
    let dir = tempfile::tempdir().unwrap();
    let shown = Device::new(dir.path().join("unused")).ok(&["demo"]);
    assert!(shown.contains("0 hits"), "{shown}");
    assert!(shown.lines().count() < 24, "under a screen:\n{shown}");
}

#[test]
fn a_person_goes_back_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    one.ok(&["insert", "notes", "0", "eggs "]);
    one.ok(&["sync"]);
    other.ok(&["sync"]);
    other.ok(&["insert", "notes", "5", "from the other "]);
    other.ok(&["sync"]);
    one.ok(&["sync"]);
    let history: serde_json::Value = serde_json::from_str(&one.ok(&["history", "notes", "--json"])).unwrap();
    let revisions = history["revisions"].as_array().unwrap();
    let names: Vec<&str> = revisions.iter().map(|revision| revision["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2, "{history}");
    assert!(names.contains(&"one") && names.contains(&"other"), "{history}");
    let first = revisions.iter().find(|revision| revision["name"] == "one").unwrap();
    let first = first["version"].as_str().unwrap().to_owned();
    assert!(one.ok(&["history", "notes"]).contains(&first));
    assert_eq!(other.ok(&["history", "notes", "--at", &first]).trim_end_matches('\n'), "eggs ");
    assert_eq!(one.ok(&["history", "notes", "--at", "1970-01-01T00:00:01Z"]).trim(), "");

    one.ok(&["insert", "notes", "0", "mine "]);
    one.ok(&["undo", "notes"]);
    assert_eq!(one.ok(&["cat", "notes"]), "eggs from the other ");
    one.ok(&["undo", "notes"]);
    assert_eq!(one.ok(&["cat", "notes"]), "from the other ");
    let (code, error) = one.fails(&["undo", "notes"]);
    assert!(code == 1 && error.contains("no edit of it that could be undone"), "{code} {error}");
    one.ok(&["history", "notes", "--at", &first, "--restore"]);
    assert_eq!(one.ok(&["cat", "notes"]), "eggs ");
    one.ok(&["sync"]);
    other.ok(&["sync"]);
    assert_eq!(other.ok(&["digest", "notes"]), one.ok(&["digest", "notes"]));
    for wrong in ["yesterday", "1@x", "5@77"] {
        let (code, error) = one.fails(&["history", "notes", "--at", wrong]);
        assert!(code == 1 && error.contains("version"), "{code} {error}");
    }
}

#[test]
fn no_command_prints_anything_as_it_ends() {
    const RUNS: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, _) = two_devices(dir.path(), &server.address());
    one.ok(&["set", "notes", "key", "1"]);
    for command in [&["insert", "notes", "0", "x"][..], &["cat", "notes"], &["get", "notes"], &["docs"], &["sync"]] {
        for _ in 0..RUNS {
            let ran = one.run(command);
            assert!(ran.status.success() && ran.stderr.is_empty(), "{command:?}: {ran:?}");
        }
    }
}

#[test]
fn a_number_that_would_be_rounded_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    for (given, kept) in
        [("9007199254740993", "9007199254740993"), ("1e2", "100.0"), ("-0.0", "-0.0"), ("null", "null")]
    {
        one.ok(&["set", "notes", "key", given]);
        one.ok(&["sync"]);
        other.ok(&["sync"]);
        assert_eq!(other.ok(&["get", "notes", "key"]), format!("{kept}\n"));
    }
    for given in ["18446744073709551615", "12345678901234567890123", "[{\"id\":18446744073709551615}]"] {
        let (code, error) = one.fails(&["set", "notes", "key", given]);
        assert!(code == 1 && error.contains("would be rounded"), "{code} {error}");
        assert_eq!(one.ok(&["get", "notes", "key"]), "null\n", "nothing was set");
    }
}

#[test]
fn what_cannot_be_written_out_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, _other) = two_devices(dir.path(), &server.address());
    one.ok(&["insert", "notes", "0", "plums"]);
    for arguments in [&["cat", "notes"][..], &["docs"], &["history", "notes"], &["share"], &["recovery", "create"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let said = one.command(arguments).stdout(full).output().unwrap();
        let error = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.code() == Some(1) && error.contains("could not be written out"), "{arguments:?}: {error}");
    }
}
