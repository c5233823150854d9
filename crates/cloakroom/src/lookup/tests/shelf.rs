use super::at;
use crate::lookup::lease::Lease;
use crate::lookup::moment::Moment;
use crate::lookup::revocations::Scope;
use crate::lookup::shelf::Shelf;

const KEY: [u8; 32] = [7; 32];

/// Gives answers for five microseconds.
fn shelf() -> Shelf<&'static str> {
    Shelf::new(8, 5_000, None)
}

#[test]
fn an_answer_is_given_for_its_greatest_age_from_the_question_on() {
    let shelf = shelf();
    let asked = shelf.asked(at(10));
    assert_eq!(shelf.get(&KEY, at(12)), None);
    shelf.put(&KEY, 1, asked, i64::MAX, "kept");
    assert_eq!(shelf.get(&KEY, at(15)), Some("kept"));
    assert_eq!(shelf.get(&KEY, at(16)), None);
    assert_eq!(shelf.get(&[8; 32], at(12)), None);
}

#[test]
fn either_clock_can_make_an_answer_old() {
    let shelf = shelf();
    shelf.put(&KEY, 1, shelf.asked(at(10)), i64::MAX, "kept");
    let last = at(15);
    assert_eq!(shelf.get(&KEY, Moment { monotonic: last.monotonic + 1, ..last }), None);
    assert_eq!(shelf.get(&KEY, Moment { wall: last.wall + 1, ..last }), None);
    assert_eq!(shelf.get(&KEY, Moment { wall: 9, ..last }), None);
    assert_eq!(shelf.get(&KEY, last), Some("kept"));
}

#[test]
fn an_answer_is_given_until_the_moment_at_which_the_row_decides() {
    let shelf = shelf();
    shelf.put(&KEY, 1, shelf.asked(at(10)), 13, "kept");
    assert_eq!(shelf.get(&KEY, at(12)), Some("kept"));
    assert_eq!(shelf.get(&KEY, at(13)), None);
}

#[test]
fn an_answer_that_was_on_its_way_while_its_session_was_revoked_is_void() {
    for scope in [Scope::One(1), Scope::All] {
        let shelf = shelf();
        let asked = shelf.asked(at(10));
        shelf.revoke(scope);
        shelf.put(&KEY, 1, asked, i64::MAX, "revoked");
        assert_eq!(shelf.get(&KEY, at(10)), None);
        shelf.put(&KEY, 1, shelf.asked(at(10)), i64::MAX, "anew");
        assert_eq!(shelf.get(&KEY, at(10)), Some("anew"));
        shelf.revoke(scope);
        assert_eq!(shelf.get(&KEY, at(10)), None);
    }
}

#[test]
fn while_a_revocation_is_pending_nothing_is_kept_for_as_long_as_an_answer_lives() {
    let shelf = shelf();
    shelf.close(Scope::One(1), at(10));
    for now in [10, 15] {
        shelf.put(&KEY, 1, shelf.asked(at(now)), i64::MAX, "pending");
        assert_eq!(shelf.get(&KEY, at(now)), None);
    }
    shelf.put(&KEY, 1, shelf.asked(at(16)), i64::MAX, "kept");
    assert_eq!(shelf.get(&KEY, at(16)), Some("kept"));
}

#[test]
fn with_a_lease_answers_are_given_only_while_it_holds() {
    let shelf = Shelf::new(8, 5_000, Some(Lease::new(2_000)));
    shelf.put(&KEY, 1, shelf.asked(at(10)), i64::MAX, "kept");
    assert_eq!(shelf.get(&KEY, at(10)), None);
    shelf.lease().unwrap().renew(at(10));
    assert_eq!(shelf.get(&KEY, at(12)), Some("kept"));
    assert_eq!(shelf.get(&KEY, at(13)), None);
    shelf.lease().unwrap().renew(at(13));
    assert_eq!(shelf.get(&KEY, at(13)), Some("kept"));
    shelf.lease().unwrap().lapse();
    assert_eq!(shelf.get(&KEY, at(13)), None);
    // The greatest age is a bound beside it.
    shelf.lease().unwrap().renew(at(16));
    assert_eq!(shelf.get(&KEY, at(16)), None);
}
