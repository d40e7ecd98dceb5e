//! What a leaked link, a revoked device and a stolen database get, on a real server.

use std::path::Path;
use std::time::Duration;

use roost::keys::link::ShareLink;
use roost::keys::ring::KeyRing;
use roost::keys::{KeyPair, seal};
use roost::{Code, DeviceId};
use roost_e2e::live::process::{Device, Server};
use roost_e2e::live::speaker::{self, Speaker, next};
use roost_shared::Envelope;
use roost_shared::roster::{Record, Status};
use roost_shared::wire::http::{Base64, Redeem};
use roost_shared::wire::message::ServerMessage;
use rusqlite::{Connection, OpenFlags};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::kills::two_devices;

/// How many try to use one link at once.
const TRIES: usize = 1_000;
/// Sockets open when a device is revoked: this many are its own, as many another's.
const STREAMS: usize = 50;
/// A revocation reaches every socket within this; what is printed is far below.
const REVOKED_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_who_redeem_a_link_one_gets_in() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let one = Device::new(dir.path().join("one"));
    one.ok(&["init", "--server", &server.address()]);
    let link: ShareLink = one.ok(&["share"]).trim().parse().unwrap();
    let client = speaker::server(&server.address()).unwrap();
    let mut tries = JoinSet::new();
    for number in 0..TRIES {
        let mut id = [0x77; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let redeem = Redeem {
            workspace: link.workspace(),
            link_proof: Base64(link.invite().link_proof().to_vec()),
            access_proof: Base64(link.invite().access_proof().to_vec()),
            device: DeviceId(id),
        };
        let client = client.clone();
        tries.spawn(async move { client.redeem(&redeem).await.map(|_| ()).map_err(|error| error.code()) });
    }
    let answers = tries.join_all().await;
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers.iter().filter(|answer| **answer == Err(Some(Code::LinkUnavailable))).count();
    let limited = answers.iter().filter(|answer| **answer == Err(Some(Code::TooMany))).count();
    println!(
        "figure: {TRIES} redeem one link at once: {won} gets in, {refused} are refused, {limited} are told to wait"
    );
    assert_eq!((won, won + refused + limited), (1, TRIES), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_reaches_every_open_socket() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    one.ok(&["sync"]);
    other.ok(&["sync"]);
    let mut streams = JoinSet::new();
    let mut kept = Vec::new();
    for (device, is_revoked) in [(&one, false), (&other, true)] {
        let speaker = Speaker::of(device.dir()).unwrap();
        let token = speaker.token(&server.address()).await.unwrap();
        for _ in 0..STREAMS {
            let mut socket = speaker.connect(&server.address(), &token).await.unwrap();
            if is_revoked {
                streams.spawn(async move {
                    while next(&mut *socket).await.is_ok() {}
                    Instant::now()
                });
            } else {
                kept.push(socket);
            }
        }
    }
    let dir = one.dir().to_owned();
    let revoking = tokio::task::spawn_blocking(move || Device::new(dir).ok(&["revoke", "other"]));
    revoking.await.unwrap();
    let revoked = Instant::now();
    let closed = tokio::time::timeout(REVOKED_WITHIN, streams.join_all()).await.expect("every socket is closed");
    let last = closed.iter().map(|closed| closed.saturating_duration_since(revoked)).max().unwrap_or_default();
    // Those of the device that stays are told of the record, and stay.
    for socket in &mut kept {
        while !matches!(next(&mut **socket).await.unwrap(), ServerMessage::Entries { .. }) {}
    }
    println!(
        "figure: {STREAMS} sockets of a revoked device closed, the last {last:?} after roost revoke returned; {STREAMS} others stayed"
    );
    let (code, error) = other.fails(&["sync"]);
    assert_eq!(code, 3, "{error}");
}

/// Every envelope of a server's database.
fn stolen(data_dir: &Path) -> Vec<Envelope> {
    let database = Connection::open_with_flags(data_dir.join("log.db"), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    let mut bodies = database.prepare("SELECT body FROM entry ORDER BY seq").unwrap();
    let bodies = bodies.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    bodies.map(|body| Envelope::parse(body.unwrap()).unwrap()).collect()
}

#[test]
fn a_revoked_device_with_the_whole_database_opens_nothing_later() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("server");
    let server = Server::start(&data_dir, &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    one.ok(&["insert", "notes", "0", "before"]);
    one.ok(&["sync"]);
    other.ok(&["sync"]);
    one.ok(&["revoke", "other"]);
    for word in ["after ", "long after ", "later still "] {
        one.ok(&["insert", "notes", "0", word]);
        one.ok(&["sync"]);
    }
    assert!(server.terminate());
    let entries = stolen(&data_dir);
    let is_control = |entry: &&Envelope| !entry.header().kind.is_sealed();
    let records: Vec<Record> =
        entries.iter().filter(is_control).map(|entry| Record::parse(entry.body().to_vec()).unwrap()).collect();
    let opened = |keys: &KeyPair| {
        let ring = KeyRing::open(&records, &[keys]);
        let mut open = Vec::new();
        for entry in entries.iter().filter(|entry| entry.header().kind.is_sealed()) {
            let key = ring.get(entry.header().epoch);
            open.push(key.is_some_and(|key| seal::plaintext(key, entry).is_ok()));
        }
        open
    };
    let (owners, theirs) = (Speaker::of(one.dir()).unwrap(), Speaker::of(other.dir()).unwrap());
    let roster = owners.held.roster();
    assert_eq!(roster.member(theirs.keys.device_id()).map(|member| member.device.status), Some(Status::Revoked));
    let (all, some) = (opened(&owners.keys), opened(&theirs.keys));
    assert!(all.iter().all(|open| *open), "the owner opens all");
    let before = some.iter().take_while(|open| **open).count();
    let later = some.len() - before;
    let later_opened = some[before..].iter().filter(|open| **open).count();
    println!(
        "figure: a revoked device with the whole database opens {before} earlier entries and {later_opened} of {later} later ones"
    );
    assert!(before > 0 && later >= 3 && later_opened == 0);
}
