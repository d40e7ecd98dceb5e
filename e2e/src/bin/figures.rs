//! Figures of one run on this machine, each against a limit measured beside it. Typed is the recorded paper where it is at
//! hand, else a session of the typist.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use roost::Roost;
use roost::keys::ring::KeyRing;
use roost::keys::seal;
use roost::loro::{ExportMode, LoroDoc};
use roost_e2e::live::cable::Cable;
use roost_e2e::live::log::facts;
use roost_e2e::live::process::{Device, Server};
use roost_e2e::live::speaker::{Problem, Speaker, next};
use roost_e2e::live::trace::{Trace, recorded, typed};
use roost_shared::limits::SEAL_PAUSE_MS;
use roost_shared::wire::message::{Append, ClientMessage, ServerMessage};
use roost_shared::{DocumentId, Header, Kind};
use rusqlite::{Connection, OptionalExtension as _};
use tokio::time::{Instant, MissedTickBehavior};

/// Edits of the typist's session: at its rate it takes as long as the recorded paper at its own.
const TYPED: usize = 40_000;
/// Appends, and commits of the limit they are held against.
const ROUNDS: usize = 500;
/// Edits, each after a rest: what is typed at once shares an envelope.
const EDITS: usize = 50;
const REST: Duration = Duration::from_millis(SEAL_PAUSE_MS + 10);
const PATIENCE: Duration = Duration::from_secs(60);

