//! From entries into documents: what fails is put aside, what lacks something waits, the rest goes on.

use roost::keys::{EpochKey, seal};
use roost::loro::{ExportMode, LoroDoc};
use roost::schema::Schema;
use roost::sync::Notice;
use roost_shared::plaintext::{Compression, Head};
use roost_shared::roster::Scope;
use roost_shared::{DocumentId, Envelope, Kind};

use super::bench::{Bench, update};
use crate::machine::world::{NOTES, TODOS, Team, TestLog, head};

fn world() -> (Team, TestLog, Bench) {
    let team = Team::of(&[Scope::ReadWrite, Scope::ReadWrite]);
    let log = TestLog::of(&team, 1);
    let bench = Bench::new(&team, 0, log.id);
    (team, log, bench)
}

/// Appends a plaintext sealed by device `n`.
fn push(team: &Team, log: &mut TestLog, n: usize, author_seq: u64, document: DocumentId, plaintext: &[u8]) -> u64 {
    let mut header = team.header(log, n, author_seq);
    header.document = document;
    let envelope = team.seal(n, header, plaintext);
    log.push(envelope)
}

fn whole(text: &str) -> Vec<u8> {
    head().plaintext(&update(text.len() as u64, text))
}

/// The plaintexts of a blob in three parts.
fn parts(blob: &[u8]) -> Vec<Vec<u8>> {
    let chunks: Vec<&[u8]> = blob.chunks(blob.len().div_ceil(3)).collect();
    assert_eq!(chunks.len(), 3);
    let part = |(part, chunk): (u32, &[u8])| Head { part, parts: 3, blob: [9; 16], ..head() }.plaintext(chunk);
    (0..).zip(chunks).map(part).collect()
}

#[test]
fn what_cannot_be_merged_is_put_aside_and_all_else_goes_on() {
    let (team, mut log, mut bench) = world();
    let mut header = team.header(&log, 1, 1);
    header.document = NOTES;
    let other_key = EpochKey::new(team.workspace(), team.epoch(), [8; 32]);
    let unopenable: Envelope = seal::envelope(&other_key, &team.keys(1), header, &whole("never"));
    let zstd = Head { compression: Compression::Zstd, ..head() };
    let mut bad = vec![log.push(unopenable)];
    push(&team, &mut log, 1, 2, NOTES, &whole("good"));
    bad.push(push(&team, &mut log, 1, 3, NOTES, &[0; 256]));
    bad.push(push(&team, &mut log, 1, 4, NOTES, &head().plaintext(b"this is not Loro's")));
    bad.push(push(&team, &mut log, 1, 5, TODOS, &zstd.plaintext(b"nor zstd's")));
    push(&team, &mut log, 1, 6, TODOS, &whole("also good"));
    bad.push(push(&team, &mut log, 2, 1, TODOS, &head().plaintext(&[])));
    push(&team, &mut log, 2, 2, NOTES, &whole("!"));
    let notices = bench.sync(&mut log);
    let mut aside: Vec<u64> = notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Quarantined { seq, .. } => Some(seq.get()),
            _ => None,
        })
        .collect();
    aside.sort_unstable();
    assert_eq!(aside, bad, "{notices:?}");
    assert_eq!(bench.replica.store().quarantined().unwrap(), bad.len() as u64);
    let text = bench.text(NOTES);
    assert!(text.contains("good") && text.contains('!') && !text.contains("never"), "{text}");
    assert_eq!(bench.text(TODOS), "also good");
    assert!(bench.replica.view().synced);
    bench.write(NOTES, " mine");
    bench = bench.restart();
    assert!(bench.text(NOTES).ends_with(" mine"));
}

#[test]
fn a_snapshot_brings_its_whole_history_or_is_put_aside() {
    let (team, mut log, mut bench) = world();
    let loro = LoroDoc::new();
    loro.set_peer_id(4).unwrap();
    loro.get_text("text").insert(0, "begun").unwrap();
    loro.commit();
    let begun = loro.oplog_vv();
    loro.get_text("text").insert(5, " and more").unwrap();
    loro.commit();
    let modes = [ExportMode::updates(&begun), ExportMode::all_updates(), ExportMode::Snapshot];
    for ((mode, author_seq), text) in modes.into_iter().zip(1..).zip(["", "begun and more", "begun and more"]) {
        let mut header = team.header(&log, 1, author_seq);
        header.kind = Kind::Snapshot;
        log.push(team.seal(1, header, &head().plaintext(&loro.export(mode).unwrap())));
        bench.sync(&mut log);
        assert_eq!(bench.text(NOTES), text, "blob {author_seq}");
        assert_eq!(bench.replica.store().quarantined().unwrap(), 1, "the first has no beginning");
    }
    assert!(bench.replica.view().synced);
}

