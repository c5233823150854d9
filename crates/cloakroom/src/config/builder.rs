use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::cache::Cache;
use super::causal_reads::CausalReads;
use super::error::ConfigError;
use super::settings::{Config, DAY, Settings};
use crate::clock::Clock;
use crate::token::{Hashing, Scheme, Schemes, TokenFormat};

impl Config {
    /// Returns a builder that starts from the defaults.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }
}

/// Builds a [`Config`]. Every setting has a default.
#[derive(Clone, Default)]
#[must_use]
pub struct ConfigBuilder {
    config: Config,
    hashing: Option<Hashing>,
    secret_salt: Option<Zeroizing<Vec<u8>>>,
    digests: Option<Vec<Scheme>>,
    extend_after_is_set: bool,
}

impl ConfigBuilder {
    /// Sets the length of a new token, in characters of 6 bits. Default 64, at least
    /// [`MIN_TOKEN_LENGTH`](crate::MIN_TOKEN_LENGTH).
    ///
    /// This is short for [`token_format`](Self::token_format) with [`TokenFormat::plain`]; the later call holds.
    pub fn token_length(self, characters: usize) -> Self {
        self.token_format(TokenFormat::plain(characters))
    }

    /// Sets what a new token looks like, such as `acme_live_` with a checksum at the end. Default
    /// [`TokenFormat::plain`], of 64 characters. `create` and `rotate` make tokens of this format.
    ///
    /// # Which tokens are accepted
    ///
    /// Tokens of this format, and of those of [`accept_formats`](Self::accept_formats). Any other text is refused before
    /// it is hashed, and takes no query: it is as unknown as a token that no session has. For each token a client
    /// presents:
    ///
    /// 1. If it begins with an accepted prefix and its underscore, it must be whole: its length, its characters, its
    ///    checksum. So a mistyped key costs no query, and most made-up keys cost none either.
    /// 2. If it begins with none of the accepted prefixes, a plain format must be accepted, which stands for *all* tokens
    ///    without an accepted prefix. Its length is that of new tokens: older, shorter ones and [imported
    ///    ones](crate::NewSession::import_token) of any form are accepted too.
    /// 3. A plain token may begin with a short prefix by chance. If it has exactly the length and the characters of an
    ///    accepted plain format, and not the length of the prefixed one, it is accepted all the same.
    ///
    /// # A table that has sessions
    ///
    /// **With a prefixed format alone, every token that was issued before is refused**, and so is an imported token of
    /// another form: [`create`](crate::Sessions::create) and [`import`](crate::Sessions::import) fail for one. Name the
    /// old format in `accept_formats` for as long as its sessions live. A digest that is imported does not tell what its
    /// token looks like. The tokens of another system, which [`digests`](Self::digests) adopts, need a plain format too.
    ///
    /// ```
    /// use cloakroom::{Config, ConfigError, TokenFormat};
    ///
    /// # fn main() -> Result<(), ConfigError> {
    /// // New keys have a prefix, and those of last year still work.
    /// let config = Config::builder()
    ///     .token_format(TokenFormat::prefixed("acme_live")?)
    ///     .accept_formats([TokenFormat::default()])
    ///     .build()?;
    /// # let _ = config;
    /// # Ok(())
    /// # }
    /// ```
    pub fn token_format(self, format: TokenFormat) -> Self {
        self.with(|settings| settings.formats.new = format)
    }

    /// Sets further formats whose tokens are accepted, beside that of new tokens. Default none.
    ///
    /// [`token_format`](Self::token_format) says what accepting means.
    pub fn accept_formats(self, formats: impl IntoIterator<Item = TokenFormat>) -> Self {
        let formats = formats.into_iter().collect();
        self.with(|settings| settings.formats.others = formats)
    }

    /// Sets how a token becomes the digest that is stored. Default [`Hashing::Sha256`].
    ///
    /// If you change it, every token that was issued before becomes unknown. To change it without that, use
    /// [`digests`](Self::digests).
    pub fn hashing(self, hashing: Hashing) -> Self {
        Self { hashing: Some(hashing), ..self }
    }

