//! A session is typed on one device and followed on another while the server and the typing device are killed with -9.
//! Nothing may be missing, and nothing may stand twice.

use std::path::Path;

use roost_e2e::live::log::{LogFacts, facts};
use roost_e2e::live::process::{Device, Follow, Server};
use roost_e2e::live::trace::{Trace, recorded, typed};

/// Edits of a session that the typist makes: in as many commits, and in the same time, as the recorded paper's 260,000.
const EDITS: usize = 40_000;

struct Killed<'a> {
    trace: Trace,
    /// Edits in one commit.
    commit_every: &'a str,
    /// Edits a second; as fast as it goes without.
    rate: Option<&'a str>,
}

#[test]
fn a_typed_session_survives_kills_of_server_and_writer() {
    survive(&Killed { trace: typed(1, EDITS), commit_every: "4", rate: Some("1700") });
}

#[test]
fn a_session_typed_as_fast_as_it_goes_survives_kills() {
    survive(&Killed { trace: typed(2, EDITS), commit_every: "4", rate: None });
}

#[test]
fn a_recorded_paper_survives_kills_of_server_and_writer() {
    survive_recorded("automerge-paper", Some("11000"));
}

#[test]
fn a_recorded_component_survives_kills_of_server_and_writer() {
    survive_recorded("sveltecomponent", Some("900"));
}

#[test]
fn a_recorded_paper_typed_as_fast_as_it_goes_survives_kills() {
    survive_recorded("automerge-paper", None);
}

/// Where the recording is not at hand, the typist's sessions stand alone.
fn survive_recorded(name: &str, rate: Option<&str>) {
    match recorded(name) {
        Some(trace) => survive(&Killed { trace, commit_every: "26", rate }),
        None => println!("figure: kills {name}: no recording here, so the typed sessions stand alone"),
    }
}

fn survive(killed: &Killed<'_>) {
    let dir = tempfile::tempdir().unwrap();
    let Trace { name, file, end } = &killed.trace;
    let file = file.to_string_lossy().into_owned();
    let mut server = Server::start(&dir.path().join("server"), &[]);
    let (writer, reader) = two_devices(dir.path(), &server.address());
    let watch = reader.start(&["sync", "--watch", "--json"], Follow::Stdout);

    let mut replay = vec!["replay", "doc", &file, "--commit-every", killed.commit_every, "--json"];
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
    assert!(reader.ok(&["cat", "doc"]) == *end, "the reader's text is not the trace's end");
    assert!(writer.ok(&["cat", "doc"]) == *end, "the writer's text is not the trace's end");
    assert_eq!(writer.ok(&["digest", "doc"]), reader.ok(&["digest", "doc"]));
    assert!(server.terminate(), "the server did not drain");
    let facts = facts(&dir.path().join("server"));
    println!("figure: kills {name} {:?}: {facts:?}", killed.rate);
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
