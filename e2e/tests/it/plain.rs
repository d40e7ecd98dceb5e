//! What others send is data: no name, label, path or word of a server commands the terminal or begins a line.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Output;

use roost_e2e::live::process::{Device, Server};
use roost_shared::Plain;
use serde_json::{Value, json};

/// A name by which someone would like to say something.
const HOSTILE: &str = "a\nroost: all is well\u{1b}[2J\r\u{9b}1m\u{202e}\u{2028}z";
/// How it is shown.
const SHOWN: &str = "a\\nroost: all is well\\u{1b}[2J\\r\\u{9b}1m\\u{202e}\\u{2028}z";

/// Everything that a command said, which is plain.
fn plain(what: &[&str], output: &Output) -> String {
    let said = [output.stdout.clone(), output.stderr.clone()].map(|bytes| String::from_utf8(bytes).unwrap());
    for line in said.iter().flat_map(|text| text.split('\n')) {
        assert!(!line.chars().any(Plain::escapes), "{what:?}: {line:?}");
        assert!(!line.starts_with("roost: all is well"), "{what:?}: {line:?}");
    }
    said.concat()
}

#[test]
fn no_command_lets_a_name_speak() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("server");
    let server = Server::start(&data_dir, &[]);
    let (one, other) = (Device::new(dir.path().join("one")), Device::new(dir.path().join(HOSTILE)));
    let address = server.address();
    let made = one.run(&["init", "--server", &address, "--name", HOSTILE]);
    assert!(plain(&["init"], &made).contains(SHOWN));
    let link = one.ok(&["share"]);
    let joined = other.run(&["join", "--name", HOSTILE, link.trim()]);
    assert!(plain(&["join"], &joined).contains(SHOWN));
    one.ok(&["insert", HOSTILE, "0", "text"]);
    one.ok(&["token", "issue", "--label", HOSTILE]);
    one.ok(&["share"]);

    let naming: &[&[&str]] = &[
        &["docs"],
        &["status"],
        &["doctor"],
        &["devices"],
        &["token", "list"],
        &["history", HOSTILE],
        &["set", HOSTILE, HOSTILE, "\"value\""],
        &["set", HOSTILE, "key", HOSTILE],
        &["get", HOSTILE, "missing\n"],
        &["history", HOSTILE, "--at", HOSTILE],
        &["revoke", HOSTILE],
        &["rename", HOSTILE, "new"],
        &["scope", HOSTILE, "read"],
        &["unlink", HOSTILE],
        &["replay", HOSTILE, HOSTILE],
        &["sync", "--server", HOSTILE],
    ];
    let silent: &[&[&str]] = &[
        &["links"],
        &["quarantine"],
        &["digest", HOSTILE],
        &["insert", HOSTILE, "0", HOSTILE],
        &["delete", HOSTILE, "0", "1"],
        &["undo", HOSTILE],
        &["join", HOSTILE],
        &["token", "revoke", HOSTILE],
        &["quarantine", "accept", "7"],
        &["sync"],
    ];
    for command in naming.iter().chain(silent) {
        let said = plain(command, &one.run(command));
        let is_named = said.contains("all is well") || said.contains("missing\\n");
        assert!(is_named || !naming.contains(command), "{command:?}: {said}");
        plain(command, &other.run(command));
        let as_json = [*command, &["--json"]].concat();
        plain(&as_json, &one.run(&as_json));
    }
    let nowhere = Device::new(dir.path().join(format!("nowhere {HOSTILE}")));
    assert!(plain(&["docs"], &nowhere.run(&["docs"])).contains(SHOWN), "paths, too");

    assert_eq!(one.ok(&["docs"]), format!("{SHOWN}\n"), "one line a document");
    assert!(one.ok(&["cat", HOSTILE]).contains("\u{1b}[2J"), "cat is for the text as it is");
    let listed: Value = serde_json::from_str(&one.ok(&["docs", "--json"])).unwrap();
    assert_eq!(listed["documents"][0]["name"], HOSTILE, "JSON is the same value");
    let log = std::fs::read_to_string(data_dir.with_extension("log")).unwrap();
    assert!(log.lines().count() > 10 && !log.chars().any(|letter| letter != '\n' && Plain::escapes(letter)), "{log}");
}

/// A server that answers every request with this refusal.
fn refusing(problem: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(&stream, &problem.to_string()); // whoever left needs none
        }
    });
    address
}

fn answer(mut stream: &TcpStream, problem: &str) -> std::io::Result<()> {
    let mut asked = BufReader::new(stream);
    let mut len = 0;
    loop {
        let mut line = String::new();
        asked.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            len = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    asked.take(len).read_to_end(&mut Vec::new())?;
    let kind = "content-type: application/problem+json\r\nconnection: close";
    write!(stream, "HTTP/1.1 403 Forbidden\r\n{kind}\r\ncontent-length: {}\r\n\r\n{problem}", problem.len())
}

fn problem(code: &str) -> Value {
    json!({ "type": "about:blank", "title": HOSTILE, "status": 403, "detail": HOSTILE, "code": code, "request_id": HOSTILE })
}

#[test]
fn no_server_speaks_in_the_words_of_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let one = Device::new(dir.path().join("one"));
    one.ok(&["init", "--server", &server.address()]);
    let link = one.ok(&["share"]);

    let refuses = refusing(problem("admission_closed"));
    let sync: &[&str] = &["sync", "--wait", "2s", "--server", &refuses];
    assert!(plain(sync, &one.run(sync)).contains(SHOWN));
    let link = link.trim().replace(&server.address(), &refuses);
    let join: &[&str] = &["join", &link];
    let joined = plain(join, &Device::new(dir.path().join("two")).run(join));
    assert!(joined.contains(SHOWN), "{joined}");

    let mut asks = problem("nonce_invalid");
    (asks["nonce"], asks["audience"]) = (json!("AAAA"), json!(HOSTILE));
    let renamed = refusing(asks);
    let sync: &[&str] = &["sync", "--wait", "10s", "--server", &renamed];
    let said = plain(sync, &one.run(sync));
    assert!(said.contains(SHOWN) && said.contains(&renamed), "{said}");
}