    /// Mixes a secret into every digest, which is `hash(salt ‖ token)`. Default none. Keep it outside the database.
    ///
    /// A process that can write to the database but does not know the salt cannot compute the digest of a token of its
    /// own choice, so it cannot create a session of its own. It can still change rows that exist: their user, their
    /// role, their expiry. This is the form of `ecto_sessions`, for its tables. A new table that is to have a secret
    /// should use [`Scheme::hmac_sha256`]: this is not a keyed hash ([RFC 2104](https://www.rfc-editor.org/rfc/rfc2104)).
    /// With SHA-1, SHA-256, SHA-512 and RIPEMD-160, the digest of a known token can be extended, without the salt, to
    /// the digest of a longer token that begins with it. SHA-3 and BLAKE2 do not allow that.
    ///
    /// A token is random, so its digest is safe without a salt. If you change the salt, every token that was issued
    /// before becomes unknown. An empty salt is an error, because it may come from an environment variable that was not
    /// set.
    pub fn secret_salt(self, salt: impl Into<Vec<u8>>) -> Self {
        Self { secret_salt: Some(Zeroizing::new(salt.into())), ..self }
    }

    /// Sets the schemes under which tokens are looked up, newest first, in place of [`hashing`](Self::hashing) and
    /// [`secret_salt`](Self::secret_salt). At most 8. New tokens are stored under the first.
    ///
    /// A lookup asks for a token's digests under all schemes in the one statement that it sends anyhow. (On SQLite, calls
    /// that share a statement look for the newest digests first, and in a second one for those that were not found.) A
    /// session that
    /// [`authenticate`](crate::Sessions::authenticate) finds under a later scheme is stored under the first from then
    /// on: its token stays the same. So a key is replaced, or a table given one, without logging anybody out:
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cloakroom::{Config, Key, Scheme};
    ///
    /// # let (from_env, older_from_env) = (Key::generate()?.expose_base64(), Key::generate()?.expose_base64());
    /// let key = Key::from_base64(&from_env)?;
    /// let older_key = Key::from_base64(&older_from_env)?;
    /// let config = Config::builder()
    ///     .digests([
    ///         Scheme::hmac_sha256("2026-11", &key),
    ///         Scheme::hmac_sha256("2025-04", &older_key),
    ///         Scheme::sha256(),
    ///     ])
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Replacing a key
    ///
    /// With several processes, none may store what another cannot find yet:
    ///
    /// 1. Give every process the new key as the second: `[old, new.incoming()]`.
    /// 2. Then let every process store under it: `[new, old]`.
    /// 3. Wait until [`count_by_scheme`](crate::Sessions::count_by_scheme) says that no valid session is left under the
    ///    old one, at the latest until the longest lifetime is over. Take the old key away: `[new]`.
    ///
    /// A single process can begin with the second step. A session whose key was taken away is unknown, as if it had never
    /// been. It is known again when the key is back.
    ///
    /// # What is not rewritten
    ///
    /// What is read inside a transaction, by [`authenticate_without_extending`](crate::Sessions::authenticate_without_extending)
    /// and by [`query`](crate::Sessions::query) stays as it is stored. If the database takes no writes, or the write
    /// fails, the session is answered all the same.
    pub fn digests(self, schemes: impl IntoIterator<Item = Scheme>) -> Self {
        Self { digests: Some(schemes.into_iter().collect()), ..self }
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

    /// Sets whether `authenticate`, and a query by token, extend the session that they read if an extension is due. Default yes. [`Sessions::extend`](crate::Sessions::extend) extends in either case.
    pub fn auto_extend(self, auto_extend: bool) -> Self {
        self.with(|settings| settings.auto_extend = auto_extend)
    }

    /// Sets how long after its creation a session ends, no matter how often it is extended, and no matter what its row
    /// says: it holds on reading too, for rows that another program or another configuration has written. Default none. This is what
    /// OWASP calls the *absolute timeout*.
    pub fn max_lifetime(self, lifetime: impl Into<Option<Duration>>) -> Self {
        let lifetime = lifetime.into();
        self.with(|settings| settings.max_lifetime = lifetime)
    }

    /// Sets how often the last use of a session is written, in tables that have a column for it
    /// ([`Role::LastSeen`](crate::Role::LastSeen)). Default `None`: it is not recorded. A minute is a good start.
    ///
    /// [`authenticate`](crate::Sessions::authenticate) and
    /// [`authenticate_fresh`](crate::Sessions::authenticate_fresh) note when they find a session, also if a
    /// [`Cache`](crate::Cache) answers, and [`Sessions::seen`](crate::Sessions::seen) notes the client too. This takes
    /// place in memory and costs some tens of nanoseconds. Once in this span everything that was noted is written, 128
    /// sessions in a statement. So a session costs one write in this span at most, however often it is used (with several
    /// processes, one write of each of them in which it is used).
    ///
    /// # What is written
    ///
    /// The columns with the roles, and no others: `updated_at` stays, so that no caller's
    /// [`update`](crate::Sessions::update) is a [`Conflict`](crate::ErrorKind::Conflict), and no cache is told. An instant
    /// only grows, also if several processes write. A session that has ended meanwhile stays ended.
    ///
    /// # What is lost
    ///
    /// A process that crashes loses what it has noted since the last write: this span, and the time that the write takes.
    /// [`Sessions::close`](crate::Sessions::close) writes it; call it when the application stops. If the last handle is
    /// dropped without it, what is noted is lost as in a crash.
    ///
    /// A write that fails is reported to `tracing` as a warning and tried again, after a second at first and then after
    /// twice as long each time, up to this span. No call fails or waits because of it. In the meantime, at most 65,536
    /// sessions are noted: one that has no room is left out until there is some, which the metric
    /// `cloakroom_uses_recorded_total` counts. If three quarters of the room are taken, everything is written early, so that
    /// a session in an application with more than 49,000 of them in use within this span may be written more often.
    ///
    /// On PostgreSQL and MariaDB a row that another transaction has locked is left to the next write.
    pub fn record_seen(self, every: impl Into<Option<Duration>>) -> Self {
        let every = every.into();
        self.with(|settings| settings.record_seen = every)
    }

    /// Sets how long entries of an [audit log](crate::Sessions::audit_log) are kept. Default: for ever. The
    /// [pruner](crate::Pruner), and [`delete_expired`](crate::Sessions::delete_expired), delete those that are older. How
    /// long they must or may be kept is for the application's law and its privacy notice to say.
    pub fn audit_retention(self, keep: impl Into<Option<Duration>>) -> Self {
        let keep = keep.into();
        self.with(|settings| settings.audit_retention = keep)
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

    /// Sets whether lookups by token and lists on SQLite go past the pool: the calling thread reads the rows itself, by a
    /// connection that the library opens on the same file. Default `true`. That takes a third of the time, because the
    /// pool's driver hands each statement, and each row, to another thread. Such a read sees what was committed before it
    /// began, as always.
    ///
    /// A handle has as many of these connections as there are processors, and at most 16. They only read, wait for no
    /// lock, and hold none between two reads. They are closed when the pool is closed, or when they were not used for
    /// ten seconds. Until then SQLite treats them as further connections of the application's. For example, it does not
    /// leave WAL mode.
    ///
    /// # Several threads
    ///
    /// The SQLite that comes with sqlx and rusqlite keeps the pages of all connections of a process behind one lock, for which
    /// threads wait that look up sessions at the same time. There are two ways out; the figures are in
    /// `docs/performance.md`. The application can be built with `LIBSQLITE3_FLAGS=-USQLITE_ENABLE_MEMORY_MANAGEMENT` in the
    /// environment, which gives each connection pages of its own. Or its pool maps the file into memory, by
    /// `SqliteConnectOptions::pragma("mmap_size", …)`, and these connections do the same. Mapped pages are not copied, either;
    /// but a disk error, or another program that shortens the file, then ends the process with a signal where SQLite would
    /// have returned an error ([SQLite's manual](https://www.sqlite.org/mmap.html)).
    ///
    /// # When the pool is asked
    ///
    /// The pool is asked as before if the database is in memory, not in WAL mode, or opened in a special way (another
    /// VFS, a shared cache, read-only, with other databases attached); if the table has a field of a type that only the
    /// driver can read, such as one with `#[derive(sqlx::Type)]`; and while reads have to wait for the disk, for which a
    /// thread that runs other tasks must not wait. It is also asked for a list that takes more than 20,000 steps of SQLite's
    /// machine, which is about a millisecond, or that has more than a mebibyte, and for a list with an expression of the
    /// application's, since the pool's connections may have functions and collations of their own.
    pub fn direct_reads(self, is_on: bool) -> Self {
        self.with(|settings| settings.direct_reads = is_on)
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
    /// # What announcing costs
    ///
    /// PostgreSQL commits transactions that notify one at a time, in the whole cluster, all its databases together: each
    /// waits for the flush of the one before. So no more than one commit's time each is the ceiling for all processes.
    /// Calls of `expire` and `delete` that wait at the same time share a statement and a commit. No process has more than
    /// two announcing statements out at once on one pool, unless one of them takes longer than a quarter of a second.
    /// Others wait without a connection, so that lookups go on.
    ///
    /// The notifications stay in a queue until every session of the cluster that has said `LISTEN` has read them, on any
    /// channel of any database. A session that listens and then stays in a transaction keeps the queue from being
    /// emptied. Once it is full, PostgreSQL refuses transactions that notify (SQLSTATE 54000), until a session asks for
    /// `pg_notification_queue_usage()`. A revocation that is refused for that is made without its announcement, and that
    /// function is called. `tracing` reports a warning. The caches of other processes then learn of the revocation after
    /// [`max_staleness`](Cache::max_staleness). In a transaction of the caller's the refusal comes at the commit, which
    /// fails. Watch the value of `SELECT pg_notification_queue_usage()`: it is between 0 and 1, and should stay at 0.
    ///
    /// Turn announcements off if no process has a cache. Also turn them off if transactions are prepared for a two-phase
    /// commit, which may not announce anything.
    pub fn announce(self, announces: bool) -> Self {
        self.with(|settings| settings.announces = announces)
    }

    /// Sets whether [`migrate`](crate::Sessions::migrate) makes a trigger on PostgreSQL that announces what *any* SQL
    /// revokes, as this library's own statements do: an `UPDATE` by hand, a `DELETE` that cascades from the users' table,
    /// a `TRUNCATE`, another program. Default no: then a [`Cache`] learns of those after
    /// [`max_staleness`](Cache::max_staleness).
    ///
    /// It fires once for each statement. An extension, or a write of when a session was last seen, is not announced; nor
    /// is the deletion of a row that has ended, or that expired more than a day ago. Every UPDATE and DELETE of the table
    /// collects the rows that it changed, which costs some microseconds for each, and see [`announce`](Self::announce) for
    /// what announcing costs. The migrating role must own the table, or have the right to `TRIGGER` and to create
    /// functions in its schema.
    ///
    /// While the server's queue of notifications is full, what the trigger announces is refused, too, as
    /// [`announce`](Self::announce) says. This library makes its own revocations once more then, with the trigger silenced
    /// for that one transaction. Other SQL fails at its commit; `SET LOCAL cloakroom.announces = 'off'` silences the trigger
    /// for the rest of any transaction.
    ///
    /// [`migrations::trigger_sql`](crate::migrations::trigger_sql) has the statements, for applications that keep their
    /// own migrations. To be rid of it, drop the three triggers `cloakroom_announce_…` of the table: `migrate` with this
    /// setting off leaves them as they are.
    pub fn announce_by_trigger(self, announces: bool) -> Self {
        self.with(|settings| settings.has_trigger = announces)
    }

    /// Sets whether statements on a cluster wait until their node has what the other nodes have committed. Default
    /// [`CausalReads::Auto`]: they wait if the server is a node of a Galera cluster.
    ///
    /// Each node of such a cluster applies a little later what another node has committed, and by default nothing waits
    /// for that: a session that was ended on one node is still accepted on another for milliseconds, under load for
    /// hundreds of them, and a token that was just made is unknown there. With `Auto` each statement of this handle
    /// sets `wsrep_sync_wait = 7` for itself. So an answer is never older than the question, on whichever node. A
    /// lookup that calls share waits once for all of them. `docs/clusters.md` in the repository has the cost.
    ///
    /// The server is asked when a connection is new to this handle, and only until one of them is a node. A server that
    /// is no MariaDB, such as Percona's cluster, cannot set this for one statement: there it is set for the
    /// connection each time that it is taken from the pool, and stays set for the application's own statements.
    /// Statements on a connection of the application's own wait as that connection says; a transaction of
    /// [`begin`](crate::Sessions::begin) waits when it begins.
    ///
    /// A read that waits longer than the node's `repl.causal_read_timeout`, 30 s by default, fails with
    /// [`Unavailable`](crate::ErrorKind::Unavailable), and a write with [`LockTimeout`](crate::ErrorKind::LockTimeout).
    /// Nothing was done then.
    pub fn causal_reads(self, reads: CausalReads) -> Self {
        self.with(|settings| settings.causal_reads = reads)
    }

    /// Sets how long a call waits for the database: for its turn, for a connection of the pool, and for the answers to
    /// its statements, all together. Default 10 seconds; with `None`, only the pool's and the server's own limits hold.
    ///
    /// Without a bound, a server that keeps the connection and says nothing, such as a machine that was suspended, would
    /// keep a call waiting for as long as it is silent. The default is longer than the five seconds for which
    /// [`Database::connect`](crate::Database::connect) lets SQLite wait for a lock, so that a lock is reported as a lock
    /// there. It is shorter than the 30 seconds for which a pool of sqlx waits for a connection by default, and than the
    /// 50 seconds for which MariaDB waits for a locked row.
    ///
    /// A call that runs out of time fails with [`Unavailable`](crate::ErrorKind::Unavailable). A write that had been sent
    /// by then may still be done, even later, because the server is not told: its [outcome](crate::Error::outcome) is
    /// `Unknown`. The connection is closed and does not go back to the pool. (A SQLite connection goes back; the pool
    /// lends it again when SQLite has answered.) The time is the runtime's, not that of the configured
    /// [`clock`](Self::clock).
    ///
    /// The bound holds for every call on the pool, with these differences:
    ///
    /// - Pruning, importing and streams take many statements. Each batch, statement or page has the bound for itself.
    /// - [`begin`](crate::Sessions::begin) has the bound. Operations [within](crate::Sessions::within) a transaction, or
    ///   on a connection of the caller's, have none, because a statement that is given up midway can leave the connection
    ///   in the middle of an answer, which the caller's next statement would read
    ///   ([`within`](crate::Sessions::within) says when). Bound the transaction as a whole, from `begin` to `commit`, in
    ///   a task of its own: `tokio::time::timeout(limit, tokio::spawn(async move { … }))`.
    /// - [`migrate`](crate::Sessions::migrate), [`migrate_down`](crate::Sessions::migrate_down) and
    ///   [`migration_status`](crate::Sessions::migration_status) have none. An index on a large table takes its time.
    pub fn timeout(self, limit: impl Into<Option<Duration>>) -> Self {
        let limit = limit.into();
        self.with(|settings| settings.timeout = limit)
    }

    /// Sets the clock. Default [`SystemClock`](crate::SystemClock).
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
        let salt = self.secret_salt.map(|mut salt| std::mem::take(&mut *salt));
        let of_hashing = self.hashing.is_some() || salt.is_some();
        settings.schemes = Schemes::new(match self.digests {
            Some(_) if of_hashing => return Err(ConfigError::DigestsTwice),
            Some(schemes) => schemes,
            None => {
                let hashing = self.hashing.unwrap_or_default();
                vec![match salt {
                    Some(salt) => Scheme::salted(hashing, salt),
                    None => Scheme::hashed(hashing),
                }]
            }
        })?;
        settings.check()?;
        Ok(self.config)
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.config.0));
        self
    }
}

