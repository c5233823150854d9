use std::time::Duration;

use super::error::ConfigError;
use super::limits::MAX_CAPACITY;

/// The settings of a cache of sessions in this process.
///
/// With a cache most calls of `authenticate` cost only a hash, and answers may be out of date for a limited time. Off
/// by default; see [`ConfigBuilder::cache`](crate::ConfigBuilder::cache).
///
/// # What it promises
///
/// 1. No answer is older than [`max_staleness`](Self::max_staleness), no matter what fails: a session that was revoked
///    anywhere is refused everywhere after that time.
/// 2. What this process revokes through this handle or a clone of it (`expire`, `delete`, `update`, `rotate`,
///    `expire_all`, `delete_all`) is refused from the commit on, also by a call that comes before the revocation has
///    returned. From before a revocation is sent until it returns, the sessions concerned are read from the database; for
///    `expire_all` and `delete_all` these are all. A lookup that was out at the time does not bring anything back. For a revocation inside a transaction of the caller's, or if the result was lost, this holds if it is
///    committed within `max_staleness`.
/// 3. On PostgreSQL, revocations are announced to all processes in the transaction that makes them. A listener drops
///    the sessions concerned, usually within milliseconds. A process that has not heard from the server within the
///    [`lease`](Self::lease) answers nothing from its cache until it has caught up. If PostgreSQL refuses to announce a
///    revocation, because its queue of notifications is full, the revocation is made all the same, and other processes
///    learn of it after `max_staleness`; see [`announce`](crate::ConfigBuilder::announce).
/// 4. Every cache entry is checked against its expiry before it is used, with the configured clock. If an extension of
///    the session is due, the session is read from the database and extended.
/// 5. Errors and absences are not kept. So a database that is back, and a session that was just created, are seen at
///    once, and made-up tokens take no room.
///
/// [`authenticate_fresh`](crate::Sessions::authenticate_fresh) always asks the database.
///
/// # What it does not
///
/// Changes that do not go through this library are seen after `max_staleness` at the latest: SQL of your own, the
/// statements of `into_delete`, a cascade. The same holds for changes through a second handle for the same table in
/// this process, if the database is not PostgreSQL: clone one handle instead. The age of an answer counts from the
/// query to the database. If the query goes to a replica, the replica's lag comes on top. A session from the cache may
/// be older than its row, so that writing it is a [`Conflict`](crate::ErrorKind::Conflict). Use
/// [`update_with`](crate::Sessions::update_with), which reads it again, or begin with `authenticate_fresh`.
///
/// On a standby of PostgreSQL's no connection can listen. A cache of a handle on a standby alone answers without a
/// listener, so that only `max_staleness` and the standby's lag bound the age of an answer, and says so to `tracing`. It
/// listens as soon as the standby is promoted. The cache of a [`Replica`](crate::Replica) listens to the primary.
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
    /// Makes the settings of a cache of at most `capacity` sessions. The capacity is rounded up to a multiple of
    /// sixteen, is at least 32, and must not exceed 100 million.
    ///
    /// Each place takes 12 bytes from the start. A session in it takes the memory of its fields and of its JSON as text:
    /// 0.55 kilobytes measured for a user, a role and an object of three keys. Once its [data](crate::SessionData) is
    /// read, it also takes that of the parsed JSON: 1.4 kilobytes in all. Data of a type of the application's is parsed
    /// from the start. A session with more than 64 KiB of data is not kept.
    ///
    /// A session may go into the sixteen places that its digest selects, or into the sixteen after those. If a cache
    /// has half as many places again as there are sessions in use, hardly any session pushes out another. If it has no
    /// more places than sessions, it answers more than nine of ten calls.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, max_staleness: Duration::from_secs(5), lease: Duration::from_secs(1), listens: true }
    }

    /// Sets the age at which an answer is no longer given. Default 5 seconds.
    ///
    /// The age counts from before the database was asked, on a clock that never goes back, and on the wall clock, which
    /// goes on while the machine is suspended. The system's wall clock is read once a millisecond, and in between the other
    /// clock carries it on.
    pub fn max_staleness(mut self, age: Duration) -> Self {
        self.max_staleness = age;
        self
    }

    /// Sets for how long the cache answers without having heard from the server, on PostgreSQL. Default 1 second.
    ///
    /// This bounds the delay of a revocation while the listener's connection is cut. The listener sends itself a
    /// heartbeat through the server four times in this span, and at least once a second.
    pub fn lease(mut self, span: Duration) -> Self {
        self.lease = span;
        self
    }

    /// Sets whether to listen for the revocations of other processes, on PostgreSQL. Default yes. The listener has two
    /// connections beside the pool, made with the pool's options: one listens, and the other sends the heartbeats. Without
    /// a listener only [`max_staleness`](Self::max_staleness) bounds the age of an answer, as on the other databases.
    ///
    /// Announcements do not pass a transaction pooler, such as pgbouncer in that mode. If both connections report the same
    /// process of the server, or the process changes, they lead to such a pooler. Then nothing listens, as with
    /// `listen(false)`, until the handle is made anew, and `tracing` reports a warning. A session pooler passes them on.
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
    use super::super::settings::Config;
    use super::*;

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
        for capacity in [0, 100_000_001, usize::MAX] {
            assert_eq!(built(Cache::new(capacity)).unwrap_err(), ConfigError::CacheCapacity);
        }
        for capacity in [1, 100_000_000] {
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
