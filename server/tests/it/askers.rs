//! Who is charged, and for how much: addresses and bearers of tokens, each for itself.

use std::net::{IpAddr, Ipv4Addr};

use roost_server::access::{Asker, InFlight, Rates};
use roost_server::store::conformance::world::{OWNER, PHONE, TABLET, device_id, workspace_of};
use roost_shared::Code;
use roost_shared::limits::{HTTP_CHAIN_MAX, SMALL_BODY_MAX};

use crate::live::{ALL, EACH};

fn at(address: &str) -> Asker {
    Asker::at(address.parse().unwrap())
}

fn bearer(device: u8) -> Asker {
    Asker::Bearer(workspace_of(OWNER), device_id(device).0)
}

#[test]
fn one_machine_is_one_asker() {
    assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff:ffff:ffff:ffff"), "IPv6: the first 64 bits");
    assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
    assert_ne!(at("192.0.2.1"), at("192.0.2.2"), "IPv4: all of it");
    assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"), "the same address, written as IPv6");
}

#[test]
fn bytes_are_held_until_the_charge_goes() {
    let in_flight = InFlight::new(ALL, EACH);
    let mut charge = in_flight.charge(at("192.0.2.1"), 0);
    assert_eq!(in_flight.unknown.held(), 0, "nothing has arrived");
    charge.add(10).unwrap();
    charge.add(20).unwrap();
    assert_eq!((in_flight.unknown.held(), in_flight.known.held()), (30, 0));
    drop(charge);
    assert_eq!((in_flight.unknown.held(), in_flight.unknown.most()), (0, 30));
}

#[test]
fn what_one_has_is_bounded_and_so_is_what_all_have() {
    let in_flight = InFlight::new(ALL, EACH);
    let large = EACH / 4 * 3;
    let mut charges: Vec<_> = (1..=4).map(|last| in_flight.charge(at(&format!("192.0.2.{last}")), 0)).collect();
    for charge in &mut charges {
        assert_eq!(charge.add(large + 1), Err(Code::TooMany), "no one may have more");
        charge.add(large).unwrap();
    }
    assert_eq!(in_flight.unknown.held(), 4 * large);
    let mut fifth = in_flight.charge(at("192.0.2.5"), 0);
    assert_eq!(fifth.add(SMALL_BODY_MAX + 1), Err(Code::RetryLater), "all have too much");
    assert_eq!(in_flight.unknown.held(), 4 * large, "what was refused is not held");
    // What is small gets through, from those who hold much, too.
    fifth.add(SMALL_BODY_MAX).unwrap();
    in_flight.charge(at("192.0.2.1"), 0).add(SMALL_BODY_MAX).unwrap();
    // Nor does it matter to those who bear a token.
    in_flight.charge(bearer(PHONE), 0).add(large).unwrap();
    drop(charges);
    assert_eq!(in_flight.unknown.held(), SMALL_BODY_MAX);
}

#[test]
fn the_longest_chain_fits_the_least_there_may_be() {
    const LEAST: usize = 12 << 20;
    assert!(InFlight::is_enough(ALL, EACH) && InFlight::is_enough(LEAST, LEAST));
    assert!(!InFlight::is_enough(LEAST, LEAST - 1) && !InFlight::is_enough(LEAST - 1, LEAST));
    InFlight::new(LEAST, LEAST).charge(at("192.0.2.1"), 0).add(HTTP_CHAIN_MAX).unwrap();
}

/// Asks until it is refused; how often it was not.
fn until_refused(ask: impl Fn() -> Result<(), Code>) -> usize {
    let mut asked = 0;
    loop {
        match ask() {
            Ok(()) => asked += 1,
            Err(code) => break assert_eq!(code, Code::TooMany),
        }
    }
    asked
}

#[test]
fn an_empty_bucket_is_nobody_elses() {
    let rates = Rates::default();
    let (stranger, rightful) = (at("192.0.2.1"), at("192.0.2.2"));
    assert!(until_refused(|| rates.recovery(stranger)) >= 10);
    for attempt in 1..=10 {
        assert_eq!(rates.recovery(rightful), Ok(()), "try {attempt} of another address");
    }
    assert!(until_refused(|| rates.stranger(stranger)) >= 1_000);
    assert_eq!(rates.returning(stranger), Ok(()), "who shares the address gets a session");
    assert!(until_refused(|| rates.returning(stranger)) >= 999);
    assert_eq!(rates.returning(bearer(PHONE)), Ok(()), "who shows a token is not asked for the address");
    assert!(until_refused(|| rates.bearer(bearer(PHONE))) >= 1_999);
    assert_eq!(rates.bearer(bearer(TABLET)), Ok(()), "nor for another device");
}

#[test]
fn askers_that_went_are_forgotten() {
    let rates = Rates::default();
    let mut asked = 0_u32;
    // Each bucket is full again after a moment; sooner or later a request finds that and sweeps.
    while rates.remembered() == asked as usize {
        asked += 1;
        rates.stranger(Asker::at(IpAddr::V4(Ipv4Addr::from_bits(asked)))).unwrap();
    }
    assert!(rates.remembered() < asked as usize);
}
