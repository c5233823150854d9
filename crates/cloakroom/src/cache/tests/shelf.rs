use std::sync::Arc;

use super::at;
use crate::cache::lease::Lease;
use crate::cache::revocations::Scope;
use crate::cache::shelf::{Bounds, Shelf};
use crate::clock::reading::Moment;
use crate::session::entry::{Asked, Kept, Key, Note};

const KEY: Key = [7; 32];

/// Gives answers for five microseconds.
fn shelf() -> Answers {
    Answers::new(None)
}

/// A shelf of answers to one question, and to others that nobody asked.
struct Answers {
    shelf: Shelf<&'static str>,
    bounds: Arc<Bounds>,
}

impl Answers {
    fn new(lease: Option<Lease>) -> Self {
        let bounds = Arc::new(Bounds::new(5_000, lease));
        Self { shelf: Shelf::new(8, Arc::clone(&bounds)), bounds }
    }

    /// An answer about session 1.
    fn put(&self, asked: Asked, until: i64, value: &'static str) {
        let mut kept = Kept::nowhere(value);
        kept.note(Note { key: KEY, asked, session: 1, until });
        self.shelf.put(Arc::new(kept));
    }

    fn get(&self, key: &Key, now: Moment) -> Option<&'static str> {
        self.shelf.get(key, now).map(|kept| kept.value)
    }
}

#[test]
fn an_answer_is_given_for_its_greatest_age_from_the_question_on() {
    let shelf = shelf();
    let asked = shelf.bounds.asked(at(10));
    assert_eq!(shelf.get(&KEY, at(12)), None);
    shelf.put(asked, i64::MAX, "kept");
    assert_eq!(shelf.get(&KEY, at(15)), Some("kept"));
    assert_eq!(shelf.get(&KEY, at(16)), None);
    assert_eq!(shelf.get(&[8; 32], at(12)), None);
}

#[test]
fn either_clock_can_make_an_answer_old() {
    let shelf = shelf();
    shelf.put(shelf.bounds.asked(at(10)), i64::MAX, "kept");
    let last = at(15);
    assert_eq!(shelf.get(&KEY, Moment { monotonic: last.monotonic + 1, ..last }), None);
    assert_eq!(shelf.get(&KEY, Moment { wall: last.wall + 1, ..last }), None);
    assert_eq!(shelf.get(&KEY, Moment { wall: 9, ..last }), None);
    assert_eq!(shelf.get(&KEY, last), Some("kept"));
}

#[test]
fn an_answer_is_given_until_the_moment_at_which_the_row_decides() {
    let shelf = shelf();
    shelf.put(shelf.bounds.asked(at(10)), 13, "kept");
    assert_eq!(shelf.get(&KEY, at(12)), Some("kept"));
    assert_eq!(shelf.get(&KEY, at(13)), None);
}

#[test]
fn what_may_have_been_pruned_is_not_brought_back_by_a_clock_that_is_set_back() {
    let shelf = shelf();
    shelf.put(shelf.bounds.asked(at(10)), 13, "kept");
    shelf.bounds.pruning(at(12).wall);
    assert_eq!(shelf.get(&KEY, at(12)), Some("kept"));
    shelf.bounds.pruning(at(13).wall);
    assert_eq!(shelf.get(&KEY, at(12)), None);
    shelf.put(shelf.bounds.asked(at(10)), 14, "longer");
    assert_eq!(shelf.get(&KEY, at(12)), Some("longer"));
}

#[test]
fn an_answer_that_was_on_its_way_while_its_session_was_revoked_is_void() {
    for scope in [Scope::One(1), Scope::All] {
        let shelf = shelf();
        let asked = shelf.bounds.asked(at(10));
        shelf.bounds.revoke(scope);
        shelf.put(asked, i64::MAX, "revoked");
        assert_eq!(shelf.get(&KEY, at(10)), None);
        shelf.put(shelf.bounds.asked(at(10)), i64::MAX, "anew");
        assert_eq!(shelf.get(&KEY, at(10)), Some("anew"));
        shelf.bounds.revoke(scope);
        assert_eq!(shelf.get(&KEY, at(10)), None);
    }
}

#[test]
fn while_a_revocation_is_pending_nothing_is_kept_for_as_long_as_an_answer_lives() {
    let shelf = shelf();
    shelf.bounds.close(Scope::One(1), at(10));
    for now in [10, 15] {
        shelf.put(shelf.bounds.asked(at(now)), i64::MAX, "pending");
        assert_eq!(shelf.get(&KEY, at(now)), None);
    }
    shelf.put(shelf.bounds.asked(at(16)), i64::MAX, "kept");
    assert_eq!(shelf.get(&KEY, at(16)), Some("kept"));
}

#[test]
fn with_a_lease_answers_are_given_only_while_it_holds() {
    let shelf = Answers::new(Some(Lease::new(2_000)));
    shelf.put(shelf.bounds.asked(at(10)), i64::MAX, "kept");
    assert_eq!(shelf.get(&KEY, at(10)), None);
    shelf.bounds.lease().unwrap().renew(at(10));
    assert_eq!(shelf.get(&KEY, at(12)), Some("kept"));
    assert_eq!(shelf.get(&KEY, at(13)), None);
    shelf.bounds.lease().unwrap().renew(at(13));
    assert_eq!(shelf.get(&KEY, at(13)), Some("kept"));
    shelf.bounds.lease().unwrap().lapse();
    assert_eq!(shelf.get(&KEY, at(13)), None);
    // The greatest age is a bound beside it.
    shelf.bounds.lease().unwrap().renew(at(16));
    assert_eq!(shelf.get(&KEY, at(16)), None);
}
