use super::entries::{Entries, Key};
use super::lease::Lease;
use super::moment::Moment;
use super::revocations::{Asked, Revocations, Scope};

/// Answers of the database, each given again for as long as it holds: it is not too old, its session was not
/// revoked since it was asked for, and where others revoke, they have been heard.
///
/// It knows no clock and no database, so that every order in which threads can come here is checked.
pub(crate) struct Shelf<V> {
    entries: Entries<Kept<V>>,
    revocations: Revocations,
    lease: Option<Lease>,
    max_age: u64,
}

#[derive(Clone)]
struct Kept<V> {
    asked: Asked,
    session: u64,
    /// From then on, by the wall clock, the database is to be asked again.
    until: i64,
    value: V,
}

impl<V: Clone> Shelf<V> {
    /// Room for `capacity` answers, none given when older than `max_age`.
    pub(crate) fn new(capacity: usize, max_age: u64, lease: Option<Lease>) -> Self {
        Self { entries: Entries::new(capacity), revocations: Revocations::new(), lease, max_age }
    }

    /// To be called before the database is asked.
    pub(crate) fn asked(&self, at: Moment) -> Asked {
        self.revocations.asked(at)
    }

    /// Keeps an answer about `session` until a moment by the wall clock, unless it no longer holds.
    pub(crate) fn put(&self, key: &Key, session: u64, asked: Asked, until: i64, value: V) {
        if self.revocations.hold(asked, session) {
            self.entries.put(key, Kept { asked, session, until, value });
        }
    }

    /// Keeps no answer where the database has none any more.
    pub(crate) fn remove(&self, key: &Key) {
        self.entries.remove(key);
    }

    /// The answer that holds at `now`, if there is one.
    ///
    /// The order matters to a thread that is held up in between: the clocks were read first, so all that is
    /// found out here is newer, and the revocations come last, after the lease under which they were heard.
    pub(crate) fn get(&self, key: &Key, now: Moment) -> Option<V> {
        if self.lease.as_ref().is_some_and(|lease| !lease.holds(now)) {
            return None;
        }
        let kept = self.entries.get(key)?;
        let holds = now.wall < kept.until
            && kept.asked.at.is_within(self.max_age, now)
            && self.revocations.hold(kept.asked, kept.session);
        holds.then_some(kept.value)
    }

    /// To be called when a revocation has been committed, before its caller hears of it.
    pub(crate) fn revoke(&self, scope: Scope) {
        self.revocations.revoke(scope);
    }

    /// For a revocation that may be committed after now: for as long as an answer may be old, none is kept.
    pub(crate) fn close(&self, scope: Scope, now: Moment) {
        self.revocations.close(scope, now.monotonic.saturating_add(self.max_age));
    }

    pub(crate) fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }
}
