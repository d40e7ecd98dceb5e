//! The nine checks come in their order: an append that breaks two is refused by the earlier.

use roost_shared::{Code, Cursor, DocumentId, Hash, Header, Kind, LogId};

use super::world::{BODY_MIN, PHONE, QUOTA_BYTES, TABLET, World, device_id, sealed, workspace_of};
use crate::store::{Append, Store};

/// An append in the making.
struct Draft {
    header: Header,
    may_append: bool,
    if_tail: Option<Cursor>,
}

/// One way to break one check.
struct Flaw {
    code: Code,
    put: fn(&mut Draft),
}

/// In the order of the checks; the quota, which is no property of an append, has a check of its own below.
static FLAWS: [Flaw; 10] = [
    Flaw { code: Code::Equivocation, put: |draft| draft.header.author_seq = 1 },
    Flaw {
        code: Code::Unsupported,
        put: |draft| {
            draft.header.kind = Kind::Checkpoint;
            draft.header.document = DocumentId::ZERO;
            draft.header.nonce = [0; 24];
        },
    },
    Flaw { code: Code::WrongWorkspace, put: |draft| draft.header.workspace = workspace_of(TABLET) },
    Flaw { code: Code::WrongAuthor, put: |draft| draft.header.author = device_id(TABLET) },
    Flaw { code: Code::NotAllowed, put: |draft| draft.may_append = false },
    Flaw { code: Code::LogChanged, put: |draft| draft.header.log = LogId([0x99; 16]) },
    Flaw { code: Code::EpochStale, put: |draft| draft.header.epoch = 7 },
    Flaw { code: Code::AuthorGap, put: |draft| draft.header.author_seq = 9 },
    Flaw { code: Code::BaseMismatch, put: |draft| draft.header.base_root = Hash([0x99; 32]) },
    Flaw { code: Code::TailMoved, put: |draft| draft.if_tail = Some(Cursor(1)) },
];

/// A known author_seq is one of the current log: it cannot be of another log, nor ahead, at the same time.
fn contradict(first: &Flaw, second: &Flaw) -> bool {
    first.code == Code::Equivocation && matches!(second.code, Code::LogChanged | Code::AuthorGap)
}

fn flawed(world: &World<'_>, flaws: &[&Flaw]) -> Append {
    let mut draft = Draft { header: world.header(PHONE, 3), may_append: true, if_tail: None };
    for flaw in flaws {
        (flaw.put)(&mut draft);
    }
    let envelope = sealed(draft.header, 0xee, BODY_MIN, PHONE);
    Append { may_append: draft.may_append, if_tail: draft.if_tail, ..world.append(PHONE, vec![envelope]) }
}

/// Both devices have written: the phone is about to write its third entry, the tablet its second.
async fn begun(store: &dyn Store) -> World<'_> {
    let mut world = World::create(store).await;
    world.writes(PHONE, 1).await;
    world.writes(PHONE, 2).await;
    world.writes(TABLET, 1).await;
    world
}

pub async fn each_check_comes_before_the_next(store: &dyn Store) {
    let mut world = begun(store).await;
    for (at, flaw) in FLAWS.iter().enumerate() {
        world.refuses(flawed(&world, &[flaw]), flaw.code, "the one flaw it has").await;
        for later in FLAWS[at + 1..].iter().filter(|later| !contradict(flaw, later)) {
            let what = format!("{} comes before {}", flaw.code, later.code);
            world.refuses(flawed(&world, &[flaw, later]), flaw.code, &what).await;
        }
    }
    let log_changed = store.append(flawed(&world, &[&FLAWS[5]])).await.map_err(|refusal| refusal.log);
    assert_eq!(log_changed, Err(Some(world.log)), "log_changed brings the current log id");
    let envelopes = flawed(&world, &[]).envelopes;
    world.appends(PHONE, envelopes).await; // and without a flaw it is taken
}

pub async fn the_quota_comes_last(store: &dyn Store) {
    let mut world = begun(store).await;
    let overhead = world.update(TABLET, 2).as_bytes().len() - BODY_MIN;
    let left = usize::try_from(QUOTA_BYTES - world.bytes()).unwrap_or(usize::MAX) - overhead;
    let filling = sealed(world.header(TABLET, 2), 1, left, TABLET);
    world.appends(TABLET, vec![filling]).await;
    world.refuses(flawed(&world, &[]), Code::QuotaExceeded, "a full workspace").await;
    for flaw in &FLAWS {
        let what = format!("{} comes before quota_exceeded", flaw.code);
        world.refuses(flawed(&world, &[flaw]), flaw.code, &what).await;
    }
}
