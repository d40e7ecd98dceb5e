//! The example apps, each on two devices with a real server.

use std::path::{Path, PathBuf};
use std::process::Command;

use roost_e2e::live::process::{Server, roost};

/// One device with an example app on it.
struct App {
    example: &'static str,
    dir: PathBuf,
}

impl App {
    fn new(example: &'static str, dir: &Path, name: &str) -> Self {
        Self { example, dir: dir.join(name) }
    }

    fn run(&self, options: &[&str], words: &[&str]) -> Result<String, String> {
        let binary = roost().with_file_name("examples").join(self.example);
        let ran = Command::new(&binary).args(options).arg(&self.dir).args(words).output();
        let ran = ran.unwrap_or_else(|error| panic!("{}: {error}: run cargo build --examples first", binary.display()));
        if ran.status.success() {
            return Ok(String::from_utf8(ran.stdout).unwrap().trim_end().to_owned());
        }
        Err(String::from_utf8_lossy(&ran.stderr).into_owned())
    }

    fn ok(&self, words: &[&str]) -> String {
        self.run(&[], words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    fn old(&self, words: &[&str]) -> String {
        self.run(&["--release", "1"], words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }
}

#[test]
fn the_food_diary_is_updated_on_one_device_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let [laptop, phone] = ["laptop", "phone"].map(|name| App::new("food_diary", dir.path(), name));
    laptop.old(&["create", &server.address()]);
    let apple = laptop.old(&["food", "apple", "52"]);
    laptop.old(&["meal", &apple, "2"]);
    laptop.old(&["note", "monday", "much"]);
    phone.old(&["join", &laptop.old(&["share"])]);
    phone.old(&["meal", &apple, "1"]);

    // The laptop has the new release, the phone not yet.
    laptop.ok(&["meal", &apple, "3"]);
    let shown = laptop.ok(&["show"]);
    assert_eq!(
        shown,
        "apple: 52 kcal a 100 g, eaten 1 times\n60 minutes of apple\n120 minutes of apple\n180 minutes of apple\nnote/monday: much"
    );
    phone.old(&["meal", &apple, "4"]);
    let late = phone.run(&["--release", "1"], &["note", "monday", "more"]).unwrap_err();
    assert!(late.contains("update the app"), "{late}");

    phone.ok(&["food", "plum", "46"]);
    phone.ok(&["note", "monday", "and more"]);
    let shown = phone.ok(&["show"]);
    assert!(
        shown.contains("240 minutes of apple") && shown.contains("plum: 46 kcal a piece, eaten 0 times"),
        "{shown}"
    );
    assert!(shown.ends_with("note/monday: much / and more"), "{shown}");
    assert_eq!(laptop.ok(&["show"]), shown);
}

#[test]
fn the_outliner_moves_types_undoes_and_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let [laptop, phone] = ["laptop", "phone"].map(|name| App::new("outliner", dir.path(), name));
    laptop.ok(&["create", &server.address()]);
    let list = laptop.ok(&["add", "root", "groceries"]);
    let eggs = laptop.ok(&["add", &list, "eggs"]);
    phone.ok(&["join", &laptop.ok(&["share"])]);
    assert_eq!(phone.ok(&["show"]), format!("- groceries  [{list}]\n  - eggs  [{eggs}]"));
    phone.ok(&["type", &eggs, "ten eggs"]);
    let tea = laptop.ok(&["add", "root", "tea"]);
    laptop.ok(&["show"]);
    laptop.ok(&["move", &tea, &list]);
    let whole = format!("- groceries  [{list}]\n  - ten eggs  [{eggs}]\n  - tea  [{tea}]");
    assert_eq!(laptop.ok(&["show"]), whole);
    assert_eq!(phone.ok(&["show"]), whole);

    // Each takes back its own.
    assert_eq!(phone.ok(&["undo"]), "undone");
    assert_eq!(laptop.ok(&["show"]), whole.replace("ten eggs", "eggs"));
    assert_eq!(phone.ok(&["undo"]), "there is nothing of yours to undo");
    assert_eq!(phone.ok(&["redo"]), "made again");
    assert_eq!(laptop.ok(&["undo"]), "undone");
    assert!(laptop.ok(&["show"]).contains(&format!("\n- tea  [{tea}]")), "it is back at the root");

    laptop.ok(&["delete", &list]);
    let left = format!("- tea  [{tea}]");
    assert_eq!(phone.ok(&["show"]), left);
    let versions: Vec<String> =
        phone.ok(&["history"]).lines().map(|line| line.split("  ").next().unwrap().to_owned()).collect();
    assert!(versions.len() >= 2, "{versions:?}");
    let earlier = versions.iter().find(|version| phone.ok(&["show", version]).contains("groceries")).unwrap();
    let restored = phone.ok(&["restore", earlier]);
    assert!(restored.contains("groceries"), "{restored}");
    assert_eq!(laptop.ok(&["show"]), restored);
    let wrong = laptop.run(&[], &["type", "nowhere", "x"]).unwrap_err();
    assert!(wrong.contains("no node"), "{wrong}");
}
