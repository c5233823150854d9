use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::cache::Cache;
use super::causal_reads::CausalReads;
use crate::clock::clock_reading::ClockReading;
use crate::clock::{self, Clock, SystemClock, system};
use crate::token::{
    DigestError, HashedToken, Scheme, Schemes, Token, TokenDigest, TokenError, TokenFormat, TokenFormats,
};

pub(super) const DAY: Duration = Duration::from_hours(24);

/// The settings of one session table. [`ConfigBuilder::build`](crate::ConfigBuilder::build) checks them once.
///
/// | setting | default | meaning |
/// |---|---|---|
/// | [`token_length`](crate::ConfigBuilder::token_length) | 64 | characters of a new token without a prefix |
/// | [`token_format`](crate::ConfigBuilder::token_format) | plain | what a new token looks like: a prefix, a checksum |
/// | [`accept_formats`](crate::ConfigBuilder::accept_formats) | none | further formats whose tokens are accepted |
/// | [`hashing`](crate::ConfigBuilder::hashing) | SHA-256 | how a token becomes a digest |
/// | [`secret_salt`](crate::ConfigBuilder::secret_salt) | none | a secret that is mixed into every digest |
/// | [`digests`](crate::ConfigBuilder::digests) | SHA-256 | in place of both: several schemes, keyed ones among them |
/// | [`ttl`](crate::ConfigBuilder::ttl) | 7 days | how long a new session lives |
/// | [`auto_extend`](crate::ConfigBuilder::auto_extend) | yes | whether reading a session extends it |
/// | [`extend_after`](crate::ConfigBuilder::extend_after) | 1 day | how much an extension must gain to be written |
/// | [`max_lifetime`](crate::ConfigBuilder::max_lifetime) | none | the end that no extension passes |
/// | [`record_seen`](crate::ConfigBuilder::record_seen) | off | how often the last use of a session is written |
/// | [`audit_retention`](crate::ConfigBuilder::audit_retention) | for ever | how long an audit log's entries are kept |
/// | [`exchange_grace`](crate::ConfigBuilder::exchange_grace) | 30 seconds | how long an exchanged token is answered with the same successor |
/// | [`max_batch`](crate::ConfigBuilder::max_batch) | 256 | how many callers may share a statement; 1 turns sharing off |
/// | [`max_in_flight`](crate::ConfigBuilder::max_in_flight) | 2 | how many shared statements may be out at once |
/// | [`cache`](crate::ConfigBuilder::cache) | none | sessions kept in memory for a bounded time |
/// | [`announce`](crate::ConfigBuilder::announce) | yes | whether PostgreSQL tells other processes of revocations |
/// | [`announce_by_trigger`](crate::ConfigBuilder::announce_by_trigger) | no | whether it also tells them of those by other SQL |
/// | [`direct_reads`](crate::ConfigBuilder::direct_reads) | yes | whether lookups and lists on SQLite go past the pool |
/// | [`causal_reads`](crate::ConfigBuilder::causal_reads) | auto | whether a node of a Galera cluster waits for the others |
/// | [`timeout`](crate::ConfigBuilder::timeout) | 10 seconds | how long a call waits for the database |
/// | [`clock`](crate::ConfigBuilder::clock) | the system's | the source of the time |
///
/// A `Config` is cheap to clone. Its `Debug` output shows neither keys nor salts.
#[derive(Clone)]
pub struct Config(pub(super) Arc<Settings>);

#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting that is on or off")]
pub(super) struct Settings {
    pub(super) formats: TokenFormats,
    pub(super) schemes: Schemes,
    pub(super) ttl: Option<Duration>,
    pub(super) extend_after: Option<Duration>,
    pub(super) auto_extend: bool,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) record_seen: Option<Duration>,
    pub(super) audit_retention: Option<Duration>,
    pub(super) exchange_grace: Duration,
    pub(super) max_batch: usize,
    pub(super) max_in_flight: Option<usize>,
    pub(super) direct_reads: bool,
    pub(super) cache: Option<Cache>,
    pub(super) announces: bool,
    pub(super) has_trigger: bool,
    pub(super) causal_reads: CausalReads,
    pub(super) timeout: Option<Duration>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) has_own_clock: bool,
}

impl Config {
    /// Returns the length of a new token, in characters.
    pub fn token_length(&self) -> usize {
        self.0.formats.new.length()
    }

    /// Returns what a new token looks like.
    pub fn token_format(&self) -> &TokenFormat {
        &self.0.formats.new
    }

    /// Returns the formats whose tokens are accepted: first that of new tokens.
    pub fn accepted_formats(&self) -> impl Iterator<Item = &TokenFormat> {
        self.0.formats.all()
    }

    /// Returns what may be shown of a token, by the accepted format that it has; see [`TokenFormat::hint`].
    pub fn hint(&self, token: &Token) -> String {
        self.0.formats.hint(token)
    }

    /// Returns the schemes under which tokens are looked up, newest first. New tokens are stored under the first.
    pub fn digests(&self) -> &[Scheme] {
        self.0.schemes.as_slice()
    }