#[test]
fn a_blob_in_three_parts_is_merged_once_it_is_whole() {
    let (team, mut log, mut bench) = world();
    // Two authors under the same blob id, entry by entry, with a restart after each.
    let (one, two) = (parts(&update(1, "from one")), parts(&update(2, "from two")));
    for (author_seq, (of_one, of_two)) in (1..).zip(one.iter().zip(&two)) {
        assert_eq!(bench.text(NOTES), "");
        push(&team, &mut log, 1, author_seq, NOTES, of_one);
        bench.sync(&mut log);
        bench = bench.restart();
        bench.settle();
        assert_eq!(bench.text(NOTES), if author_seq == 3 { "from one" } else { "" });
        push(&team, &mut log, 2, author_seq, NOTES, of_two);
        bench.sync(&mut log);
        bench = bench.restart();
        bench.settle();
    }
    let text = bench.text(NOTES);
    assert!(text.contains("from one") && text.contains("from two"), "{text}");
    assert_eq!(text.len(), 16, "each of them once");
    assert_eq!(bench.replica.store().quarantined().unwrap(), 0);
    bench.replica.take_changed();
    bench.sync(&mut log);
    assert!(bench.replica.take_changed().is_empty());
    assert!(bench.replica.view().synced);
}

/// More than one look at the inbox takes in.
#[test]
fn a_blob_of_many_parts_is_merged_though_its_author_wrote_on() {
    let (team, mut log, mut bench) = world();
    let words: String = (0..330_000).map(|_| hex::encode(team.clock.draw::<16>())).collect();
    bench.write(NOTES, &words);
    bench.sync(&mut log);
    bench.write(TODOS, "and more");
    bench.sync(&mut log);
    let mut other = Bench::new(&team, 1, log.id);
    other.take(&mut log);
    other.settle();
    assert!(other.text(NOTES) == words);
    assert_eq!(other.text(TODOS), "and more");
}

/// Its author wrote on and parts are missing: it sealed what it held anew.
#[test]
fn a_blob_that_was_given_up_does_not_wait_for_ever() {
    let (team, mut log, mut bench) = world();
    let given_up = parts(&update(1, "given up"));
    push(&team, &mut log, 1, 1, NOTES, &given_up[0]);
    bench.sync(&mut log);
    let mut bench = bench.restart();
    bench.settle();
    assert!(bench.replica.store().waits(NOTES).unwrap(), "the rest may come");
    push(&team, &mut log, 1, 2, NOTES, &whole("sealed anew"));
    push(&team, &mut log, 1, 3, NOTES, &whole("and on"));
    bench.sync(&mut log);
    let mut bench = bench.restart();
    bench.settle();
    assert!(!bench.replica.store().waits(NOTES).unwrap());
    assert_eq!(bench.replica.store().quarantined().unwrap(), 0);
}

#[test]
fn a_document_too_large_for_one_entry_reaches_another_device() {
    let (team, mut log, mut bench) = world();
    let words: String = (0..40_000).map(|_| hex::encode(team.clock.draw::<8>())).collect();
    bench.write(NOTES, &words);
    let before = log.tail();
    bench.sync(&mut log);
    assert!(log.tail() >= before + 2, "it took {} entries", log.tail() - before);
    assert!(bench.replica.view().synced);
    let mut other = Bench::new(&team, 1, log.id);
    other.sync(&mut log);
    assert!(other.text(NOTES) == words);
    assert_eq!(other.replica.digest(NOTES).unwrap(), bench.replica.digest(NOTES).unwrap());
}

#[test]
fn an_entry_for_a_newer_app_waits_for_it() {
    let (team, mut log, mut bench) = world();
    let newer = Head { schema: 2, reader_min: 2, ..head() }.plaintext(&update(4, "newer"));
    push(&team, &mut log, 1, 1, NOTES, &newer);
    push(&team, &mut log, 1, 2, NOTES, &whole("now"));
    bench.sync(&mut log);
    assert_eq!(bench.text(NOTES), "now");
    bench = bench.restart();
    bench.settle();
    assert_eq!(bench.text(NOTES), "now");
    bench = bench.restart_with(Schema::new().version(2, |version| version));
    bench.settle();
    let text = bench.text(NOTES);
    assert!(text.contains("now") && text.contains("newer"), "{text}");
    assert_eq!(bench.replica.store().quarantined().unwrap(), 0);
}

#[test]
fn an_entry_whose_key_is_missing_waits_for_the_record_that_brings_it() {
    let (mut team, mut log, _) = world();
    let mut bench = Bench::new(&team, 2, log.id); // not the owner's: it has no say in the epoch
    team.advance();
    push(&team, &mut log, 1, 1, NOTES, &whole("under the next key"));
    bench.sync(&mut log);
    assert_eq!(bench.text(NOTES), "");
    bench = bench.restart();
    bench.settle();
    assert_eq!(bench.replica.store().quarantined().unwrap(), 0);
    log.record(&team.last_record());
    bench.sync(&mut log);
    assert_eq!(bench.text(NOTES), "under the next key");
    bench.write(NOTES, "!");
    bench.sync(&mut log);
    assert_eq!(log.entry(log.tail()).header().epoch, team.epoch());
}
