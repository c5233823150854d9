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

/// The length of the digest column, which holds the token itself where there is no hashing.
const MAX_PLAINTEXT_LENGTH: usize = 255;

/// The settings of one session table, checked once, in [`ConfigBuilder::build`].
///
/// | setting | default | meaning |
/// |---|---|---|
/// | [`token_length`](ConfigBuilder::token_length) | 64 | characters of a new token |
/// | [`hashing`](ConfigBuilder::hashing) | SHA-256 | how a token becomes a digest |
/// | [`secret_salt`](ConfigBuilder::secret_salt) | none | mixed into every digest |
/// | [`ttl`](ConfigBuilder::ttl) | 7 days | how long a new session lives |
/// | [`auto_extend`](ConfigBuilder::auto_extend) | yes | whether reading a session extends it |
/// | [`extend_after`](ConfigBuilder::extend_after) | 1 day | what an extension must gain to be written |
/// | [`max_lifetime`](ConfigBuilder::max_lifetime) | none | the end that no extension passes |
/// | [`max_batch`](ConfigBuilder::max_batch) | 256 | how many callers share a statement; 1 for none |
/// | [`max_in_flight`](ConfigBuilder::max_in_flight) | 2 | how many shared statements are out at once |
/// | [`cache`](ConfigBuilder::cache) | none | sessions kept in memory for a bounded time |
/// | [`announce`](ConfigBuilder::announce) | yes | whether PostgreSQL tells other processes of revocations |
/// | [`clock`](ConfigBuilder::clock) | the system's | where the time comes from |
///
/// Cheap to clone. The salt never shows in `Debug`.
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
    /// The defaults, to be changed one by one.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// The length of a new token, in characters.
    pub fn token_length(&self) -> usize {
        self.0.token_length
    }

    /// How a token becomes a digest.
    pub fn hashing(&self) -> Hashing {
        self.0.hashing
    }

    /// How long a new session lives; `None` for sessions that never expire.
    pub fn ttl(&self) -> Option<Duration> {
        self.0.ttl
    }

    /// What an extension must gain to be written; `None` where nothing is ever extended.
    pub fn extend_after(&self) -> Option<Duration> {
        self.0.extend_after
    }

    /// Whether reading a session extends it when that is due.
    pub fn auto_extend(&self) -> bool {
        self.0.auto_extend
    }

    /// How long after its creation a session ends, whatever extends it.
    pub fn max_lifetime(&self) -> Option<Duration> {
        self.0.max_lifetime
    }

    /// How many callers may share a statement; 1 where every caller has one of its own.
    pub fn max_batch(&self) -> usize {
        self.0.max_batch
    }

    /// How many shared statements of one kind may be out at once; `None` for what suits the database.
    pub fn max_in_flight(&self) -> Option<usize> {
        self.0.max_in_flight
    }

    /// The cache of sessions in this process; `None` where every call asks the database.
    pub fn cache(&self) -> Option<Cache> {
        self.0.cache
    }

    /// Whether revocations are announced to other processes, where the database is PostgreSQL.
    pub fn announces(&self) -> bool {
        self.0.announces
    }

    /// The clock's instant, at the precision that the databases store.
    pub fn now(&self) -> OffsetDateTime {
        clock::to_stored_precision(self.0.clock.now())
    }

    /// The clock's instant in microseconds since 1970. It is asked for with every answer of a cache, so the
    /// system's clock is read without the detour over a calendar.
    #[inline]
    pub(crate) fn unix_microseconds(&self) -> i64 {
        if self.0.has_own_clock {
            return clock::unix_microseconds(self.now());
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    /// How long some fixed instant is ago, by the clock that never goes back.
    #[inline]
    pub(crate) fn monotonic(&self) -> Duration {
        self.0.clock.monotonic()
    }

    /// The digest under which a session with this token is stored.
    ///
    /// # Errors
    ///
    /// See [`Hashing::digest`]; a token that fails here belongs to no session.
    pub fn digest(&self, token: impl AsRef<[u8]>) -> Result<TokenDigest, DigestError> {
        self.hash(token.as_ref()).map(|hashed| hashed.digest())
    }

    pub(crate) fn hash<'t>(&self, token: &'t [u8]) -> Result<Hashed<'t>, DigestError> {
        let salt = self.0.secret_salt.as_ref().map_or(&[][..], |salt| salt);
        self.0.hashing.hash(salt, token)
    }

    /// A new token and its digest.
    pub(crate) fn generate_token(&self) -> Result<(Token, TokenDigest), TokenError> {
        loop {
            let token = Token::generate(self.0.token_length)?;
            // Only a plaintext token that looks like a digest has none, and one draw in 2¹⁰⁰ or fewer does.
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

/// Builds a [`Config`]. Every setter may be left out.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ConfigBuilder {
    config: Config,
    extend_after_is_set: bool,
}

impl ConfigBuilder {
    /// The length of a new token, in characters of 6 bits. Default 64, at least [`MIN_TOKEN_LENGTH`].
    pub fn token_length(self, characters: usize) -> Self {
        self.with(|settings| settings.token_length = characters)
    }

    /// How a token becomes the digest that is stored. Default [`Hashing::Sha256`].
    ///
    /// Changing it makes every token that was given out unknown.
    pub fn hashing(self, hashing: Hashing) -> Self {
        self.with(|settings| settings.hashing = hashing)
    }

    /// Mixes a secret into every digest, which is `hash(salt ‖ token)`. Default none. Keep it outside the database.
    ///
    /// A process that can write to the database, and does not know the salt, cannot make the digest of a token of its
    /// own choice, and so cannot plant a session from nothing. It can still change rows that are there: their user,
    /// their role, their expiry. Nor is this a keyed hash such as HMAC
    /// ([RFC 2104](https://www.rfc-editor.org/rfc/rfc2104)): with SHA-1, SHA-256, SHA-512 and RIPEMD-160 the digest of a
    /// known token can be extended, without the salt, to that of a longer token which begins with it. SHA-3 and BLAKE2
    /// do not allow that.
    ///
    /// A token is random, so its digest is safe without a salt. Changing the salt makes every token that was given out
    /// unknown. An empty one is an error: it may be a variable of the environment that was not set.
    pub fn secret_salt(self, salt: impl Into<Vec<u8>>) -> Self {
        let salt = Zeroizing::new(salt.into());
        self.with(|settings| settings.secret_salt = Some(salt))
    }

    /// How long a new session lives. Default 7 days; `None` for sessions that never expire.
    pub fn ttl(self, ttl: impl Into<Option<Duration>>) -> Self {
        let ttl = ttl.into();
        self.with(|settings| settings.ttl = ttl)
    }

    /// What an extension must gain to be written: a session is extended when `now + ttl` lies more than
    /// this after its present expiry, so one in use is written about once in this span. `None` turns
    /// extension off.
    ///
    /// Default 1 day, or a seventh of `ttl` where that is no longer than a day.
    pub fn extend_after(mut self, gain: impl Into<Option<Duration>>) -> Self {
        let gain = gain.into();
        self.extend_after_is_set = true;
        self.with(|settings| settings.extend_after = gain)
    }

    /// Whether `authenticate`, `fetch_one` and `fetch_optional` extend the session they read when that is
    /// due. Default yes. [`Sessions::extend`](crate::Sessions::extend) extends in either case.
    pub fn auto_extend(self, auto_extend: bool) -> Self {
        self.with(|settings| settings.auto_extend = auto_extend)
    }

    /// How long after its creation a session ends, whatever extends it. Default none.
    pub fn max_lifetime(self, lifetime: impl Into<Option<Duration>>) -> Self {
        let lifetime = lifetime.into();
        self.with(|settings| settings.max_lifetime = lifetime)
    }

    /// How many concurrent callers of `authenticate` may share a statement, and likewise of `create` and of
    /// the extensions that reads make. Default 256, at most 4,096; 1 gives every caller a statement of its
    /// own. Lookups share it by 60 at most on SQLite, and extensions by 64.
    ///
    /// A new session that has to wait for somebody's lock, such as that on the row of a user whom it refers to and
    /// who is being deleted, waits alone, and an extension is left to whoever has its row locked. On MySQL those
    /// wait with it, once, who share its statement. On SQLite the lock is the file's, and all writers wait for it.
    pub fn max_batch(self, callers: usize) -> Self {
        self.with(|settings| settings.max_batch = callers)
    }

    /// How many shared statements of one kind may be out at once, each on a connection of the pool. Whoever
    /// asks when as many are out waits for the first to return, and goes with all who wait.
    ///
    /// Default 2. More helps where the database is far away, and makes batches smaller. Extensions are
    /// out one at a time; so is everything that writes on SQLite, which has one writer. A statement that is
    /// out for more than a quarter of a second is no longer counted, so that one that hangs holds up
    /// only its own callers; but one that waits for SQLite's file is, since another could only wait too.
    pub fn max_in_flight(self, statements: usize) -> Self {
        self.with(|settings| settings.max_in_flight = Some(statements))
    }

    /// Keeps sessions in this process's memory, so that most calls of `authenticate` cost a hash and no
    /// query. Default none. [`Cache`] says what is promised and what is given up.
    pub fn cache(self, cache: impl Into<Option<Cache>>) -> Self {
        let cache = cache.into();
        self.with(|settings| settings.cache = cache)
    }

    /// Whether a revocation on PostgreSQL is announced, with `NOTIFY` in the statement that makes it, to
    /// processes that keep sessions in a [`Cache`]. Default yes, in processes without a cache too: theirs are
    /// the revocations that the others must hear of.
    ///
    /// PostgreSQL commits transactions that announce one after another. Turn it off where no process has a
    /// cache and sessions are revoked by the thousand every second, and where transactions are prepared for a
    /// two-phase commit, which may not announce anything.
    pub fn announce(self, announces: bool) -> Self {
        self.with(|settings| settings.announces = announces)
    }

    /// Where the time comes from. Default [`SystemClock`].
    ///
    /// Takes a clock, or an `Arc` of one that a test goes on holding.
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        self.with(|settings| {
            settings.clock = clock;
            settings.has_own_clock = true;
        })
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that says which setting cannot be, and what can.
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

/// A setting that cannot be.
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
    /// A span that must have some length has none.
    ZeroSpan {
        /// The setting's name.
        setting: &'static str,
    },
    /// `extend_after` is not less than `ttl`, so nothing would ever be extended.
    ExtendAfter {
        /// What was set.
        extend_after: Duration,
        /// What it must be less than.
        ttl: Duration,
    },
    /// `max_batch` is out of bounds.
    MaxBatch,
    /// `max_in_flight` is zero, so nothing would ever be asked.
    MaxInFlight,
    /// A cache for no sessions, or for more than there can be.
    CacheCapacity,
    /// A name of a schema, table or column is none that the database can have: it is empty, longer than 63 bytes, or
    /// holds a control character.
    Identifier {
        /// What was to be named.
        what: &'static str,
        /// The name, shortened where it is long.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two fields have one column, or a field has the name of a built-in column.
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