    pub(crate) fn schemes(&self) -> &Schemes {
        &self.0.schemes
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

    /// Returns how often the last use of a session is written, or `None` if it is not.
    pub fn record_seen(&self) -> Option<Duration> {
        self.0.record_seen
    }

    /// Returns how long entries of an audit log are kept, or `None` if they are kept for ever.
    pub fn audit_retention(&self) -> Option<Duration> {
        self.0.audit_retention
    }

    /// Returns how long after its exchange a token is answered with the same successor.
    pub fn exchange_grace(&self) -> Duration {
        self.0.exchange_grace
    }

    /// Returns how many callers may share a statement; with 1, every caller has its own.
    pub fn max_batch(&self) -> usize {
        self.0.max_batch
    }

    /// Returns how many shared statements of one kind may be out at once, or `None` for the default of the database.
    pub fn max_in_flight(&self) -> Option<usize> {
        self.0.max_in_flight
    }

    /// Returns `true` if lookups on SQLite go past the pool; see
    /// [`ConfigBuilder::direct_reads`](crate::ConfigBuilder::direct_reads).
    pub fn direct_reads(&self) -> bool {
        self.0.direct_reads
    }

    /// Returns the settings of the cache in this process, or `None` if every call asks the database.
    pub fn cache(&self) -> Option<Cache> {
        self.0.cache
    }

    /// Returns `true` if a migration makes the trigger that announces what any SQL revokes.
    pub(crate) fn has_trigger(&self) -> bool {
        self.0.has_trigger
    }

    /// Returns `true` if revocations are announced to other processes, which happens on PostgreSQL only.
    pub fn announces(&self) -> bool {
        self.0.announces
    }

    /// Returns whether statements on a cluster wait for what its other nodes have committed.
    pub fn causal_reads(&self) -> CausalReads {
        self.0.causal_reads
    }

    /// Returns how long a call waits for the database, or `None` if it waits without a bound of its own.
    pub fn timeout(&self) -> Option<Duration> {
        self.0.timeout
    }

    /// Returns the clock's instant, at the precision that the databases store.
    pub fn now(&self) -> OffsetDateTime {
        clock::to_stored_precision(self.0.clock.now())
    }

    /// Returns the time since some fixed instant, by the clock that never goes back.
    #[inline]
    pub(crate) fn monotonic(&self) -> Duration {
        self.0.clock.monotonic()
    }

    /// Reads both clocks. Every answer of a cache does.
    #[inline]
    pub(crate) fn clock_reading(&self) -> ClockReading {
        if !self.0.has_own_clock {
            return system::reading();
        }
        ClockReading {
            monotonic: clock::nanoseconds(self.monotonic()),
            wall: clock::unix_microseconds(self.now()),
        }
    }

    /// Returns the digest under which a new session with this token is stored: that of the first of the
    /// [schemes](Self::digests).
    ///
    /// # Errors
    ///
    /// Those of [`Scheme::digest`], and [`DigestError::Format`] if the token has none of the [accepted
    /// formats](crate::ConfigBuilder::accept_formats). If there are no other schemes, a token that fails here belongs to
    /// no session.
    pub fn digest(&self, token: impl AsRef<[u8]>) -> Result<TokenDigest, DigestError> {
        self.check_format(token.as_ref())?;
        self.0.schemes.newest().digest(token)
    }

    pub(crate) fn hash<'a>(&'a self, token: &'a [u8]) -> Result<HashedToken<'a>, DigestError> {
        self.check_format(token)?;
        self.0.schemes.hash(token)
    }

    fn check_format(&self, token: &[u8]) -> Result<(), DigestError> {
        if self.0.formats.accept(token) { Ok(()) } else { Err(DigestError::Format) }
    }

    /// Generates a new token and its digest.
    pub(crate) fn generate_token(&self) -> Result<(Token, TokenDigest), TokenError> {
        loop {
            let token = self.0.formats.generate()?;
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
            formats: TokenFormats::default(),
            schemes: Schemes::default(),
            ttl: Some(7 * DAY),
            extend_after: Some(DAY),
            auto_extend: true,
            max_lifetime: None,
            record_seen: None,
            audit_retention: None,
            exchange_grace: Duration::from_secs(30),
            max_batch: 256,
            max_in_flight: None,
            direct_reads: true,
            cache: None,
            announces: true,
            has_trigger: false,
            causal_reads: CausalReads::Auto,
            timeout: Some(Duration::from_secs(10)),
            clock: Arc::new(SystemClock),
            has_own_clock: false,
        }))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("token_format", &self.0.formats.new)
            .field("accept_formats", &self.0.formats.others)
            .field("digests", &self.0.schemes.as_slice())
            .field("ttl", &self.0.ttl)
            .field("extend_after", &self.0.extend_after)
            .field("auto_extend", &self.0.auto_extend)
            .field("max_lifetime", &self.0.max_lifetime)
            .field("record_seen", &self.0.record_seen)
            .field("audit_retention", &self.0.audit_retention)
            .field("exchange_grace", &self.0.exchange_grace)
            .field("max_batch", &self.0.max_batch)
            .field("max_in_flight", &self.0.max_in_flight)
            .field("direct_reads", &self.0.direct_reads)
            .field("cache", &self.0.cache)
            .field("announce", &self.0.announces)
            .field("announce_by_trigger", &self.0.has_trigger)
            .field("causal_reads", &self.0.causal_reads)
            .field("timeout", &self.0.timeout)
            .field("clock", &self.0.clock)
            .finish()
    }
}
