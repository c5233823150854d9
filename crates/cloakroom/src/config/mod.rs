mod cache;

pub use cache::Cache;
use cache::MAX_CAPACITY;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::clock::{self, Clock, SystemClock};
use crate::token::{
    DigestError, Hashed, Hashing, MAX_TOKEN_LENGTH, MIN_TOKEN_LENGTH, Token, TokenDigest, TokenError,
};

const DAY: Duration = Duration::from_hours(24);

/// The greatest number of callers that may share a statement.
pub(crate) const MAX_BATCH: usize = 4096;

/// The length of the digest column, which holds the token itself if there is no hashing.
const MAX_PLAINTEXT_LENGTH: usize = 255;

/// The settings of one session table. [`ConfigBuilder::build`] checks them once.
///
/// | setting | default | meaning |
/// |---|---|---|
/// | [`token_length`](ConfigBuilder::token_length) | 64 | characters of a new token |
/// | [`hashing`](ConfigBuilder::hashing) | SHA-256 | how a token becomes a digest |
/// | [`secret_salt`](ConfigBuilder::secret_salt) | none | a secret that is mixed into every digest |
/// | [`ttl`](ConfigBuilder::ttl) | 7 days | how long a new session lives |
/// | [`auto_extend`](ConfigBuilder::auto_extend) | yes | whether reading a session extends it |
/// | [`extend_after`](ConfigBuilder::extend_after) | 1 day | how much an extension must gain to be written |
/// | [`max_lifetime`](ConfigBuilder::max_lifetime) | none | the end that no extension passes |
/// | [`max_batch`](ConfigBuilder::max_batch) | 256 | how many callers may share a statement; 1 turns sharing off |
/// | [`max_in_flight`](ConfigBuilder::max_in_flight) | 2 | how many shared statements may be out at once |
/// | [`cache`](ConfigBuilder::cache) | none | sessions kept in memory for a bounded time |
/// | [`announce`](ConfigBuilder::announce) | yes | whether PostgreSQL tells other processes of revocations |
/// | [`clock`](ConfigBuilder::clock) | the system's | the source of the time |
///
/// A `Config` is cheap to clone. Its `Debug` output never shows the salt.
#[derive(Clone)]
pub struct Config(Arc<Settings>);

#[derive(Clone)]
struct Settings {
    token_length: usize,
    hashing: Hashing,
    secret_salt: Option<Zeroizing<Vec<u8>>>,
    ttl: Option<Duration>,
    extend_after: Option<Duration>,
    auto_extend: bool,
    max_lifetime: Option<Duration>,
    max_batch: usize,
    max_in_flight: Option<usize>,
    cache: Option<Cache>,
    announces: bool,
    clock: Arc<dyn Clock>,
    has_own_clock: bool,
}

impl Config {
    /// Returns a builder that starts from the defaults.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// Returns the length of a new token, in characters.
    pub fn token_length(&self) -> usize {
        self.0.token_length
    }

    /// Returns how a token becomes a digest.
    pub fn hashing(&self) -> Hashing {
        self.0.hashing
    }

    /// Returns how long a new session lives, or `None` if sessions never expire.
    pub fn ttl(&self) -> Option<Duration> {
        self.0.ttl
    }

    /// Returns how much an extension must gain to be written, or `None` if sessions are never extended.
    pub fn extend_after(&self) -> Option<Duration> {
        self.0.extend_after
    }

    /// Returns `true` if reading a session extends it when an extension is due.
    pub fn auto_extend(&self) -> bool {
        self.0.auto_extend
    }

    /// Returns how long after its creation a session ends, no matter how often it is extended.
    pub fn max_lifetime(&self) -> Option<Duration> {
        self.0.max_lifetime
    }

    /// Returns how many callers may share a statement; with 1, every caller has its own.
    pub fn max_batch(&self) -> usize {
        self.0.max_batch
    }

    /// Returns how many shared statements of one kind may be out at once, or `None` for the default of the database.
    pub fn max_in_flight(&self) -> Option<usize> {
        self.0.max_in_flight
    }

    /// Returns the settings of the cache in this process, or `None` if every call asks the database.
    pub fn cache(&self) -> Option<Cache> {
        self.0.cache
    }

    /// Returns `true` if revocations are announced to other processes, which happens on PostgreSQL only.
    pub fn announces(&self) -> bool {
        self.0.announces
    }

