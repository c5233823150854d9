use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use crate::cache::{Revoked, SessionCache};
use crate::config::{Config, ConfigError};
use crate::database::{Backend, Connection, Database, Databases, Transaction};
#[cfg(feature = "dbsc")]
use crate::device::Challenge;
use crate::error::{Outcome, Result};
use crate::events::{Observer, Observers};
use crate::migrations::{self, Migration};
use crate::operations::{Handle, ImportedSession, Importer, Limits, Operations, PerOwner, Use, bounded};
use crate::query::{AuditLog, SchemeCount, SessionQuery};
#[cfg(feature = "dbsc")]
use crate::session::{BindingTerms, Registration, Renewal};
use crate::session::{CreatedSession, EndReason, Exchange, NewSession, RetiredToken, Seen, Session, Status};
use crate::store::Store;
#[cfg(feature = "dbsc")]
use crate::table::HasDeviceKey;
use crate::table::{
    ExchangesTokens, HasAssurance, HasAuthenticatedAt, HasEndedBecause, HasLastSeen, HasOwner, KeepsAuditLog,
    RotatesWithGrace, SessionFields, SessionTable, TableDefinition,
};
use crate::token::{HashedToken, Token};

/// The sessions of one table. Every operation goes through this handle.
///
/// A handle is cheap to clone. Make it once and keep it for as long as the application runs: [`new`](Self::new) checks
/// the settings and writes the statements. Every operation runs on a connection of the pool. To run operations inside a
/// transaction of your own, use [`within`](Self::within).
///
/// # Errors
///
/// Absent, unknown, expired and malformed tokens are `None`. If the database fails, the operation returns an `Err`, so
/// a database that is down never looks like "logged out".
///
/// # Cancellation
///
/// Any future may be dropped at any time. Each statement is then either done as a whole or not at all, and each one
/// leaves a valid state. [`create`](Self::create), [`update`](Self::update), [`extend`](Self::extend),
/// [`rotate`](Self::rotate) and [`delete`](Self::delete) write with one statement. [`import`](Self::import) writes in
/// one transaction. [`expire`](Self::expire), the queries that end or delete many sessions,
/// [`delete_expired`](Self::delete_expired) and [`migrate`](Self::migrate) may take several statements, and may stop
/// between two of them.
pub struct Sessions<T> {
    handle: Arc<Handle>,
    of: PhantomData<fn() -> T>,
}

/// Which servers a lookup may ask.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Primary,
    /// The standby first, if the application wants that of lookups that the cache keeps.
    AlsoStandby,
}

impl<T: SessionTable> Sessions<T> {
    /// Makes the handle for the table that `T` declares, in the application's own database.
    ///
    /// `database` is a sqlx pool, a [`Database`], or a primary with its standby ([`Database::replica`]). This call sends
    /// no statement to it. A pool of a standby alone can be given too: `docs/clusters.md` in the repository says what
    /// holds then.
    ///
    /// On a cluster of Galera's an answer is never older than the question, on whichever node it is asked; see
    /// [`causal_reads`](crate::ConfigBuilder::causal_reads).
    ///
    /// # Errors
    ///
    /// If a declared name is empty, longer than 63 bytes or holds a control character, if two columns have the same
    /// name by this database's rules, or if this database cannot store the type of a field.
    pub fn new(database: impl Into<Databases>, config: Config) -> Result<Self, ConfigError> {
        Self::with_definition(database, T::definition(), config)
    }
}

impl<T: SessionFields> Sessions<T> {
    /// Makes the handle for a table that is defined at run time; see [`DynamicFields`](crate::DynamicFields).
    ///
    /// # Errors
    ///
    /// The same as those of [`new`](Self::new).
    pub fn with_definition(
        database: impl Into<Databases>,
        definition: TableDefinition,
        config: Config,
    ) -> Result<Self, ConfigError> {
        let handle = Handle::new::<T>(database.into(), definition, config)?;
        Ok(Self { handle: Arc::new(handle), of: PhantomData })
    }

    /// Makes a handle for the same table in another schema, for applications that have a schema for each tenant.
    ///
    /// Make one handle for each schema and keep it. Concurrent calls share statements only within one handle and its
    /// clones. A [`Cache`](crate::Cache) and its listener belong to them too.
    ///
    /// # Errors
    ///
    /// If `schema` is empty, longer than 63 bytes, or holds a control character.
    pub fn with_schema(&self, schema: impl Into<String>) -> Result<Self, ConfigError> {
        let definition = self.definition().clone().schema(schema.into());
        self.anew(definition, self.limits(), self.handle.observers().clone())
    }

    /// Makes a handle for the same table that limits how many valid sessions each owner has at once. Call it again to add
    /// a limit.
    ///
    /// [`create`](Self::create) then counts the owner's valid sessions. If there are as many as the limit allows, it ends
    /// those that must make room for the new one, or it fails with
    /// [`LimitReached`](crate::ErrorKind::LimitReached); see [`PerOwner`]. Sessions that never expire count. Those that
    /// have ended or expired do not. A session whose owner is null is not limited.
    ///
    /// Make this the handle that the application keeps: a handle without the limit, such as a clone from before, creates
    /// sessions without it.
    ///
    /// # How exact it is
    ///
    /// However many creates of one owner run at the same time, in any number of processes, there are never more sessions
    /// than the limit allows. Sessions end in the transaction that inserts the new one, and no cache answers for them after
    /// `create` has returned, as after [`expire`](Self::expire). Creates of other owners do not wait, except that on
    /// SQLite all writes wait for each other. On a Galera cluster, creates on different nodes at the same moment may exceed
    /// the limit by their number. Each counts once more after its commit and ends what is too much, so that the limit holds
    /// once all have returned.
    ///
    /// `create` alone is limited. [`import`](Self::import), an [`update`](Self::update) that gives a session to another
    /// owner, and SQL of the application's own are not. What they add counts for the next `create`, which makes room for
    /// itself: it ends as many sessions as are too many.
    ///
    /// # What it costs
    ///
    /// A create under a limit is a transaction of four or five round trips, and shares no statement with others. The
    /// column of the owner should have an index. A handle without limits pays nothing.
    ///
    /// The transaction runs in a task of its own: if the future of `create` is dropped, it goes on to its end.
    ///
    /// # Within a transaction of the caller's
    ///
    /// [`within`](Self::within) a transaction the limit holds too, and the lock of the owner is held until that
    /// transaction ends: other creates of this owner wait for it. On PostgreSQL the transaction must not be
    /// `REPEATABLE READ`, and on MariaDB and MySQL creates of owners that are neighbours in the index may wait too. On a
    /// connection without a transaction, `create` fails with [`NoTransaction`](crate::ErrorKind::NoTransaction).
    ///
    /// # Errors
    ///
    /// [`ConfigError::Limit`] if the number is 0, or if a column that the limit needs is missing.
    pub fn with_limit(self, limit: PerOwner<T>) -> Result<Self, ConfigError>
    where
        T: HasOwner,
    {
        let limits = self.limits().into_iter().chain([limit]).collect();
        self.anew(self.definition().clone(), limits, self.handle.observers().clone())
    }