type Figures = Result<(), Problem>;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new();
    let done = runtime.map_err(Into::into).and_then(|runtime| {
        match recorded("automerge-paper") {
            Some(paper) => bytes(&paper, "11000")?,
            None => bytes(&typed(1, TYPED), "1700")?,
        }
        runtime.block_on(acks())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("figures: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What a device sends for a trace, and what the server spends on it.
fn bytes(trace: &Trace, rate: &str) -> Figures {
    let dir = tempfile::tempdir()?;
    let data_dir = dir.path().join("server");
    let (cable, listener) = Cable::new()?;
    let server = Server::start_quiet(&data_dir, &["--public-url", &cable.address()]);
    cable.plug(listener, server.port());
    let device = Device::new(dir.path().join("device"));
    device.ok(&["init", "--server", &cable.address()]);
    let (cpu, up) = (server.cpu_seconds(), cable.up_bytes());
    device.ok(&["replay", "doc", &trace.file.to_string_lossy(), "--rate", rate]);
    device.ok(&["sync"]);
    let (cpu, up) = (server.cpu_seconds() - cpu, cable.up_bytes() - up);
    let text = device.ok(&["cat", "doc"]);
    server.terminate();
    let facts = facts(&data_dir);
    let export = export_of(device.dir())?;
    say(&format!(
        "{}: server CPU {:.0} µs an append ({} entries); A sent {up} bytes ({} of them sealed entries), {:.2} times one Loro export of {export} bytes, for a text of {} bytes",
        trace.name,
        cpu * 1e6 / facts.entries as f64,
        facts.entries,
        facts.sealed_bytes,
        up as f64 / export as f64,
        text.len(),
    ));
    Ok(())
}

/// One export of all updates of the largest document in a device's file.
fn export_of(dir: &Path) -> Result<usize, Problem> {
    let files = std::fs::read_dir(dir)?.flatten().map(|entry| entry.path());
    let path = files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "db"));
    let file = Connection::open(path.ok_or("no file")?)?;
    let mut documents = file.prepare("SELECT id FROM document")?;
    let ids: Vec<Vec<u8>> = documents.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut largest = 0;
    for id in ids {
        let loro = LoroDoc::new();
        let snapshot = file.query_row("SELECT bytes FROM snapshot WHERE document = ?1", [&id], |row| row.get(0));
        let snapshot: Option<Vec<u8>> = snapshot.optional()?;
        if let Some(snapshot) = snapshot {
            loro.import(&snapshot)?;
        }
        let mut changes = file.prepare("SELECT bytes FROM change WHERE document = ?1 ORDER BY key")?;
        let changes: Vec<Vec<u8>> = changes.query_map([&id], |row| row.get(0))?.collect::<Result<_, _>>()?;
        loro.import_batch(&changes)?;
        largest = largest.max(loro.export(ExportMode::all_updates())?.len());
    }
    Ok(largest)
}

/// From an Append written to its Appended, and from an edit to "on the server", against one commit of SQLite that
/// waits for the disk.
async fn acks() -> Figures {
    let dir = tempfile::tempdir()?;
    let limit = commits(&dir.path().join("limit.db"))?;
    let server = Server::start_quiet(&dir.path().join("server"), &[]);
    let data_dir = dir.path().join("device");
    let roost = Roost::builder(&data_dir).open().await?;
    let workspace = roost.create_workspace(&server.address(), "device").await?;
    let document = workspace.document("doc")?;
    workspace.wait_synced(PATIENCE).await?;
    let mut edits = Vec::with_capacity(EDITS);
    let mut rested = tokio::time::interval(REST);
    rested.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0..EDITS {
        rested.tick().await;
        document.edit(|loro| loro.get_map("root").insert("round", i64::try_from(round).unwrap_or(0)))?;
        let started = Instant::now();
        workspace.wait_until(PATIENCE, |status| status.on_server).await?;
        edits.push(started.elapsed());
    }
    drop(document);
    workspace.close().await;
    let cpu = server.cpu_seconds();
    let appends = appends(&data_dir, &server.address()).await?;
    let cpu = (server.cpu_seconds() - cpu) * 1e6 / ROUNDS as f64;
    let (appends, edits) = (median(appends), median(edits));
    let ratio = |time: Duration| time.as_secs_f64() / limit.as_secs_f64();
    say(&format!(
        "one synchronous=FULL commit: p50 {limit:?}; Append written to Appended: p50 {appends:?}, {:.1} times that, {cpu:.0} µs of server CPU each; edit to entry met on the server: p50 {edits:?}, {:.1} times",
        ratio(appends),
        ratio(edits),
    ));
    Ok(())
}

/// Speaks the protocol itself: one envelope an Append, the next after the ack.
async fn appends(dir: &Path, server: &str) -> Result<Vec<Duration>, Problem> {
    let speaker = Speaker::of(dir)?;
    let (log, keys, workspace) = (&speaker.log, &speaker.keys, speaker.workspace);
    let epoch = speaker.held.roster().epoch();
    let ring = KeyRing::open(speaker.held.records(), &[keys]);
    let key = ring.get(epoch).ok_or("no key")?;
    let last = log.authors.get(&keys.device_id()).map_or(0, |author| author.last);
    let (base_size, base_root) = (log.cursor(), log.frontier.root());
    let mut socket = speaker.connect(server, &speaker.token(server).await?).await?;
    let mut times = Vec::with_capacity(ROUNDS);
    for (round, author_seq) in (0..ROUNDS as u64).zip(last + 1..) {
        let header = Header {
            kind: Kind::Update,
            epoch,
            workspace,
            log: log.id,
            document: DocumentId([1; 16]),
            author: keys.device_id(),
            author_seq,
            base_size,
            base_root,
            nonce: [9; 24],
        };
        let envelope = seal::envelope(key, keys, header, &[7; 368]);
        let append = Append { id: round, if_tail: None, envelopes: vec![envelope.into_bytes()] };
        let bytes = ClientMessage::Append(append).encode();
        let started = Instant::now();
        socket.send(bytes);
        loop {
            match next(&mut *socket).await? {
                ServerMessage::Appended { id, .. } if id == round => break,
                ServerMessage::Refused { code, .. } => return Err(format!("refused: {code}").into()),
                _ => {}
            }
        }
        times.push(started.elapsed());
    }
    Ok(times)
}

fn commits(path: &Path) -> Result<Duration, rusqlite::Error> {
    let file = Connection::open(path)?;
    file.pragma_update(None, "journal_mode", "WAL")?;
    file.pragma_update(None, "synchronous", "FULL")?;
    file.execute("CREATE TABLE entry (seq INTEGER PRIMARY KEY, body BLOB)", [])?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        file.execute("INSERT INTO entry (body) VALUES (?1)", [vec![7u8; 600]])?;
        times.push(started.elapsed());
    }
    Ok(median(times))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
