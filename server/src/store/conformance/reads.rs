//! What a reader gets: everything, in order, and the tree over it.

use roost_shared::tree::leaf_of;
use roost_shared::{Cursor, DocumentId, Envelope, Hash, Header};

use super::world::{BODY_MIN, OWNER, PHONE, TABLET, World, accepted_or, owner, people, sealed};
use crate::store::{Page, Store};

/// Entries of several sizes, documents, authors and kinds.
async fn filled(store: &dyn Store) -> World<'_> {
    let mut world = World::create(store).await;
    for number in 1..=5u8 {
        let document = DocumentId([number; 16]);
        let header = Header { document, ..world.header(PHONE, u64::from(number)) };
        let envelope = sealed(header, number, BODY_MIN + 700 * usize::from(number % 4), PHONE);
        world.appends(PHONE, vec![envelope]).await;
        world.writes(TABLET, u64::from(number)).await;
        world.posts(owner(OWNER, u32::from(number) + 1, people()), OWNER).await;
    }
    world
}

fn weight(page: &Page) -> usize {
    page.entries.iter().filter_map(|entry| entry.body.as_ref()).map(Vec::len).sum()
}

/// The page is right in itself: the entries after `after`, and the tree at the tail.
fn is_right(world: &World<'_>, after: Cursor, page: &Page) {
    assert_eq!(page.tail, world.tail(), "a page names the tail");
    assert_eq!(Some(&page.root), world.roots.last(), "and the root there");
    let start = usize::try_from(after.0).unwrap_or(usize::MAX);
    for (at, (entry, wanted)) in page.entries.iter().zip(&world.entries[start..]).enumerate() {
        assert_eq!(entry.seq.get(), after.0 + 1 + at as u64, "numbers without a gap");
        assert_eq!(entry.document, wanted.header().document, "the document of entry {}", entry.seq);
        assert_eq!(entry.envelope_hash, wanted.hash(), "the hash of entry {}", entry.seq);
        assert_eq!(entry.body.as_deref(), Some(wanted.as_bytes()), "the bytes of entry {}", entry.seq);
    }
    assert!(start + page.entries.len() <= world.entries.len(), "no entry past the tail");
}

pub async fn pages_have_no_gaps(store: &dyn Store) {
    let world = filled(store).await;
    for max_bytes in [0, 1, 500, 1_100, 3_000, 9_000, 200_000, usize::MAX] {
        let mut after = Cursor::START;
        while after < world.tail() {
            let page = accepted_or(store.read(world.workspace, after, max_bytes).await, "a page");
            is_right(&world, after, &page);
            let Some(last) = page.entries.last() else { panic!("a page below the tail has an entry") };
            let over = page.entries.len() > 1 && weight(&page) > max_bytes;
            assert!(!over, "a page of {} bytes where {max_bytes} were asked for", weight(&page));
            after = last.seq.cursor();
        }
    }
    let all = accepted_or(store.read(world.workspace, Cursor::START, 200_000).await, "one page for all");
    assert_eq!(all.entries.len(), world.entries.len(), "all of a small log fits one large page");
}

pub async fn a_page_has_at_least_one_entry(store: &dyn Store) {
    let mut world = World::create(store).await;
    let large = sealed(world.header(PHONE, 1), 1, 40_000, PHONE);
    world.appends(PHONE, vec![large]).await;
    for max_bytes in [0, 1, 39_999] {
        let page = accepted_or(store.read(world.workspace, Cursor(1), max_bytes).await, "a page");
        assert_eq!(page.entries.len(), 1, "an entry over max_bytes is a page of its own");
        is_right(&world, Cursor(1), &page);
    }
}

pub async fn past_the_tail_there_is_nothing(store: &dyn Store) {
    let world = filled(store).await;
    let tail = world.tail().0;
    for after in [tail, tail + 1, tail + 1_000, i64::MAX.unsigned_abs(), 1 << 63, u64::MAX] {
        let page = accepted_or(store.read(world.workspace, Cursor(after), 200_000).await, "a page past the tail");
        assert_eq!(page.entries, Vec::new(), "there is nothing after {after}");
        assert_eq!((page.tail, Some(&page.root)), (world.tail(), world.roots.last()), "but the tail is told");
    }
    for size in [tail + 1, 1 << 63, u64::MAX] {
        let root = store.root_at(world.workspace, Cursor(size)).await;
        assert_eq!(root, Ok(None), "no root at size {size}");
    }
}

pub async fn roots_and_leaves_of_every_size(store: &dyn Store) {
    let world = filled(store).await;
    let wanted: Vec<Hash> = world.entries.iter().map(leaf_of).collect();
    for (size, root) in world.roots.iter().enumerate() {
        let cursor = Cursor(size as u64);
        assert_eq!(store.root_at(world.workspace, cursor).await, Ok(Some(*root)), "the root at size {size}");
        let leaves = accepted_or(store.leaves(world.workspace, cursor).await, "leaves");
        assert_eq!(leaves, wanted[..size], "the leaves of size {size}");
        assert_eq!(roost_shared::tree::root(&leaves), *root, "and they make the root");
    }
    let past = accepted_or(store.leaves(world.workspace, Cursor(world.tail().0 + 5)).await, "leaves past the tail");
    assert_eq!(past, wanted, "past the tail there are no more leaves than entries");
    let chain = accepted_or(store.chain(world.workspace).await, "the chain");
    let held: Vec<&[u8]> = chain.iter().map(|record| record.as_bytes()).collect();
    let control = |entry: &&Envelope| entry.header().kind == roost_shared::Kind::Control;
    let wanted: Vec<&[u8]> = world.entries.iter().filter(control).map(Envelope::body).collect();
    assert_eq!(held, wanted, "the chain is what the control entries hold");
}
