//! What the server holds: no word of the documents, no name, no token, no link.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use roost::Durability;
use roost::keys::KeyPair;
use roost::store::Store;
use roost_e2e::live::cable::Cable;
use roost_e2e::live::log::hits;
use roost_e2e::live::process::{Device, Server};
use roost_e2e::live::speaker::{self, Speaker, next};
use roost_e2e::live::trace::{Trace, recorded, typed};
use roost_shared::limits::PADDING_FLOOR;
use roost_shared::wire::message::{Append, ClientMessage, ServerMessage};
use roost_shared::{DocumentId, Envelope, Hash, Header, Kind};

/// Words of the document to look for.
const WORDS: usize = 40;
/// Edits of the session that the typist makes.
const EDITS: usize = 10_000;

#[test]
fn the_server_holds_nothing_in_clear() {
    nothing_in_clear(&typed(3, EDITS));
}

#[test]
fn the_server_holds_nothing_of_a_recorded_session_in_clear() {
    match recorded("sveltecomponent") {
        Some(trace) => nothing_in_clear(&trace),
        None => println!("figure: secrets: no recording here, so the typed session stands alone"),
    }
}

fn nothing_in_clear(Trace { name, file, end }: &Trace) {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("server");
    let server = Server::start(&data_dir, &[]);
    let one = Device::new(dir.path().join("one"));
    one.ok(&["init", "--server", &server.address(), "--name", "grandmothers-laptop"]);
    let link = one.ok(&["share"]);
    let other = Device::new(dir.path().join("other"));
    other.ok(&["join", "--name", "kitchen-tablet", link.trim()]);
    // Words that the server's own tables and logs are written in say nothing: not those.
    let mut words: Vec<&str> = end.split(|letter: char| !letter.is_alphanumeric()).filter(|w| w.len() >= 7).collect();
    words.sort_unstable();
    words.dedup();
    words.retain(|word| hits(&data_dir, &[word.as_bytes().to_vec()]) == 0);
    let step = words.len() / WORDS;
    let mut wanted: Vec<Vec<u8>> =
        words.iter().step_by(step.max(1)).take(WORDS).map(|word| word.as_bytes().to_vec()).collect();
    assert_eq!(wanted.len(), WORDS);
    one.ok(&["replay", "plum-cake-recipes", &file.to_string_lossy()]);
    one.ok(&["sync"]);
    other.ok(&["sync"]);

    for name in ["plum-cake-recipes", "grandmothers-laptop", "kitchen-tablet"] {
        wanted.push(name.as_bytes().to_vec());
    }
    let secret = link.trim().rsplit("#v1.").next().unwrap();
    wanted.push(secret.as_bytes().to_vec());
    wanted.push(token(&one, &server.address()).into_bytes());

    // While it runs: database and WAL; and after it stopped: everything is in the database.
    let running = hits(&data_dir, &wanted);
    assert!(server.terminate());
    let stopped = hits(&data_dir, &wanted);
    println!(
        "figure: secrets of {name}: {} words, names, tokens and links searched, {} hits",
        wanted.len(),
        running + stopped
    );
    assert_eq!((running, stopped), (0, 0));
    // The search itself finds what is there.
    assert_eq!(hits(&data_dir, &[b"SQLite format 3".to_vec()]), 1);
}

/// Words that stand nowhere by chance.
const CANARIES: usize = 200;

fn canary(number: usize) -> String {
    let hash = Hash::of(&[b"canary", &number.to_be_bytes()]).to_string();
    format!("canary{}", &hash[..14])
}

