use std::time::Duration;

use crate::config::ConfigError;

/// More sessions than a machine has room for. The places are made at once, so there must be a bound.
pub(crate) const MAX_CAPACITY: usize = 100_000_000;

/// A cache of sessions in this process: with it most calls of `authenticate` cost a hash, and what that
/// gives up is bounded. Off by default; see [`ConfigBuilder::cache`](crate::ConfigBuilder::cache).
///
/// # What it promises
///
/// 1. No answer is older than [`max_staleness`](Self::max_staleness), whatever fails: a session that was
///    revoked anywhere is refused everywhere after that.
/// 2. What this process revokes through this handle or a clone of it (`expire`, `delete`, `update`, `rotate`,
///    `expire_all`, `delete_all`) is refused by the very next call. A lookup that was on its way meanwhile does
///    not bring it back. For a revocation inside a transaction of the caller's, or one whose answer was lost,
///    this holds if it is committed within `max_staleness`.
/// 3. On PostgreSQL, revocations are announced to all processes in the transaction that makes them, and a
///    listener drops what they concern, usually within milliseconds. A process that has not heard from
///    the server within the [`lease`](Self::lease) answers nothing from its cache until it has caught up.
/// 4. Every hit is checked against the expiry, with the configured clock. A session whose extension is due
///    is read and extended.
/// 5. Errors and absences are not kept: a database that is back, and a session that was just made, are seen
///    at once, and made-up tokens take no room.
///
/// [`authenticate_fresh`](crate::Sessions::authenticate_fresh) always asks the database.
///
/// # What it does not
///
/// Changes that go by other ways than this library are seen after `max_staleness` at the latest: SQL of your
/// own, the statements of `into_delete`, a cascade. So are those of a second handle for the same table
/// in this process, where the database is not PostgreSQL: clone one handle instead. An answer's age counts from
/// the question to the database: where that is a replica, how far it lags comes on top. A session out of the cache
/// may be older than its row, so that writing it is a [`Conflict`](crate::ErrorKind::Conflict):
/// [`update_with`](crate::Sessions::update_with) reads it again, or begin with `authenticate_fresh`.
///
/// ```
/// use std::time::Duration;
/// use cloakroom::{Cache, Config};
///
/// let cache = Cache::new(100_000).max_staleness(Duration::from_secs(10));
/// let config = Config::builder().cache(cache).build()?;
/// # Ok::<(), cloakroom::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Cache {
    pub(crate) capacity: usize,
    pub(crate) max_staleness: Duration,
    pub(crate) lease: Duration,
    pub(crate) listens: bool,
}

impl Cache {
    /// A cache of at most `capacity` sessions, rounded up to a multiple of sixteen and to 32 at least; no more than
    /// 100 million.
    ///
    /// Each place takes 12 bytes at once, and a session in it what its fields and its JSON take, parsed and as
    /// text: 1.3 kilobytes for a user, a role and an object of three keys, as `cargo xtask bench` measures it. One
    /// with more than 64 KiB of data is not kept.
    ///
    /// A session's places are sixteen that its digest picks, and the sixteen after those. So a cache with half as
    /// many places again as there are sessions in use has hardly one that pushes out another; one with no more
    /// places than sessions answers more than nine of ten calls.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, max_staleness: Duration::from_secs(5), lease: Duration::from_secs(1), listens: true }
    }

    /// The age at which an answer is no longer given. Default 5 seconds.
    ///
    /// Counted from before the database was asked, on a clock that never goes back.
    pub fn max_staleness(mut self, age: Duration) -> Self {
        self.max_staleness = age;
        self
    }

    /// On PostgreSQL: for how long the cache answers without having heard from the server. Default 1 second.
    ///
    /// It is the bound on the delay of a revocation while the listener's connection is cut. The listener asks
    /// for a sign of life four times in this span, and at least once a second.
    pub fn lease(mut self, span: Duration) -> Self {
        self.lease = span;
        self
    }

    /// On PostgreSQL: whether to listen for what other processes revoke, on a connection beside the pool.
    /// Default yes. Without it [`max_staleness`](Self::max_staleness) alone is the bound, as on the other
    /// databases; so it must be behind a pooler of transactions, such as pgbouncer's, that passes no
    /// announcements on.
    pub fn listen(mut self, listens: bool) -> Self {
        self.listens = listens;
        self
    }

    pub(crate) fn check(self) -> Result<(), ConfigError> {
        if !(1..=MAX_CAPACITY).contains(&self.capacity) {
            return Err(ConfigError::CacheCapacity);
        }
        for (setting, span) in [("max_staleness", self.max_staleness), ("lease", self.lease)] {
            if span < Duration::from_micros(1) {
                return Err(ConfigError::ZeroSpan { setting });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn built(cache: Cache) -> Result<Config, ConfigError> {
        Config::builder().cache(cache).build()
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let cache = Cache::new(1000);
        assert_eq!(cache.capacity, 1000);
        assert_eq!(cache.max_staleness, Duration::from_secs(5));
        assert_eq!(cache.lease, Duration::from_secs(1));
        assert!(cache.listens);
        assert_eq!(Config::default().cache(), None);
        assert_eq!(built(cache).unwrap().cache(), Some(cache));
    }

    #[test]
    fn what_is_set_is_what_it_has() {
        let cache = Cache::new(1).max_staleness(Duration::from_secs(2)).lease(Duration::from_secs(3));
        assert_eq!(cache.max_staleness, Duration::from_secs(2));
        assert_eq!(cache.lease, Duration::from_secs(3));
        assert!(!cache.listen(false).listens && cache.listen(false).listen(true).listens);
    }

    #[test]
    fn a_cache_without_room_or_without_end_is_refused() {
        for capacity in [0, MAX_CAPACITY + 1, usize::MAX] {
            assert_eq!(built(Cache::new(capacity)).unwrap_err(), ConfigError::CacheCapacity);
        }
        for capacity in [1, MAX_CAPACITY] {
            assert!(built(Cache::new(capacity)).is_ok());
        }
    }

    #[test]
    fn a_span_of_nothing_is_refused() {
        let refused = |setting| Err(ConfigError::ZeroSpan { setting });
        let none = Duration::ZERO;
        assert_eq!(built(Cache::new(1).max_staleness(none)).map(drop), refused("max_staleness"));
        assert_eq!(built(Cache::new(1).lease(none)).map(drop), refused("lease"));
        for span in [Duration::from_micros(1), Duration::MAX] {
            assert!(built(Cache::new(1).max_staleness(span).lease(span)).is_ok());
        }
    }

    #[test]
    fn a_cache_that_was_set_can_be_taken_back() {
        let config = Config::builder().cache(Cache::new(1)).cache(None).build().unwrap();
        assert_eq!(config.cache(), None);
    }
}
