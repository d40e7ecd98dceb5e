//! A recorded document is typed on one device and followed on another while the server and the typing device are
//! killed with -9. Nothing may be missing, and nothing may stand twice.

use std::path::Path;

use roost_e2e::live::log::{LogFacts, facts};
use roost_e2e::live::process::{Device, Follow, Server};
use roost_e2e::live::trace::trace;

struct Killed<'a> {
    trace: &'a str,
    rate: Option<&'a str>,
}

#[test]
fn a_paper_survives_kills_of_server_and_writer() {
    survive(&Killed { trace: "automerge-paper", rate: Some("11000") });
}

#[test]
fn a_component_survives_kills_of_server_and_writer() {
    survive(&Killed { trace: "sveltecomponent", rate: Some("900") });
}

#[test]
fn a_paper_typed_as_fast_as_it_goes_survives_kills() {
    survive(&Killed { trace: "automerge-paper", rate: None });
}

fn survive(killed: &Killed<'_>) {
    let dir = tempfile::tempdir().unwrap();
    let (file, end) = trace(killed.trace);
    let file = file.to_string_lossy().into_owned();
    let mut server = Server::start(&dir.path().join("server"), &[]);
    let (writer, reader) = two_devices(dir.path(), &server.address());
    let watch = reader.start(&["sync", "--watch", "--json"], Follow::Stdout);

    let mut replay = vec!["replay", "doc", &file, "--commit-every", "26", "--json"];
    if let Some(rate) = killed.rate {
        replay.extend(["--rate", rate]);
    }
    let mut typing = writer.start(&replay, Follow::Stderr);
    for percent in [20, 50] {
        kill_server_at(percent, &mut typing, &mut server);
    }
    assert!(typing.reaches(60), "the replay ended before 60 %");
    typing.kill();
    let mut typing = writer.start(&replay, Follow::Stderr);
    kill_server_at(80, &mut typing, &mut server);
    assert!(typing.finish(), "the replay failed");

    writer.ok(&["sync", "--wait", "60s"]);
    watch.kill();
    reader.ok(&["sync", "--wait", "60s"]);
    assert!(reader.ok(&["cat", "doc"]) == end, "the reader's text is not the trace's end");
    assert!(writer.ok(&["cat", "doc"]) == end, "the writer's text is not the trace's end");
    assert_eq!(writer.ok(&["digest", "doc"]), reader.ok(&["digest", "doc"]));
    assert!(server.terminate(), "the server did not drain");
    let facts = facts(&dir.path().join("server"));
    println!("figure: kills {} {:?}: {facts:?}", killed.trace, killed.rate);
    assert_eq!(LogFacts { gaps: 0, doubles: 0, author_gaps: 0, ..facts }, facts);
}

fn kill_server_at(percent: u64, typing: &mut roost_e2e::live::process::Running, server: &mut Server) {
    assert!(typing.reaches(percent), "the replay ended before {percent} %");
    assert!(typing.is_running(), "the kill at {percent} % came after the end");
    server.kill();
    server.restart();
}

/// One that made the workspace, and one that joined by its link.
pub fn two_devices(dir: &Path, address: &str) -> (Device, Device) {
    let (one, other) = (Device::new(dir.join("one")), Device::new(dir.join("other")));
    one.ok(&["init", "--server", address, "--name", "one"]);
    let link = one.ok(&["share"]);
    other.ok(&["join", "--name", "other", link.trim()]);
    (one, other)
}
