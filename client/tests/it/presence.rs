//! When what a device shows is said again, and when what others show is over: pure, by numbers of milliseconds.

use roost::json::json;
use roost::presence::board::{Presence, Presences, Say};
use roost_shared::DeviceId;
use roost_shared::limits::{PRESENCE_EVERY_MS, PRESENCE_GONE_MS, PRESENCE_PAUSE_MS};

const OTHER: DeviceId = DeviceId([2; 16]);

fn line(number: u64) -> Presence {
    Presence { document: None, state: json!({ "line": number }) }
}

fn shows(counter: u64, presence: Presence) -> Option<Say> {
    Some(Say::Shows { counter, presence })
}

#[test]
fn it_is_said_at_once_then_every_so_often_and_on_every_new_socket() {
    let mut all = Presences::default();
    assert_eq!((all.step(0, true), all.wake_at_ms()), (Some(Say::Nothing), None), "for a former process may have");
    all.show(500, Some(line(1)));
    assert_eq!(all.wake_at_ms(), Some(500));
    assert_eq!(all.step(500, true), shows(1, line(1)));
    all.show(511, Some(line(1)));
    assert_eq!((all.step(511, true), all.wake_at_ms()), (None, Some(500 + PRESENCE_EVERY_MS)), "it is the same");
    assert_eq!(all.step(500 + PRESENCE_EVERY_MS, true), shows(2, line(1)));
    assert_eq!(all.step(20_000, false), None);
    all.show(20_001, Some(line(2)));
    assert_eq!((all.step(20_002, false), all.wake_at_ms()), (None, None), "no socket, no word");
    assert_eq!(all.step(30_000, true), shows(3, line(2)));
}

#[test]
fn what_changes_fast_goes_out_at_a_pace_the_latest_at_last() {
    let mut all = Presences::default();
    all.show(0, Some(line(0)));
    assert_eq!(all.step(0, true), shows(1, line(0)));
    for now_ms in 1..PRESENCE_PAUSE_MS {
        all.show(now_ms, Some(line(now_ms)));
        assert_eq!(all.step(now_ms, true), None);
    }
    assert_eq!(all.wake_at_ms(), Some(PRESENCE_PAUSE_MS));
    assert_eq!(all.step(PRESENCE_PAUSE_MS, true), shows(2, line(PRESENCE_PAUSE_MS - 1)));
    all.show(PRESENCE_PAUSE_MS + 1, None);
    assert_eq!(all.step(PRESENCE_PAUSE_MS + 1, true), None);
    assert_eq!(all.step(2 * PRESENCE_PAUSE_MS, true), Some(Say::Nothing));
    assert_eq!(all.wake_at_ms(), None, "and that is said once");
}

#[test]
fn what_another_shows_is_over_when_nothing_is_heard_of_it() {
    let mut all = Presences::default();
    all.heard(0, OTHER, 7, 1, line(1));
    all.heard(5_000, OTHER, 7, 2, line(1));
    assert_eq!((all.of(OTHER).cloned(), all.take_changed()), (Some(line(1)), true), "it is news");
    all.heard(5_000, OTHER, 7, 3, line(1));
    assert!(!all.take_changed(), "the same is none");
    let until = 5_000 + PRESENCE_GONE_MS;
    assert_eq!(all.wake_at_ms(), Some(until));
    all.step(until - 1, true);
    assert!(all.of(OTHER).is_some() && !all.take_changed());
    all.step(until, true);
    assert_eq!((all.of(OTHER).cloned(), all.take_changed(), all.wake_at_ms()), (None, true, None));
    all.heard(until, OTHER, 7, 4, line(2));
    all.gone(OTHER);
    all.gone(OTHER);
    assert_eq!((all.of(OTHER).cloned(), all.take_changed()), (None, true), "it came, and went");
}

#[test]
fn what_was_heard_before_is_no_sign_of_life() {
    let mut all = Presences::default();
    all.heard(0, OTHER, 7, 5, line(5));
    for counter in [5, 4, 1] {
        all.heard(1_000, OTHER, 7, counter, line(counter));
    }
    assert_eq!((all.of(OTHER), all.wake_at_ms()), (Some(&line(5)), Some(PRESENCE_GONE_MS)));
    // Its process began anew; what the one before said is over for good.
    all.heard(2_000, OTHER, 8, 1, line(6));
    all.heard(3_000, OTHER, 7, 6, line(7));
    assert_eq!((all.of(OTHER), all.wake_at_ms()), (Some(&line(6)), Some(2_000 + PRESENCE_GONE_MS)));
}
