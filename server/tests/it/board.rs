//! The board: who is woken, and how long what a device shows lasts. Pure, with time by numbers of milliseconds.

use roost_server::fanout::board::{Board, Listener, News};
use roost_server::store::conformance::world::{OWNER, PHONE, TABLET, device_id, workspace_of};
use roost_shared::limits::{PRESENCE_GONE_MS, SOCKETS_PER_DEVICE_MAX};
use roost_shared::{Code, Cursor, LogId};

fn subscribe(board: &mut Board, seed: u8) -> Listener {
    board.subscribe(workspace_of(OWNER), device_id(seed)).unwrap()
}

fn shown(board: &mut Board, listener: Listener, now_ms: u64) -> Option<Vec<Vec<u8>>> {
    Some(board.shown(listener, now_ms)?.into_iter().map(|(_, shown)| shown.presence.to_vec()).collect())
}

#[test]
fn a_slow_listener_is_told_once_how_things_stand() {
    let (mut board, workspace) = (Board::default(), workspace_of(OWNER));
    assert!(!board.note(workspace, News::Appended(Cursor(1))), "nobody listens");
    let (one, other) = (subscribe(&mut board, PHONE), subscribe(&mut board, TABLET));
    assert_eq!(board.wake(one), None);
    for tail in 2..1_000 {
        assert!(board.note(workspace, News::Appended(Cursor(tail))));
    }
    assert!(board.note(workspace, News::Recorded { tail: Cursor(999), version: 4 }));
    assert!(board.note(workspace, News::Appended(Cursor(7))), "an answer that was overtaken takes nothing back");
    let wake = board.wake(one).unwrap();
    assert_eq!((wake.tail, wake.roster, wake.log), (Cursor(999), 4, None));
    assert_eq!(board.wake(one), None);
    assert_eq!(board.wake(other), Some(wake), "each is told by itself");
    assert!(board.note(workspace, News::Seen) && board.note(workspace, News::Log(LogId([9; 16]))));
    let wake = board.wake(one).unwrap();
    assert_eq!((wake.seen, wake.log), (1, Some(LogId([9; 16]))));
    board.leave(one, 0);
    assert_eq!(board.wake(one), None, "a place that was given up");
    assert!(board.is_heard(workspace) && !board.is_heard(workspace_of(PHONE)));
}

#[test]
fn a_write_between_subscription_and_look_wakes() {
    let (mut board, workspace) = (Board::default(), workspace_of(OWNER));
    let listener = subscribe(&mut board, PHONE);
    board.note(workspace, News::Appended(Cursor(1)));
    assert!(board.wake(listener).is_some());
}

#[test]
fn presence_lasts_as_long_as_a_socket_of_the_device() {
    let mut board = Board::default();
    let watcher = subscribe(&mut board, TABLET);
    let (one, other) = (subscribe(&mut board, PHONE), subscribe(&mut board, PHONE));
    assert!(board.show(one, &[1], 0) && board.show(other, &[2], 0));
    assert_eq!(shown(&mut board, watcher, 0), Some(vec![vec![2]]), "the latest alone");
    assert_eq!(shown(&mut board, watcher, 0), None, "told once");
    assert!(!board.leave(other, 0), "the device is still there, and that is no news");
    assert!(!board.leave(other, 0), "and a place is given up once");
    assert!(board.leave(one, 0));
    assert_eq!(shown(&mut board, watcher, 0), Some(vec![]));
    assert!(!board.show(watcher, &[], 0), "nothing after nothing is no news");
    // Presence is nowhere else: with the last socket of the workspace all of it is gone.
    assert!(board.show(watcher, &[3], 0));
    assert!(board.leave(watcher, 0));
    let late = subscribe(&mut board, PHONE);
    assert_eq!(shown(&mut board, late, 0), None);
}

#[test]
fn presence_of_a_silent_line_ends_by_itself() {
    let mut board = Board::default();
    let silent = subscribe(&mut board, PHONE);
    board.show(silent, &[1], 0);
    let early = subscribe(&mut board, TABLET);
    assert_eq!(shown(&mut board, early, PRESENCE_GONE_MS - 1), Some(vec![vec![1]]));
    let late = subscribe(&mut board, TABLET);
    assert_eq!(shown(&mut board, late, PRESENCE_GONE_MS), Some(vec![]));
}

#[test]
fn a_device_has_so_many_places_and_no_more() {
    let mut board = Board::default();
    let places: Vec<Listener> = (0..SOCKETS_PER_DEVICE_MAX).map(|_| subscribe(&mut board, PHONE)).collect();
    let workspace = workspace_of(OWNER);
    assert_eq!(board.subscribe(workspace, device_id(PHONE)), Err(Code::TooMany));
    subscribe(&mut board, TABLET);
    board.leave(places[0], 0);
    subscribe(&mut board, PHONE);
}
