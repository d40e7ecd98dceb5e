//! A disk that is full, or read-only, under a device and under a server: it is called that, costs nothing that was saved, and
//! is over once it is over.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use roost_e2e::live::process::{Device, Server, roost};

use crate::kills::two_devices;

/// Runs a shell script where `disk` is a file system of three megabytes of its own. What it says, by name.
///
/// That needs leave to mount in a namespace of one's own: as root, or as a user whom the system lets have one. Where
/// neither is so, in some containers, `ROOST_NO_MOUNTS=1` leaves these tests out.
fn on_a_small_disk(dir: &Path, address: &str, script: &str) -> Option<BTreeMap<String, String>> {
    const BEGIN: &str = r#"
        set -eu
        mkdir -p disk && mount -t tmpfs -o size=3m none disk
        r() { device=$1; shift; "$ROOST" --data-dir "$device" "$@"; }
        try() { name=$1; shift; if "$@" >out 2>err; then rc=0; else rc=$?; fi; say "$name" "$rc $(cat out err | tr '\n' ' ')"; }
        say() { echo "$1=$2"; }
        fill() { dd if=/dev/zero of=disk/fill bs=1k 2>/dev/null || true; }
    "#;
    if std::env::var_os("ROOST_NO_MOUNTS").is_some() {
        println!("left out: no file system may be mounted here (ROOST_NO_MOUNTS)");
        return None;
    }
    let user = Command::new("id").arg("-u").output().unwrap();
    let namespaces: &[&str] =
        if user.stdout.trim_ascii() == b"0" { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    let ran = Command::new("timeout")
        .args(["240", "unshare"])
        .args(namespaces)
        .args(["sh", "-c", &format!("{BEGIN}{script}")])
        .current_dir(dir)
        .env("ROOST", roost())
        .env("ADDRESS", address)
        .output()
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{}; ROOST_NO_MOUNTS=1 where nothing may be mounted\n{said}\n{errors}", ran.status);
    Some(
        said.lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect(),
    )
}

/// A command ended so, and said so.
fn ended(said: &BTreeMap<String, String>, name: &str, code: u8, words: &str) {
    let found = &said[name];
    assert!(found.starts_with(&format!("{code} ")) && found.contains(words), "{name}: {found}");
    assert!(!found.contains("damaged") && !found.contains("malformed"), "{name}: {found}");
}

/// What does not compress to less than the room there is.
fn large() -> String {
    (0..1_500_u32).map(|number| roost_shared::Hash::of(&[&number.to_be_bytes()]).to_string()).collect()
}

#[test]
fn a_device_on_a_full_disk_reads_and_waits_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    one.ok(&["insert", "notes", "0", "hello"]);
    one.ok(&["sync"]);
    other.ok(&["sync"]);
    one.ok(&["insert", "notes", "5", " from one"]);
    one.ok(&["insert", "large", "0", &large()]);
    one.ok(&["sync"]);
    std::fs::write(dir.path().join("large"), large()).unwrap();
    let script = r#"
        cp -a other disk/other; fill
        try cat r disk/other cat notes
        try insert r disk/other insert notes 0 "$(head -c 60000 large)"
        try again r disk/other cat notes
        try sync r disk/other sync --wait 5s
        try init r disk/new --server "$ADDRESS" init --name new
        mkfifo lines; "$ROOST" --data-dir disk/other --json sync --watch >lines 2>watch.err & watch=$!
        while read -r line; do
            case $line in
                *'"fault":"disk_full"'*) rm -f disk/fill ;;
                *'"synced":true'*) break ;;
            esac
        done <lines
        kill $watch; wait $watch || true
        try watched r disk/other cat notes
        try well r disk/other doctor
        try made r disk/new --server "$ADDRESS" init --name new
        say workspaces "$(ls disk/new/*.db | wc -l)"
        mount -o remount,ro disk
        try ro_cat r disk/other cat notes
        try ro_insert r disk/other insert notes 0 x
        mount -o remount,rw disk
        try rw_insert r disk/other insert notes 0 x
        try digest r disk/other digest large
    "#;
    let Some(said) = on_a_small_disk(dir.path(), &server.address(), script) else { return };
    ended(&said, "cat", 0, "hello");
    ended(&said, "insert", 75, "the disk is full");
    assert_eq!(said["again"].trim(), "0 hello", "what was refused left nothing");
    ended(&said, "sync", 75, "the disk is full");
    ended(&said, "init", 75, "the disk is full");
    ended(&said, "watched", 0, "hello from one");
    ended(&said, "well", 0, "");
    ended(&said, "made", 0, "its owner");
    assert_eq!(said["workspaces"].trim(), "1", "the try that failed left nothing");
    ended(&said, "ro_cat", 0, "hello from one");
    ended(&said, "ro_insert", 1, "read-only");
    ended(&said, "rw_insert", 0, "inserted 1");
    ended(&said, "digest", 0, one.ok(&["digest", "large"]).trim());
}

#[test]
fn a_server_on_a_full_disk_serves_reads_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (address, port) = (server.address(), server.port().to_string());
    let (one, other) = two_devices(dir.path(), &address);
    one.ok(&["insert", "notes", "0", "hello"]);
    one.ok(&["sync"]);
    assert!(server.terminate());
    one.ok(&["insert", "notes", "0", &large()]);
    let script = r#"
        cp -a server disk/server; fill
        mkfifo lines; "$ROOST" serve --listen "127.0.0.1:$PORT" --data-dir disk/server >lines 2>serve.err & serve=$!
        read -r line <lines
        say listening "$line"
        try read r other sync --wait 60s
        try full r one --json sync --wait 5s
        rm disk/fill
        try room r one sync --wait 60s
        try after r other sync --wait 60s
        kill $serve; wait $serve || true
        say log "$(grep -c 'disk_full' serve.err || true)"
        fill
        try new "$ROOST" serve --listen 127.0.0.1:0 --data-dir disk/none
        mount -o remount,ro disk
        try ro "$ROOST" serve --listen 127.0.0.1:0 --data-dir disk/server
    "#;
    let script = format!("PORT={port}\n{script}");
    let Some(said) = on_a_small_disk(dir.path(), &address, &script) else { return };
    assert!(said["listening"].starts_with("listening on"), "{said:?}");
    ended(&said, "read", 0, "");
    assert_eq!(other.ok(&["cat", "notes"]).len(), "hello".len() + large().len(), "and what came when there was room");
    ended(&said, "full", 75, "storage_full");
    ended(&said, "room", 0, "everything here is on the server");
    ended(&said, "after", 0, "");
    assert_ne!(said["log"].trim(), "0", "the log names the fault");
    ended(&said, "new", 75, "the disk is full");
    ended(&said, "ro", 1, "read-only");
    let device = Device::new(dir.path().join("one"));
    assert_eq!(device.ok(&["digest", "notes"]), other.ok(&["digest", "notes"]));
}
