//! The signed base: any size the log had, with its root, never below the author's last.

use roost_shared::{Code, Cursor, Hash, Header};

use super::world::{BODY_MIN, PHONE, TABLET, World, sealed};
use crate::store::Store;

/// Seven entries: one record, six of the tablet.
async fn seven(store: &dyn Store) -> World<'_> {
    let mut world = World::create(store).await;
    for author_seq in 1..=6 {
        world.writes(TABLET, author_seq).await;
    }
    world
}

/// The phone's header with the base that `world` had at `size`.
fn based(world: &World<'_>, author_seq: u64, size: usize) -> Header {
    Header { base_size: Cursor(size as u64), base_root: world.roots[size], ..world.header(PHONE, author_seq) }
}

pub async fn every_earlier_size_is_a_base(store: &dyn Store) {
    let mut world = seven(store).await;
    for size in 0..=7 {
        let envelope = sealed(based(&world, size as u64 + 1, size), 1, BODY_MIN, PHONE);
        world.appends(PHONE, vec![envelope]).await;
    }
}

pub async fn a_wrong_base_is_refused(store: &dyn Store) {
    let world = seven(store).await;
    for size in 0..=7 {
        let right = based(&world, 1, size);
        let wrong = [Hash::ZERO, Hash([0x99; 32]), world.roots[(size + 1) % 8]];
        for base_root in wrong {
            let envelope = sealed(Header { base_root, ..right.clone() }, 1, BODY_MIN, PHONE);
            let append = world.append(PHONE, vec![envelope]);
            world.refuses(append, Code::BaseMismatch, &format!("a wrong root at size {size}")).await;
        }
    }
    for size in [8, 9, 1_000, u64::MAX >> 1, u64::MAX] {
        for base_root in [world.roots[7], Hash::ZERO] {
            let header = Header { base_size: Cursor(size), base_root, ..world.header(PHONE, 1) };
            let append = world.append(PHONE, vec![sealed(header, 1, BODY_MIN, PHONE)]);
            world.refuses(append, Code::BaseMismatch, &format!("a base of {size}, past the tail")).await;
        }
    }
}

pub async fn a_base_never_falls(store: &dyn Store) {
    let mut world = seven(store).await;
    let first = sealed(based(&world, 1, 4), 1, BODY_MIN, PHONE);
    world.appends(PHONE, vec![first.clone()]).await;
    for size in 0..4 {
        let append = world.append(PHONE, vec![sealed(based(&world, 2, size), 1, BODY_MIN, PHONE)]);
        world.refuses(append, Code::BaseMismatch, "a base below that of the author's last entry").await;
    }
    let falling =
        vec![sealed(based(&world, 2, 6), 1, BODY_MIN, PHONE), sealed(based(&world, 3, 5), 1, BODY_MIN, PHONE)];
    world.refuses(world.append(PHONE, falling), Code::BaseMismatch, "a base that falls within one append").await;
    // The base of the second is the tree with the first in it, which was not in the log before the append.
    let second = sealed(based(&world, 2, 8), 1, BODY_MIN, PHONE);
    let mut tree = roost_shared::tree::Frontier::default();
    for entry in world.entries.iter().chain([&second]) {
        tree.append(roost_shared::tree::leaf_of(entry));
    }
    let ahead = Header { base_size: Cursor(tree.size()), base_root: tree.root(), ..world.header(PHONE, 3) };
    let ahead = vec![second, sealed(ahead, 1, BODY_MIN, PHONE)];
    world.refuses(world.append(PHONE, ahead), Code::BaseMismatch, "a base beyond the tail before the append").await;
    let same = sealed(based(&world, 2, 4), 1, BODY_MIN, PHONE);
    world.appends(PHONE, vec![same]).await;
    // A known envelope has a base below its author's last, and is known all the same.
    let again = store.append(world.append(PHONE, vec![first])).await;
    assert_eq!(super::world::accepted(again, "a known envelope"), [8]);
}
