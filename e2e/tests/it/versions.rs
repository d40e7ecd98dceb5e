//! An app with a schema, on real devices: updated one by one, offline first.

use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roost::json::{Value, json};
use roost::loro::{LoroDoc, LoroMap, LoroResult};
use roost::schema::{Derive, Progress, Rewrite, Schema};
use roost::{Error, Roost, Scope, Sharing, Workspace};
use roost_e2e::live::process::{Device, Server};

const PATIENCE: Duration = Duration::from_secs(60);

fn third() -> Schema {
    let minutes = |meal: &Value| json!({ "minutes": meal["hours"].as_i64().unwrap_or(0) * 60 });
    Schema::new()
        .version(2, |version| version.derive("diary", Derive::each("meals", ["hours"], ["minutes"], minutes)))
        .version(3, |version| version.rewrite("note/*", Rewrite::of(["text"], into_lines)))
}

fn into_lines(loro: &LoroDoc) -> LoroResult<()> {
    let lines = loro.get_list("lines");
    loro.get_text("text").to_string().lines().try_for_each(|line| lines.push(line))
}

fn minutes(loro: &LoroDoc) -> Option<i64> {
    let meal: LoroMap = loro.get_map("meals").get("soup")?.into_container().ok()?.into_map().ok()?;
    let register = meal.get("~derived:minutes")?.get_deep_value().into_map().ok()?;
    register.get("value")?.as_i64().copied()
}

