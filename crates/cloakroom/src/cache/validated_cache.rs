use std::sync::Arc;

use super::cache_entry::{CacheEntry, EntryMetadata, Key, ReadMark};
use super::clock_reading::ClockReading;
use super::lease::Lease;
use super::revocations::{Revocations, Scope};
use super::set_associative_map::{Change, Keyed, SetAssociativeMap};
use super::sync::{AtomicU64, Ordering};

/// Answers of the database, each of which is given again for as long as it holds.
///
/// It uses no clock and no database, so that a model checker can test every order of the threads.
pub(crate) struct ValidatedCache<V> {
    entries: SetAssociativeMap<CacheEntry<V>>,
    validity: Arc<Validity>,
}

/// The conditions under which an answer holds: it is not too old, its session was not revoked since the question, and,
/// if other processes revoke too, their revocations have been heard.
pub(crate) struct Validity {
    revocations: Revocations,
    lease: Option<Lease>,
    max_age: u64,
    /// An instant on the wall clock: sessions that had expired by then may have been deleted since.
    pruned_until: AtomicU64,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// The lease does not hold.
    Lapsed,
    Absent,
    /// There is one that no longer holds.
    Void,
}

impl<V> Keyed for CacheEntry<V> {
    fn key(&self) -> &Key {
        &self.metadata.key
    }
}

impl<V> ValidatedCache<V> {
    /// Makes a cache with room for `capacity` answers.
    pub(crate) fn new(capacity: usize, validity: Arc<Validity>) -> Self {
        Self { entries: SetAssociativeMap::new(capacity), validity }
    }

    /// Keeps an answer, unless it no longer holds.
    pub(crate) fn put(&self, entry: Arc<CacheEntry<V>>) -> Change {
        if self.validity.revocations.hold(entry.metadata.mark, entry.metadata.session) {
            self.entries.put(entry)
        } else {
            Change::default()
        }
    }

    /// Drops the answer for a key of which the database has no session any more.
    pub(crate) fn remove(&self, key: &Key) -> Change {
        self.entries.remove(key)
    }

    /// Returns the answer that holds at `now`, or why there is none.
    ///
    /// The order matters if a thread is interrupted in between. The clocks were read first, so all that is found out
    /// here is newer. The revocations come last, after the lease under which they were heard.
    pub(crate) fn get(&self, key: &Key, now: ClockReading) -> Result<Arc<CacheEntry<V>>, Miss> {
        let Validity { revocations, lease, max_age, pruned_until } = &*self.validity;
        if lease.as_ref().is_some_and(|lease| !lease.holds(now)) {
            return Err(Miss::Lapsed);
        }
        let entry = self.entries.get(key).ok_or(Miss::Absent)?;
        let EntryMetadata { mark, session, until, .. } = entry.metadata;
        // A clock that is set back must not bring back a session that has been deleted.
        let latest = now.wall.max(pruned_until.load(Ordering::SeqCst).cast_signed());
        let holds = latest < until && mark.at.is_within(*max_age, now) && revocations.hold(mark, session);
        if holds { Ok(entry) } else { Err(Miss::Void) }
    }
}

impl Validity {
    /// Makes a validity under which no answer older than `max_age` holds.
    pub(crate) fn new(max_age: u64, lease: Option<Lease>) -> Self {
        Self { revocations: Revocations::new(), lease, max_age, pruned_until: AtomicU64::new(0) }
    }

    /// Returns the mark of a lookup. Must be called before the database is asked.
    pub(crate) fn mark(&self, at: ClockReading) -> ReadMark {
        self.revocations.mark(at)
    }

    /// Returns `true` if no revocation of this session was recorded since the mark, and none is open.
    pub(crate) fn holds(&self, mark: ReadMark, session: u64) -> bool {
        self.revocations.hold(mark, session)
    }

    /// Records that a revocation is about to be sent: nothing about it is answered until its outcome is known. Must be
    /// followed by [`close`](Self::close) or [`quarantine`](Self::quarantine).
    pub(crate) fn open(&self, scope: Scope) {
        self.revocations.open(scope);
    }

    /// Records that a revocation has been committed. Must be called before its caller is told.
    pub(crate) fn close(&self, scope: Scope) {
        self.revocations.close(scope);
    }

    /// Records a revocation that was heard of.
    pub(crate) fn revoke(&self, scope: Scope) {
        self.revocations.revoke(scope);
    }

    /// Records that a revocation may be committed later: for as long as an answer may be old, no answer is kept.
    pub(crate) fn quarantine(&self, scope: Scope, now: ClockReading) {
        self.revocations.quarantine(scope, now.monotonic.saturating_add(self.max_age));
    }

    /// Records that sessions that have expired by `wall`, on the wall clock, are about to be deleted. Must be called
    /// before they are.
    pub(crate) fn pruning(&self, wall: i64) {
        // Nothing is pruned before 1970.
        self.pruned_until.fetch_max(u64::try_from(wall).unwrap_or(0), Ordering::SeqCst);
    }

    pub(crate) fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }
}
