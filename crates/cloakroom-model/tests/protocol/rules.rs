//! Each rule by itself: what goes wrong without it.

use cloakroom_model::properties::{
    NEVER_AFTER_COMMIT, NEVER_AFTER_PROMISE, NEVER_AFTER_PRUNE, NEVER_AFTER_REPLY, NEVER_EXPIRED,
    NEVER_LONG_AFTER_PRUNE, NEVER_TOO_LATE,
};
use cloakroom_model::{Abilities, Clocks, Rules, Setup};

use crate::checking::{assert_breaks, assert_holds};

/// The rule that is taken out, where, and what breaks.
macro_rules! breaks {
    ($($name:ident: $rule:ident, $setup:expr, $property:expr;)*) => {$(
        #[test]
        fn $name() {
            assert_breaks($setup.rules(Rules { $rule: false, ..Rules::ALL }), $property);
        }
    )*};
}

fn no_listener() -> Setup {
    Setup::without_listener(2)
}

fn short_lease() -> Setup {
    Setup::with_listener(2, 1)
}

fn long_lease() -> Setup {
    Setup::with_listener(1, 2)
}

/// The queue of announcements may be full.
fn refused() -> Setup {
    short_lease().refuses_announcements()
}

/// The session expires, and the clock is set back.
fn set_back() -> Setup {
    Setup::without_listener(1).expires_in(1).clocks(Clocks::SetBack).nodes(&[Abilities::READER])
}

/// Nobody revokes but by transactions of the application's.
fn left_open(setup: Setup) -> Setup {
    setup.nodes(&[Abilities { leaves_open: true, ..Abilities::READER }]).revoked_elsewhere(false)
}

breaks! {
    an_age_counts_from_before_the_lookup: age_from_asking, no_listener(), NEVER_TOO_LATE;
    an_age_counts_from_before_the_lookup_with_a_listener_too: age_from_asking, long_lease(), NEVER_TOO_LATE;
    a_wall_clock_alone_may_be_set_back: monotonic_clock, no_listener().clocks(Clocks::SetBack), NEVER_TOO_LATE;
    a_wall_clock_alone_may_be_set_back_within_a_lease:
        monotonic_clock, short_lease().clocks(Clocks::SetBack), NEVER_TOO_LATE;
    a_monotonic_clock_alone_may_stand_still: wall_clock, no_listener().clocks(Clocks::Suspended), NEVER_TOO_LATE;
    a_monotonic_clock_alone_may_stand_still_within_a_long_lease:
        wall_clock, long_lease().clocks(Clocks::Suspended), NEVER_TOO_LATE;
    a_lease_is_measured_by_both_clocks:
        lease_by_wall_clock, short_lease().clocks(Clocks::Suspended), NEVER_TOO_LATE;

    a_hit_checks_the_expiry: expiry, no_listener().expires_in(3), NEVER_EXPIRED;
    a_hit_checks_the_expiry_by_a_clock_set_back_too:
        expiry, set_back(), NEVER_EXPIRED;
    what_was_pruned_stays_away_whatever_the_clock_shows:
        pruned_mark, set_back(), NEVER_AFTER_PRUNE;
    what_is_being_pruned_stays_away_from_before_it_is_deleted:
        mark_before_pruning, set_back(), NEVER_AFTER_PRUNE;
    what_was_asked_for_while_it_was_being_pruned_stays_away_too:
        mark_for_all_answers, set_back(), NEVER_AFTER_PRUNE;
    what_is_pruned_is_marked_by_the_reading_that_deletes_it:
        mark_from_one_reading, set_back(), NEVER_AFTER_PRUNE;
    what_others_pruned_is_accepted_no_longer_than_an_answer_may_be_old:
        age_from_asking, set_back(), NEVER_LONG_AFTER_PRUNE;

    an_answer_counts_as_of_before_its_lookup: versions_from_asking, no_listener(), NEVER_AFTER_REPLY;
    an_answer_counts_as_of_before_its_lookup_with_a_listener_too:
        versions_from_asking, short_lease(), NEVER_TOO_LATE;
    a_revocation_voids_before_it_replies: void_before_reply, no_listener(), NEVER_AFTER_REPLY;
    what_is_being_revoked_is_not_answered_while_it_commits:
        silent_while_open, no_listener(), NEVER_AFTER_COMMIT;
    what_is_being_revoked_is_not_answered_while_it_commits_with_a_listener_either:
        silent_while_open, short_lease(), NEVER_AFTER_COMMIT;
    a_revocation_that_comes_second_voids_too: void_even_if_unchanged, no_listener(), NEVER_AFTER_REPLY;
    a_revocation_that_comes_second_voids_with_a_listener_too:
        void_even_if_unchanged, short_lease(), NEVER_AFTER_REPLY;
    what_is_left_open_is_quarantined: quarantine, left_open(no_listener()), NEVER_AFTER_PROMISE;
    what_is_left_open_is_quarantined_with_a_listener_too:
        quarantine, left_open(short_lease()), NEVER_AFTER_PROMISE;

    a_listener_is_on_a_lease: lease, short_lease(), NEVER_TOO_LATE;
    a_hit_looks_at_the_lease_first: lease_before_versions, short_lease(), NEVER_TOO_LATE;
    a_heartbeat_counts_from_when_it_was_sent: heartbeat_from_sending, short_lease(), NEVER_TOO_LATE;
    a_heartbeat_is_not_taken_for_another: heartbeats_told_apart, short_lease(), NEVER_TOO_LATE;
    a_heartbeat_overtakes_no_announcement: heartbeat_through_queue, short_lease(), NEVER_TOO_LATE;
    listening_again_voids_what_was_cached: floor, short_lease(), NEVER_TOO_LATE;
    listening_again_voids_after_listen_not_before: floor_after_listen, short_lease(), NEVER_TOO_LATE;
    what_is_not_announced_is_bounded_by_its_age: age_from_asking, refused(), NEVER_TOO_LATE;
    an_announcement_commits_with_its_revocation: announce_in_transaction, short_lease(), NEVER_TOO_LATE;
}

/// Two rules are not needed for the bound. What was lost with a connection had committed after the last
/// heartbeat that came back was sent, so its time is up when the lease is; and whatever counts after the floor
/// was asked after LISTEN. Silence makes the delay shorter where a node knows that it hears nothing.
#[test]
fn the_lease_and_the_floor_bound_the_delay_without_silence_after_a_loss() {
    let rules = Rules { silent_when_away: false, heartbeat_after_listen: false, ..Rules::ALL };
    assert_holds(short_lease().rules(rules));
    assert_holds(long_lease().rules(rules));
}

/// … as far as they are both in force.
#[test]
fn a_node_that_is_not_silent_while_away_needs_lease_and_floor() {
    let rules = Rules { silent_when_away: false, ..Rules::ALL };
    assert_breaks(short_lease().rules(Rules { lease: false, ..rules }), NEVER_TOO_LATE);
    assert_breaks(short_lease().rules(Rules { floor: false, ..rules }), NEVER_TOO_LATE);
}