async fn open(dir: &Path, schema: Schema) -> Result<Workspace, Error> {
    Roost::builder(dir).schema(schema).open().await?.only_workspace().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_updated_on_one_device_and_then_on_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, other) = (Device::new(dir.path().join("one")), Device::new(dir.path().join("other")));
    let roost = Roost::builder(one.dir()).schema(Schema::new()).open().await.unwrap();
    let laptop = roost.create_workspace(&server.address(), "laptop").await.unwrap();
    let link = laptop.share(&Sharing::new(Scope::ReadWrite), PATIENCE).await.unwrap().link;
    let roost = Roost::builder(other.dir()).schema(Schema::new()).open().await.unwrap();
    let phone = roost.join(&link, "phone").await.unwrap();
    let (diary, note) = (laptop.document("diary").unwrap(), laptop.document("note/shopping").unwrap());
    diary.edit(|loro| loro.get_map("meals").ensure_mergeable_map("soup")?.insert("hours", 2)).unwrap();
    note.edit(|loro| loro.get_text("text").insert(0, "eggs\nplums\n")).unwrap();
    laptop.wait_synced(PATIENCE).await.unwrap();
    phone.wait_synced(PATIENCE).await.unwrap();
    drop((diary, note));
    laptop.close().await;

    // Updated, with the server out of reach: what can be done is done, and a copy of before is kept.
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let roost = Roost::builder(one.dir())
        .schema(third())
        .paused(true)
        .on_progress(move |progress| tell.lock().unwrap().push(progress))
        .open()
        .await
        .unwrap();
    let laptop = roost.only_workspace().await.unwrap();
    let told = std::mem::take(&mut *told.lock().unwrap());
    assert_eq!(told.len(), 5, "a backup, and two documents twice: {told:?}");
    assert!(matches!(&told[0], Progress::BackedUp { backup } if backup.is_file()), "{told:?}");
    let (diary, note) = (laptop.document("diary").unwrap(), laptop.document("note/shopping").unwrap());
    assert_eq!((diary.read(minutes).unwrap(), note.schema().unwrap()), (Some(120), 2));
    let backup = one.dir().join(format!("{}.before-schema-3.db", laptop.id()));
    assert!(backup.is_file());
    let of_before = note.version().unwrap();
    laptop.resume().await.unwrap();
    laptop.wait_until(PATIENCE, |status| status.synced && note.schema().unwrap() == 3).await.unwrap();
    assert_eq!(note.read(|loro| loro.get_list("lines").len()).unwrap(), 2);
    assert_eq!(note.restore(&of_before).unwrap_err().code(), "version_old_schema", "the lines would be gone");

    // The phone's app is behind the note, and goes on with the diary.
    phone.wait_until(PATIENCE, |status| status.synced && status.behind == Some(3)).await.unwrap();
    let refused = phone.document("note/shopping").unwrap().edit(|loro| loro.get_text("text").insert(0, "no"));
    assert_eq!(refused.unwrap_err().code(), "behind_schema");
    let soup = |loro: &LoroDoc| loro.get_map("meals").ensure_mergeable_map("soup")?.insert("hours", 3);
    phone.document("diary").unwrap().edit(soup).unwrap();
    phone.wait_synced(PATIENCE).await.unwrap();
    laptop.wait_until(PATIENCE, |_| diary.read(minutes).unwrap() == Some(180)).await.unwrap();
    laptop.wait_synced(PATIENCE).await.unwrap();
    phone.close().await;
    let phone = open(other.dir(), third()).await.unwrap();
    phone.wait_synced(PATIENCE).await.unwrap();
    let theirs = phone.document("note/shopping").unwrap();
    assert_eq!(theirs.digest().unwrap(), note.digest().unwrap());
    assert_eq!((phone.status().behind, phone.late_edits().unwrap()), (None, Vec::new()));
    drop((diary, note, theirs));
    laptop.close().await;
    phone.close().await;

    // The command shows documents as they are, and which versions they are of.
    let status: Value = serde_json::from_str(&one.ok(&["status", "--json"])).unwrap();
    let of = |name: &str| status["documents"].as_array().unwrap().iter().find(|listed| listed["name"] == name).unwrap();
    assert_eq!((&of("note/shopping")["schema"], &of("note/shopping")["reader_min"]), (&json!(3), &json!(3)));
    assert_eq!((&of("diary")["schema"], &of("diary")["reader_min"]), (&json!(3), &json!(0)));
    let said = one.ok(&["status"]);
    assert!(said.contains("document note/shopping, schema 3, needs 3"), "{said}");
    let said = one.ok(&["doctor"]);
    assert!(said.contains("note/shopping: loads, schema 3, needs 3\n"), "{said}");
    assert!(said.contains("0 put aside, 0 edits missed a rewrite"), "{said}");
    let (code, error) = one.fails(&["history", "note/shopping", "--at", &of_before.to_string(), "--restore"]);
    assert!(code == 4 && error.contains("edit the document with the app, schema version 3 or newer"), "{code} {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_looks_at_a_rewritten_document_and_does_not_edit_it() {
    let dir = tempfile::tempdir().unwrap();
    let device = Device::new(dir.path().join("one"));
    let roost = Roost::builder(device.dir()).schema(third()).paused(true).open().await.unwrap();
    let laptop = roost.create_workspace("http://127.0.0.1:1", "laptop").await.unwrap();
    let note = laptop.document("note/shopping").unwrap();
    note.edit(|loro| loro.get_text("text").insert(0, "eggs")).unwrap();
    let then = note.version().unwrap().to_string();
    note.edit(|loro| loro.get_map("root").insert("shop", "corner")).unwrap();
    drop(note);
    laptop.close().await;

    let before = device.ok(&["digest", "note/shopping"]);
    let edits: [&[&str]; 5] = [
        &["insert", "note/shopping", "0", "no"],
        &["delete", "note/shopping", "0", "1"],
        &["set", "note/shopping", "shop", "\"no\""],
        &["undo", "note/shopping"],
        &["history", "note/shopping", "--at", then.as_str(), "--restore"],
    ];
    for edit in edits {
        let refused = device.run(&[edit, &["--json"]].concat());
        let said: Value = serde_json::from_slice(&refused.stdout).unwrap();
        assert_eq!(refused.status.code(), Some(4), "{edit:?}: {said}");
        assert_eq!(said["error"]["code"], "behind_schema", "{edit:?}: {said}");
        let message = said["error"]["message"].as_str().unwrap();
        assert!(message.contains("edit the document with the app, schema version 3 or newer"), "{message}");
        assert_eq!(device.ok(&["digest", "note/shopping"]), before, "{edit:?}");
    }
    assert_eq!(device.ok(&["cat", "note/shopping"]), "eggs");
    assert_eq!(device.ok(&["get", "note/shopping", "shop"]), "\"corner\"\n");
    assert_eq!(device.ok(&["history", "note/shopping", "--at", then.as_str()]), "eggs\n");
    device.ok(&["insert", "list", "0", "bread"]);
    assert_eq!(device.ok(&["cat", "list"]), "bread", "other documents are edited as ever");
    assert_eq!(device.ok(&["docs"]), "list\nnote/shopping\n", "and listed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_hangs_is_given_up_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let roost = Roost::builder(dir.path()).schema(Schema::new()).paused(true).open().await.unwrap();
    let workspace = roost.create_workspace("http://127.0.0.1:1", "laptop").await.unwrap();
    let soup = |loro: &LoroDoc| loro.get_map("meals").ensure_mergeable_map("soup")?.insert("hours", 2);
    workspace.document("diary").unwrap().edit(soup).unwrap();
    workspace.close().await;

    let (go_on, waits) = channel::<()>();
    let waits = Mutex::new(waits);
    let hangs = move |_: &Value| {
        let _ = waits.lock().map(|waits| waits.recv());
        json!({ "minutes": 1 })
    };
    let hanging = Schema::new()
        .patience(Duration::from_millis(50))
        .version(2, |version| version.derive("diary", Derive::each("meals", ["hours"], ["minutes"], hangs)));
    let given_up = open(dir.path(), hanging).await.err().unwrap();
    assert_eq!(given_up.code(), "migration_timed_out");
    assert!(given_up.to_string().starts_with("diary was not migrated in time: nothing is lost"), "{given_up}");
    drop(go_on); // it goes on, and finds that nobody waits for it any more
    let workspace = loop {
        match open(dir.path(), Schema::new()).await {
            Err(error) if error.code() == "store_locked" => tokio::task::yield_now().await,
            opened => break opened.unwrap(),
        }
    };
    assert_eq!(workspace.document("diary").unwrap().read(minutes).unwrap(), None);
    workspace.close().await;
    let workspace = open(dir.path(), third()).await.unwrap();
    assert_eq!(workspace.document("diary").unwrap().read(minutes).unwrap(), Some(120));
    workspace.close().await;
}