    /// Returns the clock's instant, at the precision that the databases store.
    pub fn now(&self) -> OffsetDateTime {
        clock::to_stored_precision(self.0.clock.now())
    }

    /// Returns the clock's instant in microseconds since 1970. Every answer of a cache calls this, so the system's
    /// clock is read without a conversion to a calendar.
    #[inline]
    pub(crate) fn unix_microseconds(&self) -> i64 {
        if self.0.has_own_clock {
            return clock::unix_microseconds(self.now());
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    /// Returns the time since some fixed instant, by the clock that never goes back.
    #[inline]
    pub(crate) fn monotonic(&self) -> Duration {
        self.0.clock.monotonic()
    }

    /// Returns the digest under which a session with this token is stored.
    ///
    /// # Errors
    ///
    /// Those of [`Hashing::digest`]. A token that fails here belongs to no session.
    pub fn digest(&self, token: impl AsRef<[u8]>) -> Result<TokenDigest, DigestError> {
        self.hash(token.as_ref()).map(|hashed| hashed.digest())
    }

    pub(crate) fn hash<'t>(&self, token: &'t [u8]) -> Result<Hashed<'t>, DigestError> {
        let salt = self.0.secret_salt.as_ref().map_or(&[][..], |salt| salt);
        self.0.hashing.hash(salt, token)
    }

    /// Generates a new token and its digest.
    pub(crate) fn generate_token(&self) -> Result<(Token, TokenDigest), TokenError> {
        loop {
            let token = Token::generate(self.0.token_length)?;
            // Only a plaintext token that looks like a digest is refused here. At most one draw in 2¹⁰⁰ does.
            if let Ok(digest) = self.digest(&token) {
                return Ok((token, digest));
            }
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self(Arc::new(Settings {
            token_length: 64,
            hashing: Hashing::default(),
            secret_salt: None,
            ttl: Some(7 * DAY),
            extend_after: Some(DAY),
            auto_extend: true,
            max_lifetime: None,
            max_batch: 256,
            max_in_flight: None,
            cache: None,
            announces: true,
            clock: Arc::new(SystemClock),
            has_own_clock: false,
        }))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let salt = if self.0.secret_salt.is_some() { "redacted" } else { "none" };
        f.debug_struct("Config")
            .field("token_length", &self.0.token_length)
            .field("hashing", &self.0.hashing)
            .field("secret_salt", &format_args!("{salt}"))
            .field("ttl", &self.0.ttl)
            .field("extend_after", &self.0.extend_after)
            .field("auto_extend", &self.0.auto_extend)
            .field("max_lifetime", &self.0.max_lifetime)
            .field("max_batch", &self.0.max_batch)
            .field("max_in_flight", &self.0.max_in_flight)
            .field("cache", &self.0.cache)
            .field("announce", &self.0.announces)
            .field("clock", &self.0.clock)
            .finish()
    }
}

/// Builds a [`Config`]. Every setting has a default.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ConfigBuilder {
    config: Config,
    extend_after_is_set: bool,
}

impl ConfigBuilder {
    /// Sets the length of a new token, in characters of 6 bits. Default 64, at least [`MIN_TOKEN_LENGTH`].
    pub fn token_length(self, characters: usize) -> Self {
        self.with(|settings| settings.token_length = characters)
    }

    /// Sets how a token becomes the digest that is stored. Default [`Hashing::Sha256`].
    ///
    /// If you change it, every token that was issued before becomes unknown.
    pub fn hashing(self, hashing: Hashing) -> Self {
        self.with(|settings| settings.hashing = hashing)
    }

    /// Mixes a secret into every digest, which is `hash(salt ‖ token)`. Default none. Keep it outside the database.
    ///
    /// A process that can write to the database but does not know the salt cannot compute the digest of a token of its
    /// own choice, so it cannot create a session of its own. It can still change rows that exist: their user, their
    /// role, their expiry. This is not a keyed hash such as HMAC ([RFC 2104](https://www.rfc-editor.org/rfc/rfc2104)).
    /// With SHA-1, SHA-256, SHA-512 and RIPEMD-160, the digest of a known token can be extended, without the salt, to
    /// the digest of a longer token that begins with it. SHA-3 and BLAKE2 do not allow that.
    ///
    /// A token is random, so its digest is safe without a salt. If you change the salt, every token that was issued
    /// before becomes unknown. An empty salt is an error, because it may come from an environment variable that was not
    /// set.
    pub fn secret_salt(self, salt: impl Into<Vec<u8>>) -> Self {
        let salt = Zeroizing::new(salt.into());
        self.with(|settings| settings.secret_salt = Some(salt))
    }