    /// Makes a handle for the same table whose operations tell `observer` what they do. Call it again to add an observer.
    ///
    /// The observer hears of each [`Event`](crate::Event) once, after its commit and before the call returns; see
    /// [`Observer`]. Within a transaction of [`begin`](Self::begin) that is the commit of this transaction, and after a
    /// rollback it hears nothing. Within a transaction of sqlx's own it hears nothing unless
    /// [`Operations::into_events`](crate::Operations::into_events) is used.
    ///
    /// It hears of what this handle and its clones do, and not of what other processes do or of other SQL. An event is lost
    /// if the process is killed between the commit and the call of the observer, or if a call is dropped before it knows
    /// that it is committed. An [audit log](Self::audit_log) loses none. A session that reaches its expiry is no event,
    /// since nothing happens at that instant.
    ///
    /// # Errors
    ///
    /// None: this handle has been checked before.
    pub fn with_observer(self, observer: impl Observer) -> Result<Self, ConfigError> {
        let observers = self.handle.observers().and(observer);
        self.anew(self.definition().clone(), self.limits(), observers)
    }

    fn limits(&self) -> Vec<PerOwner<T>> {
        self.handle.limits().map_or(&[][..], Limits::of).to_vec()
    }

    /// Makes a handle for another table on the same databases.
    fn anew(
        &self,
        definition: TableDefinition,
        limits: Vec<PerOwner<T>>,
        observers: Observers,
    ) -> Result<Self, ConfigError> {
        let handle = Handle::new::<T>(self.handle.databases().clone(), definition, self.config().clone())?;
        let handle = handle.with_limits(limits)?.with_observers(observers);
        Ok(Self { handle: Arc::new(handle), of: PhantomData })
    }

    /// Begins a transaction on the pool, for [`within`](Self::within) and for statements of your own.
    ///
    /// The future of this method may be dropped at any time. That of `pool.begin()` may not: see [`Database::begin`].
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if no connection becomes free, if the database cannot be reached,
    /// or if it does not answer within the [time-out](crate::ConfigBuilder::timeout).
    ///
    /// # Panics
    ///
    /// If it is called outside a tokio runtime.
    pub async fn begin(&self) -> Result<Transaction> {
        // Nothing is written yet, even if the transaction begins after the caller has gone.
        let begun = bounded(self.config().timeout(), self.store().pool.begin()).await;
        begun.map_err(|error| error.with_outcome(Outcome::NotDone))
    }

