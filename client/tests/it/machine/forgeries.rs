//! A reader that writes, with a server that lets it: every other device judges for itself.

use roost::sync::Write;
use roost_shared::roster::Scope;
use roost_shared::wire::message::Item;

use super::rig::Rig;
use super::world::{Team, TestLog, head};

const FORGERIES: u64 = 10_000;
const PAGE: usize = 250;
const WRITER: usize = 1;
const READER: usize = 2;

#[test]
fn what_a_reader_writes_is_merged_by_nobody() {
    let team = Team::of(&[Scope::ReadWrite, Scope::Read]);
    let mut log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    let (mut own, mut others) = (0, 0);
    for number in 0..FORGERIES {
        // In its own name, or in another's under its own signature; sealed with the right key either way.
        let in_own_name = number % 2 == 0;
        let envelope = if in_own_name {
            own += 1;
            team.entry(&log, READER, own)
        } else {
            others += 1;
            let header = team.header(&log, WRITER, others);
            team.seal(READER, header, &head().plaintext(b"not mine"))
        };
        log.push(envelope);
    }
    let (mut merged, mut put_aside) = (0, 0);
    let items = log.page(rig.cursor());
    for page in items.chunks(PAGE) {
        let page: Vec<Item> = page.to_vec();
        for write in rig.items(page).writes {
            match write {
                Write::Inbox { .. } => merged += 1,
                Write::Quarantine { .. } => put_aside += 1,
                _ => {}
            }
        }
    }
    println!(
        "figure: {FORGERIES} entries forged by a reader, with the server's help: {merged} merged, {put_aside} put aside"
    );
    assert_eq!((merged, put_aside), (0, FORGERIES));
    // The log goes on: what the writer may write is taken, whatever was forged in its name.
    let seq = log.push(team.entry(&log, 0, 1));
    let step = rig.read(&log);
    assert!(step.writes.iter().any(|write| matches!(write, Write::Inbox { seq: at, .. } if at.get() == seq)));
    assert!(!rig.machine.view().diverged);
}