    /// Sets how long a new session lives. Default 7 days; with `None`, sessions never expire.
    ///
    /// This is what OWASP calls the *idle timeout*: an extension moves the expiry to `now + ttl`, so a session that is
    /// not used for this long ends. It may end earlier by up to [`extend_after`](Self::extend_after), because smaller
    /// gains are not written.
    pub fn ttl(self, ttl: impl Into<Option<Duration>>) -> Self {
        let ttl = ttl.into();
        self.with(|settings| settings.ttl = ttl)
    }

    /// Sets how much an extension must gain to be written. A session is extended if `now + ttl` lies more than this
    /// span after its present expiry, so a session in use is written about once in this span. `None` turns extension
    /// off: the idle timeout then becomes a fixed lifetime of `ttl`.
    ///
    /// Default 1 day. If `ttl` is a day or less, the default is a seventh of `ttl`.
    ///
    /// The idle timeout is exact only to this span: a session ends between `ttl - extend_after` and `ttl` after its
    /// last use.
    pub fn extend_after(mut self, gain: impl Into<Option<Duration>>) -> Self {
        let gain = gain.into();
        self.extend_after_is_set = true;
        self.with(|settings| settings.extend_after = gain)
    }

    /// Sets whether `authenticate`, `fetch_one` and `fetch_optional` extend the session that they read if an extension
    /// is due. Default yes. [`Sessions::extend`](crate::Sessions::extend) extends in either case.
    pub fn auto_extend(self, auto_extend: bool) -> Self {
        self.with(|settings| settings.auto_extend = auto_extend)
    }

    /// Sets how long after its creation a session ends, no matter how often it is extended. Default none. This is what
    /// OWASP calls the *absolute timeout*.
    pub fn max_lifetime(self, lifetime: impl Into<Option<Duration>>) -> Self {
        let lifetime = lifetime.into();
        self.with(|settings| settings.max_lifetime = lifetime)
    }

    /// Sets how many concurrent callers of `authenticate` may share a statement. The same limit holds for `create`, and
    /// for the extensions that reads make. Default 256, at most 4,096; with 1, every caller has its own statement. On
    /// SQLite at most 60 lookups share a statement. At most 64 extensions do, on every database.
    ///
    /// A new session may have to wait for a lock of another transaction, such as the lock on the row of a user that it
    /// refers to and that is being deleted. It then waits alone. A shared extension does not wait: a row that another
    /// transaction has locked is left to that transaction. On MySQL, the callers that share the statement wait with it,
    /// once. On SQLite the lock is the file's, and all writers wait for it.
    pub fn max_batch(self, callers: usize) -> Self {
        self.with(|settings| settings.max_batch = callers)
    }

    /// Sets how many shared statements of one kind may be out at once, each on a connection of the pool. A call that
    /// finds that many out waits until one of them returns, and is then sent together with the other calls that wait.
    ///
    /// Default 2. A higher number helps if the database is far away, and makes batches smaller. Extensions are out one
    /// at a time. So are all shared writes on SQLite, which has one writer. A statement that is out for more than a
    /// quarter of a second is no longer counted, so a statement that hangs delays only its own callers. A statement
    /// that waits for SQLite's file is still counted, since another statement would only wait too.
    pub fn max_in_flight(self, statements: usize) -> Self {
        self.with(|settings| settings.max_in_flight = Some(statements))
    }

    /// Keeps sessions in this process's memory, so that most calls of `authenticate` cost a hash and no query. Default
    /// none. [`Cache`] says what it promises and what it gives up.
    pub fn cache(self, cache: impl Into<Option<Cache>>) -> Self {
        let cache = cache.into();
        self.with(|settings| settings.cache = cache)
    }

    /// Sets whether a revocation on PostgreSQL is announced to the processes that keep sessions in a [`Cache`]. The
    /// statement that revokes sends a `NOTIFY`. Default yes, also in a process without a cache: the other processes
    /// must hear of its revocations.
    ///
    /// PostgreSQL commits transactions that announce one after another. Turn announcements off if no process has a
    /// cache and sessions are revoked by the thousand every second. Also turn them off if transactions are prepared for
    /// a two-phase commit, which may not announce anything.
    pub fn announce(self, announces: bool) -> Self {
        self.with(|settings| settings.announces = announces)
    }