/// Shows no secret.
impl fmt::Debug for ConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigBuilder")
            .field("config", &self.config)
            .field("hashing", &self.hashing)
            .field("secret_salt", &self.secret_salt.as_ref().map(|_| "redacted"))
            .field("digests", &self.digests)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let config = Config::builder().build().unwrap();
        assert_eq!(config.token_length(), 64);
        assert_eq!(format!("{:?}", config.digests()), "[Sha256]");
        assert_eq!(config.ttl(), Some(7 * DAY));
        assert_eq!(config.extend_after(), Some(DAY));
        assert!(config.auto_extend());
        assert_eq!(config.max_lifetime(), None);
        assert_eq!(config.exchange_grace(), Duration::from_secs(30));
        assert_eq!(config.timeout(), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_short_time_to_live_brings_its_own_threshold() {
        let config = Config::builder().ttl(Duration::from_secs(70)).build().unwrap();
        assert_eq!(config.extend_after(), Some(Duration::from_secs(10)));
    }

    #[test]
    fn the_salt_does_not_show() {
        let config = Config::builder().secret_salt("pepper-of-the-house").build().unwrap();
        assert!(!format!("{config:?}").contains("pepper"));
        let builder = Config::builder().secret_salt("pepper-of-the-house");
        assert!(!format!("{builder:?}").contains("pepper"));
    }
}