/// As somebody might write it by accident: as it is, in hex, in base64 of either alphabet (the letters that do not depend
/// on what stands before), in UTF-16, in JSON escapes.
fn encodings(word: &str) -> Vec<Vec<u8>> {
    let bytes = word.as_bytes();
    let mut all = vec![bytes.to_vec(), hex::encode(bytes).into_bytes(), hex::encode_upper(bytes).into_bytes()];
    for before in 0..3 {
        let padded = [&vec![0; before][..], bytes].concat();
        let whole = bytes.len() + before;
        let (from, until) = ((before * 8).div_ceil(6), whole * 8 / 6);
        all.push(STANDARD_NO_PAD.encode(&padded).as_bytes()[from..until].to_vec());
        all.push(URL_SAFE_NO_PAD.encode(&padded).as_bytes()[from..until].to_vec());
    }
    all.push(word.encode_utf16().flat_map(u16::to_le_bytes).collect());
    all.push(word.chars().map(|letter| format!("\\u{:04x}", u32::from(letter))).collect::<String>().into_bytes());
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn two_hundred_canaries_in_five_encodings() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("server");
    let server = Server::start(&data_dir, &[]);
    let canaries: Vec<String> = (0..CANARIES).map(canary).collect();
    let [device_name, joiner_name, document, key, passcode, rest @ ..] = &canaries[..] else {
        panic!("enough of them")
    };
    let one = Device::new(dir.path().join("one"));
    one.ok(&["init", "--server", &server.address(), "--name", device_name]);
    let shared = one.run_with(&["share", "--passcode-stdin"], passcode);
    let link = String::from_utf8(shared.stdout).unwrap().trim().to_owned();
    let other = Device::new(dir.path().join("other"));
    let joined =
        other.run_with(&["join", "-", "--passcode-stdin", "--name", joiner_name], &format!("{link}\n{passcode}"));
    assert!(joined.status.success(), "{joined:?}");
    one.ok(&["insert", document, "0", &rest.join(" ")]);
    one.ok(&["set", document, key, &format!("\"{}\"", rest[0])]);
    one.ok(&["sync"]);
    one.ok(&["rename", joiner_name, &rest[1]]);
    other.ok(&["sync"]);
    let mut wanted: Vec<Vec<u8>> = canaries.iter().flat_map(|word| encodings(word)).collect();
    let secret = link.rsplit("#v1p.").next().unwrap();
    wanted.extend([secret.as_bytes().to_vec(), token(&one, &server.address()).into_bytes()]);
    let running = hits(&data_dir, &wanted);
    assert!(server.terminate());
    let stopped = hits(&data_dir, &wanted);
    println!(
        "figure: {CANARIES} canaries, {} spellings, in database, WAL and log: {} hits",
        wanted.len(),
        running + stopped
    );
    assert_eq!((running, stopped), (0, 0));

    // A server that leaks is caught: one canary a spelling, written where a careless one would write it.
    for (number, spelling) in encodings(&canaries[7]).into_iter().enumerate() {
        let leaky = dir.path().join(format!("leaky-{number}"));
        std::fs::create_dir(&leaky).unwrap();
        std::fs::write(leaky.with_extension("log"), [b"INFO joined name=", &spelling[..], b"\n"].concat()).unwrap();
        assert!(hits(&leaky, &wanted) > 0, "{}", String::from_utf8_lossy(&spelling));
    }
}

/// Builds that leak, each in its way: the same search finds it.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_leaks_is_caught() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("server");
    let (cable, listener) = Cable::new().unwrap();
    let server = Server::start(&data_dir, &["--public-url", &cable.address()]);
    cable.plug(listener, server.port());
    let one = Device::new(dir.path().join("one"));
    one.ok(&["init", "--server", &cable.address()]);
    let wanted = encodings(&canary(0));

    // A client that signs and sends what it should have sealed.
    let speaker = Speaker::of(one.dir()).unwrap();
    let token = speaker.token(&cable.address()).await.unwrap();
    let mut socket = speaker.connect(&cable.address(), &token).await.unwrap();
    let header = Header {
        kind: Kind::Update,
        epoch: 1,
        workspace: speaker.workspace,
        log: speaker.log.id,
        document: DocumentId([1; 16]),
        author: speaker.keys.device_id(),
        author_seq: 1,
        base_size: speaker.log.cursor(),
        base_root: speaker.log.frontier.root(),
        nonce: [9; 24],
    };
    let mut body = canary(0).into_bytes();
    body.resize(PADDING_FLOOR + 16, 0);
    let envelope = Envelope::build(header, &body, |text| speaker.keys.sign(text));
    let append = Append { id: 1, if_tail: None, envelopes: vec![envelope.into_bytes()] };
    assert_eq!(hits(&data_dir, &wanted), 0);
    assert!(socket.send(ClientMessage::Append(append).encode()));
    while !matches!(next(&mut *socket).await.unwrap(), ServerMessage::Appended { .. }) {}
    let unsealed = hits(&data_dir, &wanted);

    // A server that writes to its log what it hears and says.
    let log = std::fs::OpenOptions::new().append(true).open(data_dir.with_extension("log")).unwrap();
    let before = hits(&data_dir, &[token.as_bytes().to_vec()]);
    cable.write_down(log);
    let later = speaker.token(&cable.address()).await.unwrap();
    let logged = hits(&data_dir, &[later.into_bytes()]);
    println!(
        "figure: builds that leak on purpose: {unsealed} hits for a client that does not seal, {logged} for a server that logs its traffic"
    );
    assert!((unsealed, before, logged) == (1, 0, 1), "{unsealed} {before} {logged}");
}

/// A token as the device would get it.
fn token(device: &Device, address: &str) -> String {
    let file = std::fs::read_dir(device.dir()).unwrap().flatten().map(|entry| entry.path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "db")).unwrap();
    let identity = Store::open(&file, Durability::Process).unwrap().identity().unwrap().unwrap();
    let keys = KeyPair::device(&identity.device_seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = speaker::server(address).unwrap();
    runtime.block_on(client.session(identity.workspace, &keys)).unwrap().token
}