    /// Sets the clock. Default [`SystemClock`].
    ///
    /// `clock` is an `Arc`, so a test can keep a clone of it.
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        self.with(|settings| {
            settings.clock = clock;
            settings.has_own_clock = true;
        })
    }

    /// Checks the settings and returns the [`Config`].
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that names the invalid setting and says which values are allowed.
    pub fn build(mut self) -> Result<Config, ConfigError> {
        let extend_after_is_set = self.extend_after_is_set;
        let settings = Arc::make_mut(&mut self.config.0);
        if !extend_after_is_set
            && let Some(ttl) = settings.ttl
            && ttl <= DAY
        {
            settings.extend_after = Some(ttl / 7);
        }
        settings.check()?;
        Ok(self.config)
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.config.0));
        self
    }
}

impl Settings {
    fn check(&self) -> Result<(), ConfigError> {
        let longest = match self.hashing {
            Hashing::DangerousPlaintext => MAX_PLAINTEXT_LENGTH,
            _ => MAX_TOKEN_LENGTH,
        };
        if !(MIN_TOKEN_LENGTH..=longest).contains(&self.token_length) {
            return Err(ConfigError::TokenLength { longest });
        }
        if self.hashing == Hashing::DangerousPlaintext && self.secret_salt.is_some() {
            return Err(ConfigError::SaltWithoutHashing);
        }
        if self.secret_salt.as_ref().is_some_and(|salt| salt.is_empty()) {
            return Err(ConfigError::EmptySalt);
        }
        for (setting, span) in [("ttl", self.ttl), ("max_lifetime", self.max_lifetime)] {
            if span.is_some_and(|span| span < Duration::from_micros(1)) {
                return Err(ConfigError::ZeroSpan { setting });
            }
        }
        if !(1..=MAX_BATCH).contains(&self.max_batch) {
            return Err(ConfigError::MaxBatch);
        }
        if self.max_in_flight == Some(0) {
            return Err(ConfigError::MaxInFlight);
        }
        self.cache.map_or(Ok(()), Cache::check)?;
        if let (Some(extend_after), Some(ttl)) = (self.extend_after, self.ttl)
            && extend_after >= ttl
        {
            return Err(ConfigError::ExtendAfter { extend_after, ttl });
        }
        Ok(())
    }
}

