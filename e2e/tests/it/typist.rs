//! The typist's sessions: repeatable, exact, and as rich as what people type.

use roost::loro::LoroDoc;
use roost_e2e::typist::{Patch, Session};

/// Enough that whatever the typist does has come up.
const EDITS: usize = 20_000;

fn patches(session: &Session) -> impl Iterator<Item = &Patch> {
    session.txns.iter().flat_map(|transaction| &transaction.patches)
}

#[test]
fn one_seed_is_one_session() {
    let bytes = |seed| serde_json::to_vec(&Session::typed(seed, 3_000)).unwrap();
    assert!(bytes(1) == bytes(1), "one seed typed two sessions");
    assert!(bytes(1) != bytes(2), "two seeds typed one session");
}

#[test]
fn a_session_has_the_shape_of_a_recorded_one() {
    let session = serde_json::to_value(Session::typed(3, 100)).unwrap();
    assert_eq!(session["startContent"], "");
    assert!(!session["endContent"].as_str().unwrap().is_empty());
    for transaction in session["txns"].as_array().unwrap() {
        assert_eq!(transaction["time"].as_str().unwrap().len(), "2026-01-01T00:00:00.000Z".len());
        for patch in transaction["patches"].as_array().unwrap() {
            assert_eq!(patch.as_array().unwrap().len(), 3);
            assert!(patch[0].is_u64() && patch[1].is_u64() && patch[2].is_string(), "{patch}");
        }
    }
}

/// Loro counts code points, and refuses an edit beyond the end: bytes or UTF-16 units would come to another text.
#[test]
fn the_end_is_what_the_patches_make_in_code_points() {
    for seed in 0..4 {
        let session = Session::typed(seed, 5_000);
        let loro = LoroDoc::new();
        let text = loro.get_text("text");
        let mut edits = 0;
        for Patch(at, deleted, inserted) in patches(&session) {
            if *deleted > 0 {
                text.delete(*at, *deleted).unwrap();
            }
            text.insert(*at, inserted).unwrap();
            edits += 1;
        }
        assert!(edits >= 5_000, "seed {seed}: {edits} edits");
        assert!(text.to_string() == session.end_content, "seed {seed}: the end is another text");
        let end = &session.end_content;
        assert!(end.chars().count() < end.encode_utf16().count(), "seed {seed}: nothing tells code points from UTF-16");
    }
}

#[test]
fn a_session_has_all_that_people_do() {
    for seed in 0..4 {
        let session = Session::typed(seed, EDITS);
        let (mut corrected, mut words_deleted, mut pasted, mut written_over, mut emoji, mut jumps) = (0, 0, 0, 0, 0, 0);
        let mut caret = 0;
        for Patch(at, deleted, inserted) in patches(&session) {
            let long = inserted.chars().count();
            corrected += usize::from(*deleted == 1 && at + 1 == caret);
            words_deleted += usize::from(*deleted > 2 && inserted.is_empty() && at + deleted == caret);
            pasted += usize::from(long > 20);
            written_over += usize::from(*deleted > 0 && long > 0);
            emoji += usize::from(inserted.contains('😀') || inserted.contains('🪶'));
            jumps += usize::from(*at != caret && at + deleted != caret);
            caret = at + long;
        }
        let moved = session.txns.iter().filter(|transaction| transaction.patches.len() == 2).count();
        let counted = [corrected, words_deleted, pasted, written_over, emoji, jumps, moved];
        println!("figure: seed {seed} typed {EDITS} edits, among them {counted:?}");
        assert!(counted.iter().all(|count| *count > 0), "seed {seed}: {counted:?}");
        assert!(corrected > EDITS / 50, "seed {seed}: {corrected} corrections");
        let times: Vec<&str> = session.txns.iter().map(|transaction| transaction.time.as_str()).collect();
        assert!(times.is_sorted(), "seed {seed}: time went back");
    }
}
