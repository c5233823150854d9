//! Recently read sessions, which are answered from memory for as long as they hold.
//!
//! `validated_cache`, `set_associative_map`, `revocations` and `lease` use no clock and no I/O: a model checker
//! compiles them too.

#![cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "only PostgreSQL announces revocations"))]

#[cfg(feature = "postgres")]
mod announcement;
mod lease;
#[cfg(feature = "postgres")]
mod listener;
mod revocations;
mod set_associative_map;
mod settled;
#[cfg(test)]
mod tests;
mod validated_cache;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use time::OffsetDateTime;
use uuid::Uuid;

use clock_reading::ClockReading;
use lease::Lease;
#[cfg(feature = "postgres")]
pub(crate) use listener::start as listen;
use revocations::Scope;
use set_associative_map::Change;
use settled::Settled;
use validated_cache::{Miss, ValidatedCache, Validity};

use crate::clock::{clock_reading, nanoseconds, unix_microseconds};
use crate::config::{Cache, Config};
use crate::database::Backend;
use crate::observe::{CacheLookup, Metrics};
use crate::session::cache_entry::{self, EntryMetadata, Key, ReadMark};
use crate::session::{Session, SessionRow, binding, expiry};
use crate::sync;
use crate::table::SessionFields;

/// The recently read sessions. [`Cache`] says what is promised of them.
pub(crate) struct SessionCache {
    settings: Cache,
    config: Config,
    validity: Arc<Validity>,
    /// A [`ValidatedCache`] of the rows of the handle's type, which is the same in all calls.
    entries: Box<dyn Any + Send + Sync>,
    is_listening: AtomicBool,
    settled: Settled,
    metrics: Arc<Metrics>,
    /// How many entries the metrics have been told of.
    kept: AtomicI32,
    /// Whether the metrics have been told that the lease holds.
    is_heard: AtomicBool,
}

/// Longer text of data is not kept, so that the memory is bounded by the number of sessions.
const LONGEST_DATA: usize = 64 * 1024;

/// What a write revokes, by id. A [`Scope`] says the same by the hash of the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    Session(Uuid),
    Any,
}

impl From<Revoked> for Scope {
    fn from(revoked: Revoked) -> Self {
        match revoked {
            Revoked::Session(id) => Self::One(hash(id)),
            Revoked::Any => Self::All,
        }
    }
}

impl SessionCache {
    /// Makes a cache for sessions with the fields `T`.
    pub(crate) fn new<T: SessionFields>(
        settings: Cache,
        config: Config,
        backend: Backend,
        metrics: Arc<Metrics>,
    ) -> Self {
        let listens = settings.listens && backend.dialect().notifies();
        let lease = listens.then(|| Lease::new(nanoseconds(settings.lease)));
        let validity = Arc::new(Validity::new(nanoseconds(settings.max_staleness), lease));
        let entries = ValidatedCache::<SessionRow<T>>::new(settings.capacity, Arc::clone(&validity));
        Self {
            settings,
            config,
            validity,
            entries: Box::new(entries),
            is_listening: AtomicBool::new(false),
            settled: Settled::new(),
            metrics,
            kept: AtomicI32::new(0),
            is_heard: AtomicBool::new(false),
        }
    }

    /// Returns the mark of a lookup. Must be called before the database is asked for an answer that will be kept.
    pub(crate) fn mark(&self) -> ReadMark {
        self.validity.mark(self.now())
    }

    /// Keeps a session that the database answered. Absences are not kept.
    /// A session that can be extended, if `extends`, is answered from memory only until that is due.
    pub(crate) fn put<T: SessionFields>(
        &self,
        key: Key,
        mark: ReadMark,
        answer: Option<&mut Session<T>>,
        extends: bool,
    ) {
        let Some(rows) = self.entries::<T>() else {
            return;
        };
        let change = match answer {
            Some(session) if session.data.stored().len() <= LONGEST_DATA => {
                let (session_hash, until) = (hash(session.id), self.until(session, extends));
                rows.put(session.with_metadata(EntryMetadata { key, mark, session: session_hash, until }))
            }
            _ => rows.remove(&key),
        };
        self.note(change);
    }

    /// Returns `true` if this process has made and heard of no revocation of the session within the last
    /// `max_staleness`. An answer of a server that lags by no more than that is then as good as one of the primary.
    pub(crate) fn is_settled(&self, session: Uuid) -> bool {
        let now = self.now();
        let earlier =
            self.settled.earlier(now, nanoseconds(self.settings.max_staleness), || self.validity.mark(now));
        earlier.is_some_and(|mark| self.validity.holds(mark, hash(session)))
    }