/// An invalid setting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `token_length` is out of bounds.
    TokenLength {
        /// The greatest length that this table can hold.
        longest: usize,
    },
    /// The salt is empty.
    EmptySalt,
    /// There is a salt, but no hashing to mix it into.
    SaltWithoutHashing,
    /// A span is zero that must not be.
    ZeroSpan {
        /// The setting's name.
        setting: &'static str,
    },
    /// `extend_after` is not less than `ttl`, so no session would ever be extended.
    ExtendAfter {
        /// What was set.
        extend_after: Duration,
        /// The `ttl`, which must be greater.
        ttl: Duration,
    },
    /// `max_batch` is out of bounds.
    MaxBatch,
    /// `max_in_flight` is zero, so no statement would ever be sent.
    MaxInFlight,
    /// The capacity of the cache is zero, or more than the maximum.
    CacheCapacity,
    /// The name of a schema, table or column is not allowed: it is empty, longer than 63 bytes, or holds a control
    /// character, or this database does not allow it.
    Identifier {
        /// What the name is for.
        what: &'static str,
        /// The name, shortened if it is long.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two fields have the same column, or a field has the name of a built-in column.
    DuplicateColumn {
        /// The column's name.
        name: String,
    },
    /// The database cannot hold a field's type.
    ColumnType {
        /// The column's name.
        column: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokenLength { longest } => {
                write!(f, "token_length must be at least {MIN_TOKEN_LENGTH} and at most {longest}")
            }
            Self::EmptySalt => {
                f.write_str("secret_salt must not be empty: leave it out if there is to be none")
            }
            Self::SaltWithoutHashing => f.write_str(
                "a token that is not hashed cannot be salted: leave out secret_salt or choose a hashing",
            ),
            Self::ZeroSpan { setting } => {
                write!(f, "{setting} must be at least a microsecond, or none at all")
            }
            Self::ExtendAfter { extend_after, ttl } => write!(
                f,
                "extend_after ({extend_after:?}) must be less than ttl ({ttl:?}), or nothing would ever be extended"
            ),
            Self::MaxBatch => write!(f, "max_batch must be at least 1 and at most {MAX_BATCH}"),
            Self::MaxInFlight => f.write_str("max_in_flight must be at least 1"),
            Self::CacheCapacity => {
                write!(f, "a cache must have room for at least one session and at most {MAX_CAPACITY}")
            }
            Self::Identifier { what, name, problem } => {
                write!(f, "{name:?} is no name for a {what}: {problem}")
            }
            Self::DuplicateColumn { name } => {
                write!(
                    f,
                    "the column {name:?} is declared twice or built in; name the field's column differently"
                )
            }
            Self::ColumnType { column, problem } => write!(f, "the column {column:?}: {problem}"),
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let config = Config::builder().build().unwrap();
        assert_eq!(config.token_length(), 64);
        assert_eq!(config.hashing(), Hashing::Sha256);
        assert_eq!(config.ttl(), Some(7 * DAY));
        assert_eq!(config.extend_after(), Some(DAY));
        assert!(config.auto_extend());
        assert_eq!(config.max_lifetime(), None);
    }

    #[test]
    fn a_token_length_out_of_bounds_is_refused() {
        let build = |length| Config::builder().token_length(length).build();
        assert!(build(22).is_ok() && build(4096).is_ok());
        assert!(matches!(build(21), Err(ConfigError::TokenLength { .. })));
        assert!(matches!(build(4097), Err(ConfigError::TokenLength { .. })));
    }

    #[test]
    fn a_plaintext_token_must_fit_its_column() {
        let build =
            |length| Config::builder().hashing(Hashing::DangerousPlaintext).token_length(length).build();
        assert!(build(255).is_ok());
        assert_eq!(build(256).unwrap_err(), ConfigError::TokenLength { longest: 255 });
    }

    #[test]
    fn a_salt_without_hashing_is_refused_even_when_empty() {
        for salt in ["pepper", ""] {
            let config = Config::builder().hashing(Hashing::DangerousPlaintext).secret_salt(salt);
            assert_eq!(config.build().unwrap_err(), ConfigError::SaltWithoutHashing);
        }
    }

    #[test]
    fn an_empty_salt_is_refused() {
        let config = Config::builder().secret_salt("");
        assert_eq!(config.build().unwrap_err(), ConfigError::EmptySalt);
    }

    #[test]
    fn an_extension_threshold_must_lie_under_the_time_to_live() {
        let build = |extend_after| Config::builder().ttl(2 * DAY).extend_after(extend_after).build();
        assert!(build(DAY).is_ok());
        assert!(matches!(build(2 * DAY), Err(ConfigError::ExtendAfter { .. })));
    }

    #[test]
    fn a_short_time_to_live_brings_its_own_threshold() {
        let config = Config::builder().ttl(Duration::from_secs(70)).build().unwrap();
        assert_eq!(config.extend_after(), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_span_of_nothing_is_refused() {
        assert!(matches!(
            Config::builder().ttl(Duration::ZERO).build(),
            Err(ConfigError::ZeroSpan { setting: "ttl" })
        ));
        assert!(Config::builder().max_lifetime(Duration::ZERO).build().is_err());
    }

    #[test]
    fn a_batch_has_one_caller_at_least_and_no_more_than_a_statement_can_take() {
        let build = |callers| Config::builder().max_batch(callers).build();
        assert_eq!(Config::default().max_batch(), 256);
        assert_eq!(build(1).unwrap().max_batch(), 1);
        assert_eq!(build(4096).unwrap().max_batch(), 4096);
        for callers in [0, 4097, 5000, usize::MAX] {
            let error = build(callers).unwrap_err();
            assert_eq!(error, ConfigError::MaxBatch);
            assert_eq!(error.to_string(), "max_batch must be at least 1 and at most 4096");
        }
    }

    #[test]
    fn one_statement_at_least_may_be_out() {
        let build = |statements| Config::builder().max_in_flight(statements).build();
        assert_eq!(Config::default().max_in_flight(), None);
        assert_eq!(build(1).unwrap().max_in_flight(), Some(1));
        let error = build(0).unwrap_err();
        assert_eq!(error, ConfigError::MaxInFlight);
        assert_eq!(error.to_string(), "max_in_flight must be at least 1");
    }

    #[test]
    fn the_salt_does_not_show() {
        let config = Config::builder().secret_salt("pepper-of-the-house").build().unwrap();
        assert!(!format!("{config:?}").contains("pepper"));
        let builder = Config::builder().secret_salt("pepper-of-the-house");
        assert!(!format!("{builder:?}").contains("pepper"));
    }
}