    /// Returns the operations inside the caller's transaction. The transaction is one of [`begin`](Self::begin)'s, one
    /// of sqlx's own, or a connection on which a transaction is open.
    ///
    /// # What remains the application's
    ///
    /// If the future of an inner `begin()` on a sqlx transaction is dropped midway, sqlx 0.9 rolls the *outer*
    /// transaction back, on every database, and does not tell the outer one. A database also ends transactions by
    /// itself: MariaDB after a deadlock, from 11.6 on after error 1020 (a row has changed since the transaction's first
    /// read), and before a change of any table's definition; SQLite when the disk is full.
    /// The operations here then fail with [`NoTransaction`](crate::ErrorKind::NoTransaction) and commit nothing. Your
    /// own statements on such a transaction are committed at once, and its `rollback()` returns `Ok`. So await an inner
    /// `begin()` to its end, and end a transaction after the first error. Inside savepoints, this library cannot notice
    /// that the innermost savepoint was rolled back together with the one around it.
    ///
    /// On MariaDB and MySQL, if a future is dropped while sqlx 0.9 prepares its statement, the driver takes the answer for
    /// that of a later statement, and the pool may lack the connection until the server closes it. If a transaction's
    /// future may be dropped, as the future of a request handler is when its client disconnects, run it in a task of its
    /// own (`tokio::spawn`), which goes on, or give the pool the hook that `docs/reliability.md` in the repository shows.
    ///
    /// After an error on PostgreSQL, the `commit()` of sqlx 0.9 returns `Ok` although the server rolls back; that of
    /// [`Transaction`] fails.
    ///
    /// # Errors
    ///
    /// If no transaction is open, every operation fails with [`NoTransaction`](crate::ErrorKind::NoTransaction) and
    /// does nothing. Use [`on_connection`](Self::on_connection) for a connection on which each operation is to commit
    /// by itself.
    ///
    /// # Panics
    ///
    /// If the connection is of another kind of database than the pool.
    pub fn within<'c>(&self, transaction: impl Into<Connection<'c>>) -> Operations<'c, T> {
        let connection = transaction.into();
        assert_eq!(
            connection.backend(),
            self.database().backend(),
            "the transaction belongs to another kind of database than the sessions"
        );
        Operations::new(Arc::clone(&self.handle), connection)
    }

    /// Returns the operations on a connection of the caller's, which need not be in a transaction. If a transaction is
    /// open, the operations are committed with it. If not, each operation commits by itself.
    ///
    /// # Panics
    ///
    /// If the connection is of another kind of database than the pool.
    pub fn on_connection<'c>(&self, connection: impl Into<Connection<'c>>) -> Operations<'c, T> {
        self.within(connection.into().free())
    }

    /// Creates a new session with a new token.
    ///
    /// The returned value is the only place that holds the token; the database stores its digest. The returned session
    /// is what the row holds: if a column may round a value or write it in another form, the row is read again. The
    /// first write of a handle asks the database's catalogue, in a query of its own, how the columns store values.
    ///
    /// # Errors
    ///
    /// [`InvalidField`](crate::ErrorKind::InvalidField) if a required field is null or blank, or if a field does not
    /// fit its column; [`InvalidData`](crate::ErrorKind::InvalidData) if `data` cannot be stored;
    /// [`DuplicateToken`](crate::ErrorKind::DuplicateToken) if an imported token is taken;
    /// [`LimitReached`](crate::ErrorKind::LimitReached) if a [limit](Self::with_limit) refuses it.
    pub async fn create(&self, new: NewSession<T>) -> Result<CreatedSession<T>> {
        self.on_pool().create(new).await
    }

    /// Creates the rows of sessions that another system made. Either all of them are created or none.
    ///
    /// The rows are written in one transaction, up to 256 in a statement. On SQLite other writers wait until it ends. For
    /// many rows, and for an import that may be run again, use an [`importer`](Self::importer). A second import here does
    /// not notice a session that was imported with its digest and is stored under the newest scheme since: its token
    /// would then have two sessions.
    ///
    /// # Errors
    ///
    /// The same as those of [`create`](Self::create). Also [`InvalidField`](crate::ErrorKind::InvalidField) for a
    /// session that was created in the future, [`DuplicateToken`](crate::ErrorKind::DuplicateToken) if a token is
    /// taken, and [`Constraint`](crate::ErrorKind::Constraint) if an id is taken.
    pub async fn import(&self, sessions: Vec<ImportedSession<T>>) -> Result<()> {
        let mut transaction = self.begin().await?;
        let imported = self.within(&mut transaction).import_bounded(sessions).await;
        // Nothing is committed.
        imported.map_err(|error| error.with_outcome(Outcome::NotDone))?;
        bounded(self.config().timeout(), transaction.commit()).await
    }

    /// Returns an [`Importer`], which imports any number of sessions that another system made, in transactions of bounded
    /// size, and which may be run again.
    pub fn importer(&self) -> Importer<'static, T> {
        Importer::new(Arc::clone(&self.handle))
    }

    /// Returns the valid session for this token, if there is one.
    ///
    /// This is the hot path. It takes one query by the unique index on the digest, which concurrent calls share. With a
    /// [`Cache`](crate::Cache), most calls take no query.
    ///
    /// If the configuration asks for it and an extension is due, the session is extended in a second statement, and the
    /// returned session agrees with the row. If the extension cannot be written, as in a database that takes no writes,
    /// the read does not fail: the failure is reported to `tracing` as a warning, for every kind of error. A database
    /// that takes no writes, such as a standby, is not asked to extend a session again for the next ten seconds.
    ///
    /// A session that another machine ended is refused at once, even if that machine's clock is ahead of this one's.
    ///
    /// `token` is what the client presented: any bytes, of any length. A string that cannot be a token is rejected
    /// without a query.
    pub async fn authenticate(&self, token: impl AsRef<[u8]>) -> Result<Option<Session<T>>> {
        let Some(hashed) = self.store().hash(token.as_ref()) else {
            return Ok(None);
        };
        if let Some((session, now)) = self.cache().and_then(|cache| cache.get::<T>(&hashed.key())) {
            self.handle.note_use_at(session.id, now);
            return Ok(Some(session));
        }
        // The future is on the heap, so that the future of a call that the cache answers is small.
        Box::pin(self.ask(hashed, Use::Extends, Asked::AlsoStandby)).await
    }

    /// Returns the valid session for this token, if there is one, and asks the database even if a
    /// [`Cache`](crate::Cache) could answer.
    ///
    /// Use it for operations that would do more harm than a query costs, such as a payment or a change of password.
    /// Otherwise it works like [`authenticate`](Self::authenticate).
    pub async fn authenticate_fresh(&self, token: impl AsRef<[u8]>) -> Result<Option<Session<T>>> {
        match self.store().hash(token.as_ref()) {
            Some(hashed) => Box::pin(self.ask(hashed, Use::Extends, Asked::Primary)).await,
            None => Ok(None),
        }
    }

    /// Returns the valid session for this token, if there is one, and never extends it.
    ///
    /// Use it to look at a session that the user is not using: for a page that a browser fetches ahead of its user, or
    /// a check in the background. Otherwise it works like [`authenticate_fresh`](Self::authenticate_fresh).
    pub async fn authenticate_without_extending(
        &self,
        token: impl AsRef<[u8]>,
    ) -> Result<Option<Session<T>>> {
        match self.store().hash(token.as_ref()) {
            Some(hashed) => Box::pin(self.ask(hashed, Use::Leaves, Asked::Primary)).await,
            None => Ok(None),
        }
    }

    async fn ask(&self, hashed: HashedToken<'_>, how: Use, asked: Asked) -> Result<Option<Session<T>>> {
        let Some(digests) = self.store().digests(&hashed) else {
            return Ok(None);
        };
        let Some(cache) = self.cache() else {
            return self.on_pool().authenticate_hashed(&digests, how).await;
        };
        #[cfg(feature = "postgres")]
        #[allow(irrefutable_let_patterns, reason = "refutable where other databases' features are on")]
        if let Database::Postgres(pool) = self.database() {
            crate::cache::listen(cache, pool, self.definition().table_name());
        }
        let mark = cache.mark();
        let mut on_pool = self.on_pool();
        if asked == Asked::AlsoStandby
            && let Some(mut session) = on_pool.find_on_standby(&digests).await
            && cache.is_settled(session.id)
        {
            cache.put(hashed.key(), mark, Some(&mut session), true);
            self.handle.note_use(session.id);
            return Ok(Some(session));
        }
        let mark = if self.handle.standby().is_some() { cache.mark() } else { mark };
        let mut session = on_pool.authenticate_hashed(&digests, how).await?;
        if session.as_ref().is_some_and(|session| session.stored.old_token_until.is_some()) {
            // An old token is good until an instant that the cache does not know.
            return Ok(session);
        }
        let extends = !self.handle.extensions().is_known(self.config().monotonic());
        cache.put(hashed.key(), mark, session.as_mut(), extends);
        Ok(session)
    }

    /// Starts a query: `sessions.query().filter(UserSession::USER_ID.eq("1234")).fetch_all().await?`.
    pub fn query(&self) -> SessionQuery<'static, T> {
        SessionQuery::new(self.on_pool())
    }

    /// Starts a query of the table's audit log: what happened to its sessions, to whose and why. See [`AuditLog`].
    ///
    /// A table that is declared with `#[session(audit_log)]` has a second table beside it, `<table>_audit_log`, which
    /// [`migrate`](Self::migrate) makes. Each call that creates, changes, ends or deletes a session writes an entry there, in
    /// the same transaction: neither is committed without the other, and what is rolled back leaves no entry. Entries are
    /// never changed. They are deleted by their [age](crate::ConfigBuilder::audit_retention) alone, and stay when their
    /// sessions are pruned.
    ///
    /// # What is not in it
    ///
    /// Extensions, since there would be an entry for almost each use of a session; sessions that reach their expiry, and
    /// their pruning; what was refused, since nothing is written then; and what SQL of the application's own does, also by
    /// cascade. If that must be in the log, it is for a trigger of the application's.
    ///
    /// # What it costs
    ///
    /// Writes on the pool are transactions of three or four round trips, and share no statement with others, as they do
    /// without a log. `expire_all` and `delete_all` write 500 sessions in a transaction, with an entry for each. Reads cost
    /// the same as without it. [On a connection](Self::on_connection) of the caller's a transaction must be open.
    pub fn audit_log(&self) -> AuditLog<'static, T>
    where
        T: KeepsAuditLog,
    {
        AuditLog::new(self.on_pool())
    }

    /// Returns how many sessions are stored under each [`Scheme`](crate::Scheme): first under those that the
    /// configuration has, in its order, and then under others. It reads the whole table.
    ///
    /// A key or an older hash can be taken out of [`digests`](crate::ConfigBuilder::digests) once no valid session is
    /// stored under it. Sessions under a scheme that the configuration does not have are unknown: no call accepts their
    /// tokens. For each such scheme `tracing` reports a warning once, with its name and the number of valid sessions. A
    /// [`Pruner`](crate::Pruner) asks for this when it starts, if a scheme has a name.
    pub async fn count_by_scheme(&self) -> Result<Vec<SchemeCount>> {
        self.query().status(Status::All).count_by_scheme().await
    }

    /// Reads the session again, whether it is valid or expired.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if the row is gone.
    pub async fn reload(&self, session: &mut Session<T>) -> Result<()> {
        self.on_pool().reload(session).await
    }

    /// Writes the caller's changes to the session's fields, data and expiry, if the row is still as it was read.
    ///
    /// A column that the caller did not change is not written, so a value that the application's own SQL has put there
    /// since stays. In changed data, the parts that did not change keep every digit. An expiry that the caller sets is
    /// capped at the absolute lifetime. If nothing was changed, `updated_at` still moves.
    ///
    /// The row is "as it was read" if its `updated_at` and `expires_at` are. This notices SQL of the application's own
    /// if that SQL moves `updated_at` too, as in `UPDATE sessions SET role = 'guest', updated_at = updated_at +
    /// interval '1 microsecond' WHERE …`: an update of what was read before is then a `Conflict`. SQL that leaves
    /// `updated_at` as it is goes unnoticed. This update then keeps its values in the columns that the caller has not
    /// changed and overwrites them in the others; `data` is overwritten as a whole. In the columns that it kept,
    /// `session` still has the values that were read; [`reload`](Self::reload) reads the new ones.
    ///
    /// # Errors
    ///
    /// [`Conflict`](crate::ErrorKind::Conflict) if the row was written since it was read;
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is gone (it is never inserted again);
    /// [`Expired`](crate::ErrorKind::Expired) if the session has expired and the new expiry would bring it back; and
    /// the errors of [`create`](Self::create) about fields and data.
    pub async fn update(&self, session: &mut Session<T>) -> Result<()> {
        self.on_pool().update(session).await
    }

    /// Changes the session with `change` and writes it. If another caller wrote the row meanwhile, the session is read
    /// again and `change` is applied to what was read, so `change` may run more than once.
    ///
    /// # Errors
    ///
    /// The same as those of [`update`](Self::update), except that [`Conflict`](crate::ErrorKind::Conflict) is returned
    /// only after a hundred further attempts. After an error `session` is as it was last read.
    pub async fn update_with(
        &self,
        session: &mut Session<T>,
        change: impl FnMut(&mut Session<T>),
    ) -> Result<()> {
        self.on_pool().update_with(session, change).await
    }

    /// Moves the expiry to `now + ttl` if that is due, and returns `true` if it did. Its older name is "refresh".
    ///
    /// An extension is due if the session is valid and would gain more than `extend_after`. The expiry never moves back
    /// and never past the absolute lifetime, and a session that has expired meanwhile stays expired.
    ///
    /// If `session`, as it was last read, is valid and not due, the database is not asked. Otherwise the row decides,
    /// and afterwards `session` is as the row is.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if the row is gone.
    pub async fn extend(&self, session: &mut Session<T>) -> Result<bool> {
        self.on_pool().extend(session).await
    }

    /// Ends the session now, and returns `true` if it was still valid. The row stays, as a record.
    ///
    /// Afterwards `session` is expired, even if another process ended it first. If another process wrote the row since
    /// it was read, `session` is read again. If the row no longer decodes, `session` keeps the fields and the data that
    /// it had.
    ///
    /// A session that expired less than a day ago by this machine's clock may still be valid by the clock of a machine
    /// that is behind. It ends there too.
    ///
    /// If the table has a column with the role `ended_because`, the row says `logged_out` there from now on, unless the
    /// session had ended or expired before.
    pub async fn expire(&self, session: &mut Session<T>) -> Result<bool> {
        self.on_pool().expire(session).await
    }

    /// Ends the session now, for this reason, and returns `true` if it was still valid. It works like
    /// [`expire`](Self::expire), whose reason is [`LOGGED_OUT`](EndReason::LOGGED_OUT).
    ///
    /// The reason is written in the statement that ends the session. If the session had ended before, its first reason
    /// stays, and `session` has that one afterwards.
    ///
    /// # Errors
    ///
    /// [`InvalidField`](crate::ErrorKind::InvalidField) if the reason does not fit its column: then the session is not
    /// ended. [`UnknownField`](crate::ErrorKind::UnknownField) if a table that is defined at run time has no column with
    /// the role `ended_because`.
    pub async fn expire_because(&self, session: &mut Session<T>, reason: EndReason) -> Result<bool>
    where
        T: HasEndedBecause,
    {
        self.on_pool().expire_because(session, reason).await
    }

    /// Gives the session a new token and returns it. The old token is refused from now on, and so are older ones that a
    /// [rotation with a grace](Self::rotate_with_grace) had left good. Use it when privileges change, and when another
    /// party may have seen the token.
    ///
    /// A session that is bound to a device needs it seldom: each renewal rotates. The old token of such a session is still
    /// known for a renewal, which takes the device's key: its browser may be about to renew with it, or may get the answer to
    /// a renewal after that to the request which rotates. The new token is good for as long as the old one would have been.
    ///
    /// # Errors
    ///
    /// [`Conflict`](crate::ErrorKind::Conflict) if the row was written since it was read;
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is gone; [`Expired`](crate::ErrorKind::Expired) if the session
    /// has expired.
    pub async fn rotate(&self, session: &mut Session<T>) -> Result<Token> {
        self.on_pool().rotate(session).await
    }

    /// Records that the session's user has just proved anew who they are, gives the session a new token and returns it.
    /// Both are one write. The old token is refused from now on.
    ///
    /// Call it after the password or the second factor was checked, before something that asks for a
    /// [fresh](Session::is_fresh) authentication.
    /// [OWASP](https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html#renew-the-session-id-after-any-privilege-level-change)
    /// asks for a new token whenever the level of privilege changes.
    ///
    /// # Errors
    ///
    /// The same as those of [`rotate`](Self::rotate), and [`Unsupported`](crate::ErrorKind::Unsupported) if a table that is
    /// defined at run time has no column with the role.
    pub async fn reauthenticate(&self, session: &mut Session<T>) -> Result<Token>
    where
        T: HasAuthenticatedAt,
    {
        self.on_pool().reauthenticate(session).await
    }

    /// Does the same, and sets how well the user has proved who they are, in the same write: the field with the role
    /// `assurance`, an integer or an enum of the application's own. Every other write leaves it as it is, unless the caller
    /// changes the field and [updates](Self::update) the session.
    ///
    /// # Errors
    ///
    /// The same as those of [`reauthenticate`](Self::reauthenticate).
    pub async fn reauthenticate_as(&self, session: &mut Session<T>, assurance: T::Assurance) -> Result<Token>
    where
        T: HasAuthenticatedAt + HasAssurance,
        T::Assurance: Send + Sync,
    {
        self.on_pool().reauthenticate_as(session, assurance).await
    }

    /// Returns `true` if the session is [fresh](Session::is_fresh) now, by the configured clock.
    pub fn is_fresh(&self, session: &Session<T>, span: Duration) -> bool
    where
        T: HasAuthenticatedAt,
    {
        session.is_fresh(self.config().now(), span)
    }

    /// Notes that the session is used now, and by which client. It is written a little later; see
    /// [`record_seen`](crate::ConfigBuilder::record_seen).
    ///
    /// [`authenticate`](Self::authenticate) notes by itself when a session is used, so this is for what it does not know: the
    /// client's address and its `User-Agent`. A layer of `cloakroom-axum`, of `cloakroom-actix` or of your own calls it once for a request. It
    /// waits for nothing and cannot fail. Without `record_seen` it does nothing.
    ///
    /// ```compile_fail,E0277
    /// # use cloakroom::{Seen, Session, SessionTable, Sessions};
    /// # #[derive(Clone, SessionTable)]
    /// # struct UserSession { user_id: String }
    /// # fn example(sessions: Sessions<UserSession>, session: Session<UserSession>) {
    /// // The table of `UserSession` has no column for when its sessions were last seen.
    /// sessions.seen(&session, Seen::new());
    /// # }
    /// ```
    pub fn seen(&self, session: &Session<T>, seen: Seen<T>)
    where
        T: HasLastSeen,
    {
        self.seen_if_recorded(session, seen);
    }

    /// Does what [`seen`](Self::seen) does, for code that works with any table, and nothing for a table without the column.
    #[expect(clippy::needless_pass_by_value, reason = "its callers make it for this call")]
    pub fn seen_if_recorded(&self, session: &Session<T>, seen: Seen<T>) {
        if let Some(recorder) = self.handle.recorder() {
            let client = Some(&seen.client).filter(|client| !client.is_unknown());
            recorder.note(session.id, client, self.config().clock_reading());
        }
    }

    /// Returns when the session was last used: what its row said when it was read, or what this process has noted since
    /// and has not written yet. `None` if it was not used yet.
    ///
    /// What other processes have noted within the last [`record_seen`](crate::ConfigBuilder::record_seen) is not known
    /// here.
    pub fn last_seen(&self, session: &Session<T>) -> Option<OffsetDateTime>
    where
        T: HasLastSeen,
    {
        session.last_seen().max(self.handle.last_use(session.id))
    }

    /// Writes now when sessions were last used, as far as this process has noted it, and returns how many rows were
    /// written. It is written by itself later; see [`record_seen`](crate::ConfigBuilder::record_seen).
    ///
    /// Use it before a query that is to see the last uses of many sessions. A row that another transaction has locked is
    /// waited for, for as long as a call waits for the database.
    ///
    /// # Errors
    ///
    /// If the database fails. What is not written is kept, and tried again.
    pub async fn flush_seen(&self) -> Result<u64>
    where
        T: HasLastSeen,
    {
        match self.handle.recorder() {
            Some(recorder) => recorder.flush().await,
            None => Ok(0),
        }
    }

    /// Writes what the handle and its clones have noted and not written yet, and lets them note nothing from now on. That
    /// is when sessions were last used, if [`record_seen`](crate::ConfigBuilder::record_seen) is set; without it there is
    /// nothing to do.
    ///
    /// Call it when the application stops, after its last request and before the pool is closed. Everything else goes on
    /// working, and the pool stays open.
    ///
    /// # Errors
    ///
    /// If the database fails. What is not written is kept until the last handle is dropped, so the call can be repeated.
    pub async fn close(&self) -> Result<()> {
        match self.handle.recorder() {
            Some(recorder) => recorder.close().await,
            None => Ok(()),
        }
    }

    /// Exchanges a refresh token for its successor. This is a rotation that is safe to repeat, and that notices a token in
    /// the hands of a thief. The table asks for it by `#[session(exchange)]`.
    ///
    /// | the token presented is | answer |
    /// |---|---|
    /// | the session's present token | [`Successor`](Exchange::Successor): a new token. The old one is refused by [`authenticate`](Self::authenticate) from now on |
    /// | its predecessor, within the [grace](crate::ConfigBuilder::exchange_grace) (30 seconds by default) | [`Successor`](Exchange::Successor): **the same** new token. Two tabs get one answer, and a client whose answer was lost asks again |
    /// | its predecessor after the grace, or any older one; or one whose successor was [rotated](Self::rotate) away | [`Reused`](Exchange::Reused): the session has been ended, everywhere |
    /// | unknown; or of a session that has ended | `None` |
    ///
    /// Who has an old token is its owner or a thief, and which of them came first cannot be told ([RFC
    /// 9700, section 4.14.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)). Both are logged out, and the owner
    /// logs in again.
    ///
    /// An exchange is a use of the session: it is extended in the same write if an extension is due, up to its
    /// `max_lifetime`. [`authenticate`](Self::authenticate) never looks at old tokens, so it pays nothing for this, and
    /// an old token there is unknown and ends nothing.
    ///
    /// The new token is stored sealed under a key derived from the old one, so that the old one can be answered again.
    /// The database cannot open it. The seal is wiped when the new token is exchanged in turn, when reuse is found, and by
    /// a [prune](Self::delete_expired) after the grace. The old tokens' digests stay for as long as the session's row.
    ///
    /// A client should use the new token only when no call with the old one is under way any more, and repeat a call that
    /// had no answer within the grace. `docs/refresh-tokens.md` in the repository has an example.
    ///
    /// # Errors
    ///
    /// [`Conflict`](crate::ErrorKind::Conflict) if other callers keep writing the session; and those of every write. If
    /// the [outcome](crate::Error::outcome) is unknown, present the same token again.
    pub async fn exchange(&self, token: impl AsRef<[u8]>) -> Result<Option<Exchange<T>>>
    where
        T: ExchangesTokens,
    {
        self.on_pool().exchange(token).await
    }

    /// Returns the challenge that a browser is to answer when it registers a key for this session, or `None` if the session
    /// is bound to a key already, or is valid no longer.
    ///
    /// Send it in `Secure-Session-Registration`, with the response to a log-in ([`registration_header`]). It is stored in
    /// the session's row, so that any process can check the answer, and is good for one registration, for 10 minutes. A
    /// challenge that was issued less than a minute ago is returned again.
    ///
    /// [`registration_header`]: crate::device::registration_header
    ///
    /// # Errors
    ///
    /// [`Conflict`](crate::ErrorKind::Conflict) if other callers keep writing the session; and those of every write.
    #[cfg(feature = "dbsc")]
    pub async fn device_challenge(&self, session: &Session<T>) -> Result<Option<Challenge>>
    where
        T: HasDeviceKey,
    {
        self.on_pool().device_challenge(session).await
    }

    /// Binds the session of this token to the key that a browser registers: Device Bound Session Credentials. `proof` is the
    /// value of `Secure-Session-Response`, if the request has one.
    ///
    /// From then on the session is [bound](Session::is_bound). Its token stays the same, and is good for the
    /// [time](BindingTerms::token_ttl) that the terms say; [`authenticate`](Self::authenticate) then refuses it. Before
    /// that the browser [renews](Self::renew_bound) the session with a proof by its key, and gets another token. The session
    /// itself lives as it did.
    ///
    /// | the request has | answer |
    /// |---|---|
    /// | the token of a valid session without a key, and a proof for its [challenge](Self::device_challenge), signed with the key that it brings | [`Bound`](Registration::Bound) |
    /// | no proof; a proof without a challenge, or for one that is of another session, was used or is older than 10 minutes | [`Refused`](Registration::Refused) |
    /// | a proof that is signed with another key or another algorithm than it says, or with a key of RSA's below 2,048 bits | [`Refused`](Registration::Refused) |
    /// | the token of a session that has a key, or has ended | [`Refused`](Registration::Refused) |
    /// | the same again within a minute, since a browser repeats what had no answer | [`Bound`](Registration::Bound), as before |
    ///
    /// A registration that is refused leaves the session as it was. The token alone says which session is meant.
    ///
    /// If the answer is lost for good, the browser has no key for the session, and the session has one: its user logs in
    /// again once the token's time is over.
    ///
    /// # Errors
    ///
    /// [`Conflict`](crate::ErrorKind::Conflict) if other callers keep writing the session; and those of every write.
    #[cfg(feature = "dbsc")]
    pub async fn register_device(
        &self,
        token: impl AsRef<[u8]>,
        proof: Option<&[u8]>,
        terms: &BindingTerms,
    ) -> Result<Registration<T>>
    where
        T: HasDeviceKey,
    {
        self.on_pool().register_device(token.as_ref(), proof, terms).await
    }

    /// Gives a session that is [bound](Self::register_device) another token, against a proof by its device's key. `proof` is
    /// the value of `Secure-Session-Response`, if the request has one.
    ///
    /// | the request has | answer |
    /// |---|---|
    /// | the session's token, good or not, and a proof for its challenge of the moment | [`Renewed`](Renewal::Renewed): a new token, and the next challenge. The old token is good for a [grace](BindingTerms::grace) |
    /// | the token before it, and such a proof | [`Renewed`](Renewal::Renewed) with **the same** new token: the answer was lost. If that token is good for less than half of its time, another one |
    /// | either token, without a proof, or with one for another challenge, also one that was good before | [`Challenged`](Renewal::Challenged): the device is to sign this one |
    /// | either token, and a proof of another device | [`Refused`](Renewal::Refused) |
    /// | another token; that of a session that has ended; or of one that is not bound | [`Refused`](Renewal::Refused) |
    ///
    /// The token alone says which session is meant, and the key who may renew it. So an old token that was copied is worth
    /// nothing here, and neither is the whole database.
    ///
    /// Two renewals at the same time get the same token, or one of them is challenged once more. A renewal does not move
    /// `updated_at`, so it and an [`update`](Self::update) at the same time do not conflict. Caches are told of it as of a
    /// rotation. A renewal is a use of the session, which is extended if that is due.
    ///
    /// # Errors
    ///
    /// [`Conflict`](crate::ErrorKind::Conflict) if other callers keep writing the session; and those of every write. If
    /// the [outcome](crate::Error::outcome) is unknown, the browser comes again with the token that it has.
    #[cfg(feature = "dbsc")]
    pub async fn renew_bound(
        &self,
        token: impl AsRef<[u8]>,
        proof: Option<&[u8]>,
        terms: &BindingTerms,
    ) -> Result<Renewal<T>>
    where
        T: HasDeviceKey,
    {
        self.on_pool().renew_bound(token.as_ref(), proof, terms).await
    }

    /// Returns `true` if the token is of a session that is bound to a device, and could be
    /// [renewed](Self::renew_bound) with it: it may be past its time, or be the one before.
    ///
    /// [`authenticate`](Self::authenticate) refuses such a token as it refuses one that is unknown. A web framework's layer
    /// asks this before it takes a cookie from a browser that would need it to renew. For a table without the role
    /// `device_key` it is `false`, without a query.
    #[cfg(feature = "dbsc")]
    pub async fn awaits_renewal(&self, token: impl AsRef<[u8]>) -> Result<bool> {
        self.on_pool().awaits_renewal(token.as_ref()).await
    }

    /// Ends the session that [awaits renewal](Self::awaits_renewal) with this token, when its user logs out. Returns `true`
    /// if there was one.
    #[cfg(feature = "dbsc")]
    pub async fn end_awaiting_renewal(&self, token: impl AsRef<[u8]>) -> Result<bool> {
        self.on_pool().end_awaiting_renewal(token.as_ref()).await
    }

    /// Gives the session a new token and returns it, as [`rotate`](Self::rotate) does, but the old token stays good for
    /// `grace`. Use it to replace an API key in programs that do not all get the new one in the same moment. The table
    /// asks for it by `#[session(rotation_grace)]`.
    ///
    /// Until then [`authenticate`](Self::authenticate) accepts both, and
    /// [`old_token_until`](Session::old_token_until) tells that a session was found by the old one. From that instant on
    /// the old one is unknown. It ends earlier if the session does, or with the next [`rotate`](Self::rotate), which
    /// leaves no old token good. A further rotation with a grace lets no older token be good for longer than its own
    /// grace: it may shorten the time that is left to one, and never lengthens it.
    ///
    /// A token that is not the present one of any session takes a second query. A [`Cache`](crate::Cache) does not keep
    /// sessions that were found by an old token.
    ///
    /// The renewal of a session that is bound to a device is no conflict: whichever of the two comes first, the token that
    /// the other replaces stays good for its own grace.
    ///
    /// # Errors
    ///
    /// The same as those of [`rotate`](Self::rotate).
    pub async fn rotate_with_grace(&self, session: &mut Session<T>, grace: Duration) -> Result<Token>
    where
        T: RotatesWithGrace,
    {
        self.on_pool().rotate_with_grace(session, grace).await
    }

    /// Returns the old tokens of the session that are still good after a
    /// [rotation with a grace](Self::rotate_with_grace), for a list of keys. Those that were replaced last come first.
    pub async fn retired_tokens(&self, session: &Session<T>) -> Result<Vec<RetiredToken>>
    where
        T: RotatesWithGrace,
    {
        self.on_pool().retired_tokens(session).await
    }

    /// Deletes the session's row, and returns `true` if there was one. The row is deleted even if it was written since
    /// it was read.
    pub async fn delete(&self, session: Session<T>) -> Result<bool> {
        self.on_pool().delete(session).await
    }

    /// Deletes every expired session, and returns how many there were.
    ///
    /// Sessions are deleted in batches of 200 (SQLite: 50), those that expired first before the others. Each batch is a
    /// transaction of its own. After each batch comes a pause as long as the batch took, up to a tenth of a second. A
    /// [`Pruner`](crate::Pruner) does this at intervals.
    ///
    /// If the table keeps tokens that were exchanged or rotated with a grace, it then tidies that table: it wipes sealed
    /// tokens and deletes rotated ones whose time was over a minute ago (or a [time-out](crate::ConfigBuilder::timeout)
    /// ago, if that is longer), and deletes the tokens of sessions whose rows are gone, no matter how they went.
    pub async fn delete_expired(&self) -> Result<u64> {
        self.on_pool().delete_expired().await
    }

    /// Deletes every expired session, like [`delete_expired`](Self::delete_expired), and calls `progress` after each
    /// batch with the number deleted so far. If a batch fails, the batches before it stay deleted.
    pub async fn delete_expired_with(&self, progress: impl FnMut(u64)) -> Result<u64> {
        self.on_pool().prune(None, Duration::ZERO, progress).await
    }

    /// Deletes every session that expired at least `keep` ago, and keeps the ones that expired later, as a record of
    /// recent log-ins. Otherwise it works like [`delete_expired_with`](Self::delete_expired_with).
    pub async fn delete_expired_for(&self, keep: Duration, progress: impl FnMut(u64)) -> Result<u64> {
        self.on_pool().prune(None, keep, progress).await
    }

    /// Deletes at most `limit` expired sessions, those that expired first, and returns how many it deleted. The number
    /// is less than `limit` if none are left. It is meant for loops of your own that do other work in between.
    pub async fn delete_expired_batch(&self, limit: u64) -> Result<u64> {
        self.on_pool().prune_batch(limit).await
    }

    /// Creates the table and its indexes, or brings them up to date, and returns the migrations that it applied. If
    /// indexes of a migration were dropped since, that migration is applied again and returned again.
    ///
    /// It is safe to call this at every start and from any number of processes at once. A table that `ecto_sessions`
    /// made is adopted: its columns stay as they are, and missing indexes are added. A role that may only use the table
    /// may call it too: if the table is in place, nothing is done.
    ///
    /// On a table with many rows the indexes take time, and writers wait for them. Build them beforehand with the
    /// statements of [`migrations::index_sql`].
    ///
    /// # Errors
    ///
    /// - [`PermissionDenied`](crate::ErrorKind::PermissionDenied) if something has to be done that this role may not
    ///   do.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported) if an index of the expected name is incomplete, as a failed
    ///   `CREATE INDEX CONCURRENTLY` leaves it, or if the index that must be unique over the digest alone is not.
    /// - [`MissingColumn`](crate::ErrorKind::MissingColumn) if a table of this name exists and lacks a column. The
    ///   message has the statement that adds it.
    /// - [`ColumnMismatch`](crate::ErrorKind::ColumnMismatch) if a column of such a table does not hold what its field
    ///   does, or if only one of the two may be null. The message has the statement that mends it. Also if the server
    ///   refuses a foreign key for its type, sign, width or collation.
    ///
    /// A column that is wider than its field is accepted. So is a column of a type with values that this library does
    /// not know: a type of the application's own, a domain of one, or a type that `sql_type` names.
    pub async fn migrate(&self) -> Result<Vec<Migration>> {
        let done = migrations::up(
            self.database(),
            self.definition(),
            self.config().has_trigger(),
            self.config().now(),
        )
        .await?;
        self.store().known.forget();
        Ok(done)
    }

    /// Drops the table with all sessions in it, and returns the migrations that it undid. This undoes
    /// [`migrate`](Self::migrate). It is not announced: the caches of other processes keep answering until
    /// [`max_staleness`](crate::Cache::max_staleness).
    pub async fn migrate_down(&self) -> Result<Vec<Migration>> {
        // The cache drops everything, even if the call fails: the table may be gone.
        let revocation = self.cache().map(|cache| cache.begin_revocation(Revoked::Any));
        let undone = migrations::down(self.database(), self.definition()).await?;
        self.store().known.forget();
        if let Some(revocation) = revocation {
            revocation.committed();
        }
        Ok(undone)
    }

    /// Returns each migration with `true` if it has been applied to the table, and `false` if it is pending.
    pub async fn migration_status(&self) -> Result<Vec<(Migration, bool)>> {
        migrations::status(self.database(), self.definition()).await
    }

    /// Returns the statements that [`migrate`](Self::migrate) would run now, without running them. There are none if the
    /// table is as it must be. Beside them, `migrate` records what it has done.
    ///
    /// # Errors
    ///
    /// The same as those of [`migrate`](Self::migrate) about a table that does not suit the fields.
    pub async fn migration_plan(&self) -> Result<Vec<String>> {
        migrations::plan(self.database(), self.definition(), self.config().has_trigger()).await
    }

    /// Returns the database that holds the table: the primary, if there is a standby too.
    pub fn database(&self) -> &Database {
        self.handle.database()
    }

    /// Returns which kind of database that is.
    pub fn backend(&self) -> Backend {
        self.handle.backend()
    }

    /// Returns the table's name and columns.
    pub fn definition(&self) -> &TableDefinition {
        self.handle.definition()
    }

    /// Returns the settings.
    pub fn config(&self) -> &Config {
        self.handle.config()
    }

    pub(crate) fn store(&self) -> &Store {
        self.handle.store()
    }

    pub(crate) fn cache(&self) -> Option<&Arc<SessionCache>> {
        self.handle.cache()
    }

    pub(crate) fn on_pool(&self) -> Operations<'static, T> {
        Operations::new(Arc::clone(&self.handle), self.store().pool())
    }
}

impl<T> Clone for Sessions<T> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle), of: PhantomData }
    }
}

impl<T> fmt::Debug for Sessions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}
