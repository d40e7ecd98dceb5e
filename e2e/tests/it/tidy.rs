//! What must not be there.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Rust files below a folder, with their text.
pub fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// Code without comments: what stands there may speak of anything.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or_default())
}

/// No line of these sources holds any of these words.
fn is_absent(folder: &str, words: &[&str], but_in: &[&str]) {
    for (name, text) in sources(folder) {
        if but_in.iter().any(|allowed| name.contains(allowed)) {
            continue;
        }
        for (line, number) in code(&text).zip(1..) {
            for word in words {
                assert!(!line.contains(word), "{name}:{number} holds {word}");
            }
        }
    }
}

fn dependencies(package: &str) -> String {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", package, "-e", "normal", "--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    String::from_utf8(tree.stdout).unwrap()
}

fn links_none_of(package: &str, banned: &[&str]) {
    for line in dependencies(package).lines() {
        assert!(!banned.iter().any(|name| line.starts_with(name)), "{package} links {line}");
    }
}

#[test]
fn shared_knows_no_io_cipher_or_crdt() {
    links_none_of(
        "roost-shared",
        &["tokio", "sqlx", "rusqlite", "loro", "chacha20poly1305", "aes-gcm", "x25519-dalek", "getrandom "],
    );
    is_absent("shared/src", &["std::fs", "std::net", "std::time", "async "], &[]);
}

#[test]
fn the_server_links_no_crdt_and_no_cipher_of_ours() {
    links_none_of("roost-server", &["loro", "chacha20poly1305", "aes-gcm", "x25519-dalek", "rusqlite"]);
}

#[test]
fn the_client_does_not_depend_on_the_server() {
    links_none_of("roost-client", &["roost-server", "axum", "sqlx"]);
}

#[test]
fn the_machine_is_pure() {
    is_absent(
        "client/src/sync",
        &["async ", ".await", "SystemTime", "Instant", "getrandom", "rusqlite", "tokio", "Clock"],
        &[],
    );
}

#[test]
fn one_file_names_a_status() {
    is_absent("server/src", &["StatusCode"], &["http/error.rs"]);
}

#[test]
fn sql_stays_in_the_stores() {
    let words = ["SELECT ", "INSERT ", "UPDATE ", "DELETE FROM"];
    is_absent("server/src", &words, &["/store/"]);
    is_absent("client/src", &words, &["/store/"]);
}

#[test]
fn one_file_reads_time_and_randomness_in_the_client() {
    is_absent("client/src", &["SystemTime", "Instant::now", "getrandom"], &["clock.rs", "workspace.rs"]);
    // There it is tokio's own timer, for a caller's patience.
    is_absent("client/src", &["std::time::Instant"], &["clock.rs"]);
}

#[test]
fn no_channel_is_unbounded() {
    for folder in ["shared/src", "server/src", "client/src", "cli/src"] {
        is_absent(folder, &["unbounded"], &[]);
    }
}

/// What others wrote is escaped where a command speaks; who writes past that door does not escape.
#[test]
fn the_command_line_speaks_through_one_door() {
    is_absent("cli/src", &["stdout()", "stderr()", "print!", "println!"], &["output.rs"]);
    is_absent("cli/src", &["exactly("], &["output.rs", "commands/documents.rs", "commands/history.rs"]);
    is_absent("cli/src", &["picture("], &["output.rs", "commands/membership.rs"]);
}

#[test]
fn tests_do_not_sleep() {
    for folder in ["shared/tests", "server/tests", "e2e/src", "e2e/tests"] {
        is_absent(folder, &["thread::sleep", "time::sleep", "#[ignore"], &["tidy.rs"]);
    }
}

#[test]
fn files_and_names_say_what_they_are() {
    let empty = [
        "util",
        "utils",
        "helper",
        "helpers",
        "common",
        "misc",
        "manager",
        "service",
        "engine",
        "processor",
        "types",
        "models",
    ];
    for folder in ["shared/src", "server/src", "client/src", "cli/src", "e2e/src"] {
        for (name, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= 600, "{name} has {lines} lines: what is it hiding?");
            let stem = Path::new(&name).file_stem().unwrap().to_string_lossy().into_owned();
            assert!(!empty.contains(&stem.as_str()), "{name} is a room with an empty name");
        }
    }
}

#[test]
fn planted_bugs_stay_out_of_what_ships() {
    for folder in ["shared/src", "server/src", "client/src", "cli/src"] {
        is_absent(folder, &["Plant", "cfg(feature = \"sim", "planted"], &[]);
    }
}

/// `docs/features.md`: each API, command and test that it names is there, and each row is shown by one or says that it is not.
#[test]
fn what_features_names_exists() {
    let text = std::fs::read_to_string(root().join("docs/features.md")).unwrap();
    let client: String = sources("client/src").into_iter().map(|(_, text)| text).collect();
    let commands = std::fs::read_to_string(root().join("cli/src/args.rs")).unwrap();
    let mut rows = 0;
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.contains("| shown by |")) {
        rows += 1;
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let shown = cells.last().unwrap().trim();
        assert!(!shown.is_empty() || row.contains("*not yet*"), "nothing shows: {row}");
        for named in row.split('`').skip(1).step_by(2) {
            if let Some((file, test)) = named.split_once(".rs::") {
                let text = std::fs::read_to_string(root().join(format!("{file}.rs"))).unwrap_or_default();
                assert!(text.contains(&format!("fn {test}(")), "{named} is not there");
            } else if let Some(command) = named.strip_prefix("roost ") {
                let variant = command[..1].to_uppercase() + &command[1..];
                let is_there =
                    ["", "(", " {", ","].iter().any(|end| commands.contains(&format!("\n    {variant}{end}")));
                assert!(is_there, "there is no command {named}");
            } else if let Some((_, name)) = named.rsplit_once("::") {
                let spellings = [
                    format!("fn {name}"),
                    format!("{name}("),
                    format!("{name},"),
                    format!("{name} {{"),
                    format!("pub {name}:"),
                ];
                let is_there = spellings.iter().any(|spelling| client.contains(spelling));
                assert!(is_there, "there is no {named}");
            }
        }
    }
    assert!(rows > 60, "{rows} rows");
}

/// `docs/walks.md`: each walk has at most twelve steps, and each function that it names is in the file that it names.
#[test]
fn what_the_walks_name_exists() {
    let text = std::fs::read_to_string(root().join("docs/walks.md")).unwrap();
    let mut named = 0;
    for walk in text.split("\n## ").skip(1) {
        let steps = walk.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).count();
        assert!((1..=12).contains(&steps), "{steps} steps: {walk}");
        for place in walk.split('`').skip(1).step_by(2) {
            let (file, function) = place.split_once("::").unwrap_or_else(|| panic!("{place} names no function"));
            let file = match file.split_once(':') {
                Some(("c", file)) => format!("client/src/{file}"),
                Some(("s", file)) => format!("server/src/{file}"),
                _ => panic!("{place} is in no crate"),
            };
            let text = std::fs::read_to_string(root().join(&file)).unwrap_or_default();
            let is_there = ["(", "<"].iter().any(|end| text.contains(&format!("fn {function}{end}")));
            assert!(is_there, "{file} has no {function}");
            named += 1;
        }
    }
    assert!(named > 40, "{named} places");
}