    /// Returns the session with this digest, if it can be answered without the database, and when that was found.
    pub(crate) fn get<T: SessionFields>(&self, key: &Key) -> Option<(Session<T>, ClockReading)> {
        let now = self.now();
        let found = self.entries()?.get(key, now);
        self.metrics.looked_up(match found {
            Ok(_) => CacheLookup::Hit,
            Err(Miss::Absent) => CacheLookup::Absent,
            Err(Miss::Void) => CacheLookup::Void,
            Err(Miss::Lapsed) => CacheLookup::Lapsed,
        });
        found.ok().map(|row| (Session::of(row), now))
    }

    fn note(&self, change: Change) {
        if change.more != 0 {
            self.kept.fetch_add(change.more, Ordering::Relaxed);
            self.metrics.kept(change.more);
        }
        if change.has_evicted {
            self.metrics.evicted();
        }
    }

    /// Notes whether the listener hears what others revoke.
    fn note_lease(&self, is_held: bool) {
        if self.is_heard.swap(is_held, Ordering::Relaxed) != is_held {
            self.metrics.lease_changed(is_held);
        }
    }

    fn entries<T: SessionFields>(&self) -> Option<&ValidatedCache<SessionRow<T>>> {
        self.entries.downcast_ref()
    }

    /// Returns when the session expires or can be extended, whichever is first: then the row decides.
    fn until<T: SessionFields>(&self, session: &Session<T>, extends: bool) -> i64 {
        let config = &self.config;
        let (stored, sliding) = (session.stored.expires_at, session.stored.sliding);
        let end = expiry::capped(config, session.inserted_at, stored);
        let token_until = binding::end(session.stored.token_until);
        let expires_at = end.into_iter().chain(token_until).min().map_or(i64::MAX, unix_microseconds);
        let last = (extends && config.auto_extend())
            .then(|| expiry::last_before_extension(config, session.inserted_at, stored, sliding));
        last.flatten().map_or(expires_at, |last| expires_at.min(unix_microseconds(last).saturating_add(1)))
    }

    /// Notes that a write is about to be sent. From now on nothing is answered that it may revoke, until the returned
    /// value is told the outcome or is dropped.
    pub(crate) fn begin_revocation(self: &Arc<Self>, revoked: Revoked) -> OpenRevocation {
        let scope = revoked.into();
        self.validity.open(scope);
        OpenRevocation { cache: Arc::clone(self), scope, is_committed: false }
    }

    /// Drops the cache entry of a session that is still as valid as it says, but has been changed.
    pub(crate) fn forget(&self, id: Uuid) {
        self.validity.revoke(Revoked::Session(id).into());
    }

    /// Records that sessions that have expired by `now` are about to be deleted.
    pub(crate) fn pruning(&self, now: OffsetDateTime) {
        self.validity.pruning(unix_microseconds(now));
    }

    /// Reads the clocks.
    #[inline]
    fn now(&self) -> ClockReading {
        self.config.clock_reading()
    }

    fn settings(&self) -> Cache {
        self.settings
    }

    /// Returns `true` if the caller must start the listener.
    fn begin_listening(&self) -> bool {
        self.validity.lease().is_some() && !self.is_listening.swap(true, Ordering::SeqCst)
    }
}

/// The metrics count what is in all caches of a table.
impl Drop for SessionCache {
    fn drop(&mut self) {
        self.note_lease(false);
        self.metrics.kept(-*self.kept.get_mut());
    }
}

/// A revocation that is being written. While it lives, nothing that it may revoke is answered from memory.
///
/// When it is dropped, it [gets its version](Validity::close). If it is not known by then to have been committed, it may
/// still be, by the caller's own transaction or by a server whose answer was lost. So it also goes into
/// [quarantine](Validity::quarantine): until that is settled, no session that it concerns is kept.
pub(crate) struct OpenRevocation {
    cache: Arc<SessionCache>,
    scope: Scope,
    is_committed: bool,
}

impl OpenRevocation {
    /// Closes it: the write was committed. Must be called before its caller is told.
    pub(crate) fn committed(mut self) {
        self.is_committed = true;
    }
}

impl Drop for OpenRevocation {
    fn drop(&mut self) {
        let cache = &self.cache;
        if self.is_committed {
            cache.validity.close(self.scope);
        } else {
            cache.validity.quarantine(self.scope, cache.now());
        }
    }
}

/// Returns the low half of a UUID, which is random in versions 4 and 7.
fn hash(id: Uuid) -> u64 {
    id.as_u64_pair().1
}
