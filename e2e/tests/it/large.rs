//! Large edits: what they cost the other device is in proportion to them, at the merge and at every start after it.

use std::time::Duration;

use roost::{Roost, insert_text};
use roost_e2e::live::process::Server;

use crate::collections::{Food, Pair};
use crate::kills::two_devices;
use crate::poison::limited;

const PATIENCE: Duration = Duration::from_secs(120);
/// Characters of one insertion: sealed, some five hundred bytes, if they are all the same.
const INSERTED: usize = 4_100_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_insertion_is_merged_and_loaded_within_a_gigabyte() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, other) = two_devices(dir.path(), &server.address());
    one.ok(&["insert", "notes", "0", "hello "]);
    one.ok(&["sync"]);
    other.ok(&["sync"]);
    let workspace = Roost::builder(one.dir()).open().await.unwrap().only_workspace().await.unwrap();
    let notes = workspace.document("notes").unwrap();
    notes.edit(|loro| loro.get_text("text").push_str(&"x".repeat(INSERTED))).unwrap();
    workspace.wait_synced(PATIENCE).await.unwrap();
    drop(notes);
    workspace.close().await;
    let synced = limited(&other, &["sync", "--wait", "120s"]);
    assert!(synced.status.success(), "{}", String::from_utf8_lossy(&synced.stderr));
    for start in 1..=2 {
        let text = limited(&other, &["cat", "notes"]);
        assert_eq!(text.stdout.len(), "hello ".len() + INSERTED, "start {start}");
    }
    assert_eq!(other.ok(&["digest", "notes"]), one.ok(&["digest", "notes"]));
    println!("figure: an insertion of {INSERTED} characters is merged, and loaded twice, within a gigabyte");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_insertion_in_pieces_beside_another_devices_edit_is_merged_and_undone_within_a_gigabyte() {
    // Which of two devices Loro replays first is a matter of their peer ids, which are drawn.
    for _ in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("server"), &[]);
        let (one, other) = two_devices(dir.path(), &server.address());
        one.ok(&["insert", "notes", "0", "hello "]);
        one.ok(&["sync"]);
        other.ok(&["sync"]);
        let workspace = Roost::builder(one.dir()).paused(true).open().await.unwrap().only_workspace().await.unwrap();
        let notes = workspace.document("notes").unwrap();
        notes.edit(|loro| insert_text(&loro.get_text("text"), 6, &"x".repeat(INSERTED))).unwrap();
        drop(notes);
        workspace.close().await;
        other.ok(&["insert", "notes", "3", "(beside)"]);
        for device in [&one, &other, &one] {
            let synced = limited(device, &["sync", "--wait", "120s"]);
            assert!(synced.status.success(), "{}", String::from_utf8_lossy(&synced.stderr));
        }
        let text = limited(&other, &["cat", "notes"]);
        assert_eq!(text.stdout.len(), "hel(beside)lo ".len() + INSERTED);
        assert_eq!(limited(&other, &["digest", "notes"]).stdout, limited(&one, &["digest", "notes"]).stdout);
        assert!(limited(&one, &["undo", "notes"]).status.success(), "an undo of the insertion");
        assert_eq!(limited(&one, &["cat", "notes"]).stdout, b"hel(beside)lo ");
    }
    println!(
        "figure: an insertion of {INSERTED} characters in pieces, beside another device's edit, is merged and undone within a gigabyte"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_text_field_is_set_whole_in_no_more_operations_than_it_has_characters() {
    let words = |seed: u64| -> String {
        let numbers = std::iter::successors(Some(seed), |x| Some(x.wrapping_mul(6_364_136_223_846_793_005) + 1));
        numbers.take(40_000).map(|number| format!("{:x} ", number >> 44)).collect()
    };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let pair = Pair::new(dir.path(), &server).await;
    let foods = pair.laptop.collection::<Food>().unwrap();
    let (old, new) = (words(1), words(2));
    let id = foods.insert(&Food { note: old.clone(), ..Food::default() }).unwrap();
    let document = pair.laptop.document("collections").unwrap();
    let before = document.read(|loro| loro.len_ops()).unwrap();
    foods.update(&id, |food| food.note.clone_from(&new)).unwrap();
    let operations = document.read(|loro| loro.len_ops()).unwrap() - before;
    assert!(operations <= old.len() + new.len(), "{operations} operations");
    pair.laptop.wait_synced(PATIENCE).await.unwrap();
    pair.phone.wait_until(PATIENCE, |status| status.synced).await.unwrap();
    let arrived = pair.phone.collection::<Food>().unwrap();
    let mut changes = pair.phone.document("collections").unwrap().changes();
    while arrived.get(&id).unwrap().is_none_or(|food| food.note != new) {
        changes.next().await.unwrap();
    }
    println!("figure: a text of {} bytes replaced by one of {} in {operations} operations", old.len(), new.len());
}
