//! The suite every store must pass: [`run`] it over a new backend, and compare with [`super::memory`], the reference.
//!
//! Each check gets a store that holds nothing and gives every workspace [`QUOTA_BYTES`]. A check panics with the fact
//! that does not hold. [`world`] is what they stand on: keys, records and envelopes from seed bytes, and the tree the
//! store ought to have.

#![allow(clippy::panic, reason = "a suite says what failed by panicking")]

mod appends;
mod bases;
mod dedupe;
mod links;
mod logs;
mod order;
mod reads;
mod records;
mod seen;
mod tokens;
mod workspaces;
pub mod world;

use std::pin::Pin;

pub use self::world::QUOTA_BYTES;
use super::{SharedStore, Store};

/// A check under way.
pub type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One thing every store must do.
#[derive(Clone, Copy)]
pub struct Check {
    /// What it is about.
    pub name: &'static str,
    /// Panics if the store, which must be empty, does not do it.
    pub run: for<'a> fn(&'a dyn Store) -> Running<'a>,
}

macro_rules! checks {
    ($($module:ident::$name:ident,)*) => {
        /// All of it.
        pub const CHECKS: &[Check] = &[
            $(Check {
                name: concat!(stringify!($module), "::", stringify!($name)),
                run: |store| Box::pin($module::$name(store)),
            },)*
        ];
    };
}

checks! {
    workspaces::create_twice_answers_the_same,
    workspaces::create_refuses_another_workspace_under_the_id,
    workspaces::create_refuses_a_chain_that_breaks_the_rules,
    workspaces::an_unknown_workspace_is_not_found,
    workspaces::workspaces_do_not_meet,
    workspaces::check_passes,
    appends::seqs_have_no_gaps,
    appends::an_append_has_one_to_256_envelopes,
    appends::all_or_nothing,
    appends::only_the_authenticated_device_writes,
    appends::if_tail_is_asked_once,
    appends::the_quota_is_met_exactly,
    appends::a_purged_workspace_takes_nothing,
    order::each_check_comes_before_the_next,
    order::the_quota_comes_last,
    dedupe::known_bytes_get_their_seq_whatever_else,
    dedupe::known_bytes_get_their_seq_after_the_roster_moved,
    dedupe::known_and_new_in_one_append,
    dedupe::other_bytes_are_equivocation,
    dedupe::concurrent_duplicates_are_one_row,
    bases::every_earlier_size_is_a_base,
    bases::a_wrong_base_is_refused,
    bases::a_base_never_falls,
    reads::pages_have_no_gaps,
    reads::a_page_has_at_least_one_entry,
    reads::past_the_tail_there_is_nothing,
    reads::roots_and_leaves_of_every_size,
    records::only_a_successor_is_taken,
    records::a_record_that_breaks_a_rule_is_refused,
    records::devices_follow_the_roster,
    records::only_the_redeeming_device_replaces,
    records::an_unredeemed_invite_may_be_replaced_while_it_lives,
    links::one_device_redeems,
    links::the_same_device_may_repeat,
    links::the_servers_clock_judges_expiry,
    links::five_wrong_access_proofs_burn_a_link,
    links::an_unknown_link_is_unavailable,
    links::links_follow_the_roster,
    links::a_redemption_outlives_the_next_record,
    logs::evidence_is_asked_for,
    logs::a_repeated_proposal_gets_the_same_answer,
    logs::once_an_hour,
    logs::authors_start_again,
    tokens::tokens_are_kept_until_withdrawn,
    tokens::tokens_are_bounded_and_make_room_when_they_end,
    tokens::tokens_of_workspaces_do_not_meet,
    seen::the_furthest_of_each_is_kept,
    seen::what_cannot_be_is_not_kept,
    seen::seen_of_workspaces_do_not_meet,
}

/// Runs every check, each on a store of its own from `open`.
///
/// # Panics
/// If a check fails.
pub async fn run(open: impl AsyncFn() -> SharedStore) {
    for check in CHECKS {
        tracing::info!(check = check.name, "conformance");
        let store = open().await;
        (check.run)(&*store).await;
        store.close().await;
    }
}
