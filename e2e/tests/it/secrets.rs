//! What the server holds: no word of the documents, no name, no token, no link.

use roost::Durability;
use roost::keys::KeyPair;
use roost::store::Store;
use roost::transport::http::Http;
use roost_e2e::live::log::hits;
use roost_e2e::live::process::{Device, Server};
use roost_e2e::live::trace::trace;

/// Words of the document to look for.
const WORDS: usize = 40;

#[test]
fn the_server_holds_nothing_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("server");
    let server = Server::start(&data_dir, &[]);
    let (file, end) = trace("sveltecomponent");
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
    println!("figure: secrets {} words, names, tokens and links searched, {} hits", wanted.len(), running + stopped);
    assert_eq!((running, stopped), (0, 0));
    // The search itself finds what is there.
    assert_eq!(hits(&data_dir, &[b"SQLite format 3".to_vec()]), 1);
}

/// A token as the device would get it.
fn token(device: &Device, address: &str) -> String {
    let file = std::fs::read_dir(device.dir()).unwrap().flatten().map(|entry| entry.path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "db")).unwrap();
    let identity = Store::open(&file, Durability::Process).unwrap().identity().unwrap().unwrap();
    let keys = KeyPair::device(&identity.device_seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let http = Http::new(address, None).unwrap();
    runtime.block_on(http.session(identity.workspace, &keys)).unwrap().token
}
