use std::sync::Arc;

use super::at;
use crate::cache::lease::Lease;
use crate::cache::revocations::Scope;
use crate::cache::validated_cache::{ValidatedCache, Validity};
use crate::clock::clock_reading::ClockReading;
use crate::session::cache_entry::{CacheEntry, EntryMetadata, Key, ReadMark};

const KEY: Key = [7; 32];

/// Gives answers for five microseconds.
fn cache() -> Answers {
    Answers::new(None)
}

/// A cache of answers to one question, and to other questions that were never asked.
struct Answers {
    cache: ValidatedCache<&'static str>,
    validity: Arc<Validity>,
}

impl Answers {
    fn new(lease: Option<Lease>) -> Self {
        let validity = Arc::new(Validity::new(5_000, lease));
        Self { cache: ValidatedCache::new(8, Arc::clone(&validity)), validity }
    }

    /// An answer about session 1.
    fn put(&self, asked: ReadMark, until: i64, value: &'static str) {
        let mut kept = CacheEntry::uncached(value);
        kept.set_metadata(EntryMetadata { key: KEY, mark: asked, session: 1, until });
        self.cache.put(Arc::new(kept));
    }

    fn get(&self, key: &Key, now: ClockReading) -> Option<&'static str> {
        self.cache.get(key, now).ok().map(|kept| kept.value)
    }
}

#[test]
fn an_answer_is_given_for_its_greatest_age_from_the_question_on() {
    let cache = cache();
    let asked = cache.validity.mark(at(10));
    assert_eq!(cache.get(&KEY, at(12)), None);
    cache.put(asked, i64::MAX, "kept");
    assert_eq!(cache.get(&KEY, at(15)), Some("kept"));
    assert_eq!(cache.get(&KEY, at(16)), None);
    assert_eq!(cache.get(&[8; 32], at(12)), None);
}

#[test]
fn an_answer_that_was_removed_is_not_given_and_the_others_are() {
    let cache = cache();
    cache.put(cache.validity.mark(at(10)), i64::MAX, "kept");
    cache.cache.remove(&[8; 32]);
    assert_eq!(cache.get(&KEY, at(12)), Some("kept"));
    cache.cache.remove(&KEY);
    assert_eq!(cache.get(&KEY, at(12)), None);
}

#[test]
fn either_clock_can_make_an_answer_old() {
    let cache = cache();
    cache.put(cache.validity.mark(at(10)), i64::MAX, "kept");
    let last = at(15);
    assert_eq!(cache.get(&KEY, ClockReading { monotonic: last.monotonic + 1, ..last }), None);
    assert_eq!(cache.get(&KEY, ClockReading { wall: last.wall + 1, ..last }), None);
    assert_eq!(cache.get(&KEY, ClockReading { wall: 9, ..last }), None);
    assert_eq!(cache.get(&KEY, last), Some("kept"));
}

#[test]
fn an_answer_is_given_until_the_moment_at_which_the_row_decides() {
    let cache = cache();
    cache.put(cache.validity.mark(at(10)), 13, "kept");
    assert_eq!(cache.get(&KEY, at(12)), Some("kept"));
    assert_eq!(cache.get(&KEY, at(13)), None);
}

#[test]
fn what_may_have_been_pruned_is_not_brought_back_by_a_clock_that_is_set_back() {
    let cache = cache();
    cache.put(cache.validity.mark(at(10)), 13, "kept");
    cache.validity.pruning(at(12).wall);
    assert_eq!(cache.get(&KEY, at(12)), Some("kept"));
    cache.validity.pruning(at(13).wall);
    assert_eq!(cache.get(&KEY, at(12)), None);
    cache.put(cache.validity.mark(at(10)), 14, "longer");
    assert_eq!(cache.get(&KEY, at(12)), Some("longer"));
}

#[test]
fn an_answer_that_was_on_its_way_while_its_session_was_revoked_is_void() {
    for scope in [Scope::One(1), Scope::All] {
        let cache = cache();
        let asked = cache.validity.mark(at(10));
        cache.validity.revoke(scope);
        cache.put(asked, i64::MAX, "revoked");
        assert_eq!(cache.get(&KEY, at(10)), None);
        cache.put(cache.validity.mark(at(10)), i64::MAX, "anew");
        assert_eq!(cache.get(&KEY, at(10)), Some("anew"));
        cache.validity.revoke(scope);
        assert_eq!(cache.get(&KEY, at(10)), None);
    }
}

#[test]
fn while_a_revocation_is_pending_nothing_is_kept_for_as_long_as_an_answer_lives() {
    let cache = cache();
    cache.validity.open(Scope::One(1));
    cache.validity.quarantine(Scope::One(1), at(10));
    for now in [10, 15] {
        cache.put(cache.validity.mark(at(now)), i64::MAX, "pending");
        assert_eq!(cache.get(&KEY, at(now)), None);
    }
    cache.put(cache.validity.mark(at(16)), i64::MAX, "kept");
    assert_eq!(cache.get(&KEY, at(16)), Some("kept"));
}

#[test]
fn with_a_lease_answers_are_given_only_while_it_holds() {
    let cache = Answers::new(Some(Lease::new(2_000)));
    cache.put(cache.validity.mark(at(10)), i64::MAX, "kept");
    assert_eq!(cache.get(&KEY, at(10)), None);
    cache.validity.lease().unwrap().renew(at(10));
    assert_eq!(cache.get(&KEY, at(12)), Some("kept"));
    assert_eq!(cache.get(&KEY, at(13)), None);
    cache.validity.lease().unwrap().renew(at(13));
    assert_eq!(cache.get(&KEY, at(13)), Some("kept"));
    cache.validity.lease().unwrap().lapse();
    assert_eq!(cache.get(&KEY, at(13)), None);
    // The greatest age is a second limit.
    cache.validity.lease().unwrap().renew(at(16));
    assert_eq!(cache.get(&KEY, at(16)), None);
}

#[test]
fn an_answer_about_a_session_holds_unless_a_revocation_is_open_or_was_closed_since() {
    let cache = cache();
    let asked = cache.validity.mark(at(10));
    assert!(cache.validity.holds(asked, 1));
    cache.put(asked, i64::MAX, "kept");
    cache.validity.open(Scope::One(1));
    assert!(!cache.validity.holds(asked, 1) && cache.validity.holds(asked, 2));
    assert_eq!(cache.get(&KEY, at(12)), None);
    cache.validity.close(Scope::One(1));
    assert!(!cache.validity.holds(asked, 1));
    assert_eq!(cache.get(&KEY, at(12)), None);
    let asked = cache.validity.mark(at(12));
    assert!(cache.validity.holds(asked, 1));
    cache.put(asked, i64::MAX, "anew");
    assert_eq!(cache.get(&KEY, at(12)), Some("anew"));
}
