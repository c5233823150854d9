use std::sync::Arc;

use super::entries::{Entries, Keyed};
use super::entry::{Asked, Kept, Key, Note};
use super::lease::Lease;
use super::moment::Moment;
use super::revocations::{Revocations, Scope};
use super::sync::{AtomicU64, Ordering};

/// Answers of the database, each given again for as long as it holds.
///
/// It knows no clock and no database, so that every order in which threads can come here is checked.
pub(crate) struct Shelf<V> {
    entries: Entries<Kept<V>>,
    bounds: Arc<Bounds>,
}

/// What an answer holds by: it is not too old, its session was not revoked since it was asked for, and where
/// others revoke, they have been heard.
pub(crate) struct Bounds {
    revocations: Revocations,
    lease: Option<Lease>,
    max_age: u64,
    /// By the wall clock: what had expired by then may have been deleted since.
    pruned_until: AtomicU64,
}

impl<V> Keyed for Kept<V> {
    fn key(&self) -> &Key {
        &self.note.key
    }
}

impl<V> Shelf<V> {
    /// Room for `capacity` answers.
    pub(crate) fn new(capacity: usize, bounds: Arc<Bounds>) -> Self {
        Self { entries: Entries::new(capacity), bounds }
    }

    /// Keeps an answer, unless it no longer holds.
    pub(crate) fn put(&self, kept: Arc<Kept<V>>) {
        if self.bounds.revocations.hold(kept.note.asked, kept.note.session) {
            self.entries.put(kept);
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
    pub(crate) fn get(&self, key: &Key, now: Moment) -> Option<Arc<Kept<V>>> {
        let Bounds { revocations, lease, max_age, pruned_until } = &*self.bounds;
        if lease.as_ref().is_some_and(|lease| !lease.holds(now)) {
            return None;
        }
        let kept = self.entries.get(key)?;
        let Note { asked, session, until, .. } = kept.note;
        // A clock that is set back brings back nothing that has been deleted.
        let latest = now.wall.max(pruned_until.load(Ordering::SeqCst).cast_signed());
        let holds = latest < until && asked.at.is_within(*max_age, now) && revocations.hold(asked, session);
        holds.then_some(kept)
    }
}

impl Bounds {
    /// No answer holds that is older than `max_age`.
    pub(crate) fn new(max_age: u64, lease: Option<Lease>) -> Self {
        Self { revocations: Revocations::new(), lease, max_age, pruned_until: AtomicU64::new(0) }
    }

    /// To be called before the database is asked.
    pub(crate) fn asked(&self, at: Moment) -> Asked {
        self.revocations.asked(at)
    }

    /// To be called when a revocation has been committed, before its caller hears of it.
    pub(crate) fn revoke(&self, scope: Scope) {
        self.revocations.revoke(scope);
    }

    /// For a revocation that may be committed after now: for as long as an answer may be old, none is kept.
    pub(crate) fn close(&self, scope: Scope, now: Moment) {
        self.revocations.close(scope, now.monotonic.saturating_add(self.max_age));
    }

    /// To be called before what has expired by then, on the wall clock, is deleted.
    pub(crate) fn pruning(&self, wall: i64) {
        // Before 1970 nothing is pruned.
        self.pruned_until.fetch_max(u64::try_from(wall).unwrap_or(0), Ordering::SeqCst);
    }

    pub(crate) fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }
}
