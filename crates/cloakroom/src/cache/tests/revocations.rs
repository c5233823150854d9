use super::at;
use crate::cache::revocations::{Revocations, Scope};
use crate::cache::sync::STRIPES;

#[test]
fn an_answer_holds_until_its_session_is_revoked() {
    let revocations = Revocations::new();
    let asked = revocations.mark(at(5));
    assert!(revocations.hold(asked, 1));
    revocations.revoke(Scope::One(1));
    assert!(!revocations.hold(asked, 1));
    assert!(revocations.hold(asked, 2));
    // A lookup after the revocation asks a database that knows of it.
    assert!(revocations.hold(revocations.mark(at(5)), 1));
    assert!(!revocations.hold(asked, 1));
}

#[test]
fn a_revocation_of_all_voids_every_answer_of_before() {
    let revocations = Revocations::new();
    let asked = revocations.mark(at(0));
    revocations.revoke(Scope::All);
    assert!((0..10_000).all(|session| !revocations.hold(asked, session)));
    let asked = revocations.mark(at(0));
    assert!((0..10_000).all(|session| revocations.hold(asked, session)));
}

#[test]
fn a_later_revocation_of_another_session_takes_nothing_back() {
    let revocations = Revocations::new();
    let asked = revocations.mark(at(0));
    revocations.revoke(Scope::One(1));
    for other in 2..100 {
        revocations.revoke(Scope::One(other));
        assert!(!revocations.hold(asked, 1));
    }
}

#[test]
fn sessions_of_one_stripe_share_their_fate_and_no_others() {
    let revocations = Revocations::new();
    let stripes = STRIPES as u64;
    let asked = revocations.mark(at(0));
    revocations.revoke(Scope::One(stripes + 6));
    for session in 0..3 * stripes {
        assert_eq!(revocations.hold(asked, session), session % stripes != 6);
    }
    for session in [0, u64::MAX, u64::MAX - 1, 1 << 63] {
        let asked = revocations.mark(at(0));
        revocations.revoke(Scope::One(session));
        assert!(!revocations.hold(asked, session));
    }
}

#[test]
fn while_a_session_is_closed_no_answer_about_it_is_kept() {
    let revocations = Revocations::new();
    let before = revocations.mark(at(10));
    let meanwhile = revocations.mark(at(14));
    revocations.open(Scope::One(1));
    revocations.quarantine(Scope::One(1), at(15).monotonic);
    for now in 10..=15 {
        assert!(!revocations.hold(revocations.mark(at(now)), 1));
        assert!(revocations.hold(revocations.mark(at(now)), 2));
    }
    assert!(revocations.hold(revocations.mark(at(16)), 1));
    for asked in [before, meanwhile] {
        assert!(!revocations.hold(asked, 1));
        assert!(revocations.hold(asked, 2));
    }
}

#[test]
fn closing_all_closes_each() {
    let revocations = Revocations::new();
    revocations.open(Scope::All);
    revocations.quarantine(Scope::All, at(15).monotonic);
    assert!((0..5000).all(|session| !revocations.hold(revocations.mark(at(15)), session)));
    assert!((0..5000).all(|session| revocations.hold(revocations.mark(at(16)), session)));
}

#[test]
fn the_longest_closure_counts() {
    let revocations = Revocations::new();
    revocations.open(Scope::One(0));
    revocations.quarantine(Scope::One(0), at(20).monotonic);
    revocations.open(Scope::One(0));
    revocations.quarantine(Scope::One(0), at(10).monotonic);
    revocations.revoke(Scope::One(0));
    assert!(!revocations.hold(revocations.mark(at(20)), 0));
    assert!(revocations.hold(revocations.mark(at(21)), 0));
    revocations.open(Scope::One(0));
    revocations.quarantine(Scope::One(0), u64::MAX);
    assert!(!revocations.hold(revocations.mark(at(u32::MAX)), 0));
}

#[test]
fn while_a_revocation_is_open_no_answer_holds_and_afterwards_those_of_later() {
    for scope in [Scope::One(1), Scope::All] {
        let revocations = Revocations::new();
        let before = revocations.mark(at(0));
        revocations.open(scope);
        assert!(!revocations.hold(before, 1), "{scope:?}");
        // The database may not have been asked before the commit.
        let meanwhile = revocations.mark(at(0));
        assert!(!revocations.hold(meanwhile, 1), "{scope:?}");
        assert_eq!(revocations.hold(before, 2), matches!(scope, Scope::One(_)));
        revocations.close(scope);
        assert!(!revocations.hold(before, 1) && !revocations.hold(meanwhile, 1), "{scope:?}");
        assert!(revocations.hold(revocations.mark(at(0)), 1), "{scope:?}");
    }
}

#[test]
fn the_last_open_revocation_of_a_stripe_counts() {
    let revocations = Revocations::new();
    for _ in 0..3 {
        revocations.open(Scope::One(1));
    }
    for _ in 0..3 {
        assert!(!revocations.hold(revocations.mark(at(0)), 1));
        revocations.close(Scope::One(1));
    }
    assert!(revocations.hold(revocations.mark(at(0)), 1));
}

#[test]
fn what_is_heard_of_meanwhile_closes_nothing() {
    let revocations = Revocations::new();
    revocations.open(Scope::One(1));
    revocations.revoke(Scope::One(1));
    assert!(!revocations.hold(revocations.mark(at(0)), 1));
    revocations.close(Scope::One(1));
    assert!(revocations.hold(revocations.mark(at(0)), 1));
}

#[test]
fn a_stripe_with_more_open_revocations_than_can_be_counted_stays_void() {
    let revocations = Revocations::new();
    for _ in 0..=1 << 20 {
        revocations.open(Scope::One(1));
    }
    for _ in 0..=1 << 20 {
        revocations.close(Scope::One(1));
    }
    assert!(!revocations.hold(revocations.mark(at(0)), 1));
    assert!(revocations.hold(revocations.mark(at(0)), 2));
}
