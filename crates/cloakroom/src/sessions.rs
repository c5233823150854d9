use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::{Revoked, SessionCache};
use crate::config::{Config, ConfigError};
use crate::database::{Backend, Connection, Database, Transaction};
use crate::error::Result;
use crate::migrations::{self, Migration};
use crate::operations::{Handle, ImportedSession, Operations, Use};
use crate::query::SessionQuery;
use crate::session::{CreatedSession, NewSession, Session};
use crate::store::Store;
use crate::table::{SessionFields, SessionTable, TableDefinition};
use crate::token::{Hashed, Token};

/// The sessions of one table: the handle through which every operation goes.
///
/// Cheap to clone, and to be kept for as long as the application runs: the statements are written and the
/// settings checked when it is made. Every operation runs on a connection of the pool; to run one inside a
/// transaction of your own, go through [`within`](Self::within).
///
/// # Errors
///
/// Absent, unknown, expired and malformed tokens are `None`. Trouble with the database is always an `Err`,
/// so a database that is down never looks like "logged out".
///
/// # Cancellation
///
/// Any future may be dropped at any time. An operation that writes does so in one statement, which has then
/// either happened or not. Those that end sessions do so in another statement for what only a clock that is behind holds
/// valid.
pub struct Sessions<T> {
    handle: Arc<Handle>,
    of: PhantomData<fn() -> T>,
}

impl<T: SessionTable> Sessions<T> {
    /// The sessions of the table that `T` declares, in the application's own database.
    ///
    /// `database` is a sqlx pool, or a [`Database`]. Nothing is asked of it yet.
    ///
    /// # Errors
    ///
    /// If a declared name is empty, longer than 63 bytes or holds a control character, if two columns have one name by this
    /// database's rules, or if a field's type has no place in it.
    pub fn new(database: impl Into<Database>, config: Config) -> Result<Self, ConfigError> {
        Self::with_definition(database, T::definition(), config)
    }
}

impl<T: SessionFields> Sessions<T> {
    /// The sessions of a table that is defined at run time; see [`DynamicFields`](crate::DynamicFields).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_definition(
        database: impl Into<Database>,
        definition: TableDefinition,
        config: Config,
    ) -> Result<Self, ConfigError> {
        let handle = Handle::new::<T>(database.into(), definition, config)?;
        Ok(Self { handle: Arc::new(handle), of: PhantomData })
    }

    /// The same table in another schema: for applications with a schema for each tenant.
    ///
    /// Make one handle for a schema and keep it: what concurrent calls share, and a
    /// [`Cache`](crate::Cache) with its listener, belong to a handle and its clones.
    ///
    /// # Errors
    ///
    /// If `schema` is empty, longer than 63 bytes, or holds a control character.
    pub fn with_schema(&self, schema: impl Into<String>) -> Result<Self, ConfigError> {
        let definition = self.definition().clone().schema(schema.into());
        Self::with_definition(self.database().clone(), definition, self.config().clone())
    }

    /// Begins a transaction on the pool, for [`within`](Self::within) and for statements of your own.
    ///
    /// Its future may be dropped at any time, unlike that of `pool.begin()`: see [`Database::begin`].
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if no connection becomes free or the database cannot be reached.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn begin(&self) -> Result<Transaction> {
        self.database().begin().await
    }

    /// The operations inside the caller's transaction: one of [`begin`](Self::begin)'s, sqlx's own, or a connection
    /// on which one is open.
    ///
    /// # What remains the application's
    ///
    /// An inner `begin()` on a sqlx transaction whose future is dropped midway rolls the *outer* transaction back (sqlx
    /// 0.9, on every database), and the outer one goes on as if nothing were. The database ends transactions by itself
    /// too: MariaDB after a deadlock and before a change of any table's definition, SQLite when the disk is full. The
    /// operations here then fail with [`NoTransaction`](crate::ErrorKind::NoTransaction), and commit nothing. Your own
    /// statements on such a transaction are committed at once, and its `rollback()` says `Ok`. So await an inner
    /// `begin()` to its end, and end a transaction after the first error. Inside of savepoints nothing tells that the
    /// innermost was rolled back with the one around it. And after an error on PostgreSQL, the `commit()` of sqlx 0.9
    /// says `Ok` though the server rolls back; that of [`Transaction`] fails.
    ///
    /// # Errors
    ///
    /// Every operation fails with [`NoTransaction`](crate::ErrorKind::NoTransaction), and does nothing, if no
    /// transaction is open. For a connection on which each operation is to commit by itself, use
    /// [`on_connection`](Self::on_connection).
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

    /// The operations on a connection of the caller's, which need not be in a transaction. If it is in one, they are
    /// committed with it; if not, each operation commits by itself.
    ///
    /// # Panics
    ///
    /// If the connection is of another kind of database than the pool.
    pub fn on_connection<'c>(&self, connection: impl Into<Connection<'c>>) -> Operations<'c, T> {
        self.within(connection.into().free())
    }

    /// Makes a new session, and with it a new token.
    ///
    /// The token is in the answer and nowhere else; the database keeps its digest. The session in the answer is what the
    /// row holds: if a column may round a value or write it in other words, the row is read again. The first write of a
    /// handle asks the database's catalogue, in a query of its own, what the columns do.
    ///
    /// # Errors
    ///
    /// [`InvalidField`](crate::ErrorKind::InvalidField) where a required field is null or blank or does not
    /// fit its column, [`InvalidData`](crate::ErrorKind::InvalidData) where `data` cannot be stored,
    /// [`DuplicateToken`](crate::ErrorKind::DuplicateToken) where an imported token is taken.
    pub async fn create(&self, new: NewSession<T>) -> Result<CreatedSession<T>> {
        self.on_pool().create(new).await
    }

    /// Makes the rows of sessions that another system has made, all or none of them.
    ///
    /// They are written in one transaction, hundreds in a statement. On SQLite other writers wait meanwhile.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create). [`InvalidField`](crate::ErrorKind::InvalidField), too, for a session that was created in
    /// the future. [`DuplicateToken`](crate::ErrorKind::DuplicateToken) if a token is taken, and
    /// [`Constraint`](crate::ErrorKind::Constraint) if an id is.
    pub async fn import(&self, sessions: Vec<ImportedSession<T>>) -> Result<()> {
        let mut transaction = self.begin().await?;
        self.within(&mut transaction).import(sessions).await?;
        transaction.commit().await
    }

    /// The session that this token stands for, if there is one and it is valid. The hot path: one query by
    /// the unique index on the digest, which concurrent calls share; with a [`Cache`](crate::Cache), mostly none.
    ///
    /// Where the configuration says so and it is due, the session is extended, in a second statement; the
    /// answer and the row agree. An extension that cannot be written, as in a database that takes no writes,
    /// does not fail the read: it is reported to `tracing` as a warning, whatever the reason.
    ///
    /// A session that was ended by a machine whose clock is ahead of this one's is refused at once too.
    ///
    /// `token` is whatever the client presented: any bytes, of any length. What cannot be a token costs no
    /// query.
    pub async fn authenticate(&self, token: impl AsRef<[u8]>) -> Result<Option<Session<T>>> {
        let Some(hashed) = self.store().hash(token.as_ref()) else {
            return Ok(None);
        };
        if let Some(session) = self.cache().and_then(|cache| cache.get(&hashed.key())) {
            return Ok(Some(session));
        }
        // On the heap, so that the future of a call that the cache answers is small.
        Box::pin(self.ask(hashed, Use::Extends)).await
    }

    /// As [`authenticate`](Self::authenticate), asking the database even where a [`Cache`](crate::Cache) would
    /// answer: for operations whose harm outweighs a query, such as a payment or a change of password.
    pub async fn authenticate_fresh(&self, token: impl AsRef<[u8]>) -> Result<Option<Session<T>>> {
        match self.store().hash(token.as_ref()) {
            Some(hashed) => Box::pin(self.ask(hashed, Use::Extends)).await,
            None => Ok(None),
        }
    }

    /// As [`authenticate_fresh`](Self::authenticate_fresh), leaving the session's expiry as it is, whatever the
    /// configuration says of extending. For a look that is no use of the session: a page that a browser fetches
    /// ahead of its user, a check in the background.
    pub async fn authenticate_without_extending(
        &self,
        token: impl AsRef<[u8]>,
    ) -> Result<Option<Session<T>>> {
        match self.store().hash(token.as_ref()) {
            Some(hashed) => Box::pin(self.ask(hashed, Use::Leaves)).await,
            None => Ok(None),
        }
    }

    async fn ask(&self, hashed: Hashed<'_>, how: Use) -> Result<Option<Session<T>>> {
        let digest = hashed.digest();
        let Some(cache) = self.cache() else {
            return self.on_pool().authenticate_digest(digest, how).await;
        };
        #[cfg(feature = "postgres")]
        #[allow(irrefutable_let_patterns, reason = "refutable where other databases' features are on")]
        if let Database::Postgres(pool) = self.database() {
            crate::cache::listen(cache, pool, self.definition().table_name());
        }
        let mark = cache.mark();
        let mut session = self.on_pool().authenticate_digest(digest, how).await?;
        cache.put(hashed.key(), mark, session.as_mut());
        Ok(session)
    }

    /// A query: `sessions.query().filter(UserSession::USER_ID.eq("1234")).fetch_all().await?`.
    pub fn query(&self) -> SessionQuery<'static, T> {
        SessionQuery::new(self.on_pool())
    }

    /// Reads the session again, whatever its status.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) where it is gone.
    pub async fn reload(&self, session: &mut Session<T>) -> Result<()> {
        self.on_pool().reload(session).await
    }

    /// Writes what the caller has changed of the session's fields, data and expiry, if the row is still as it was read.
    ///
    /// A column whose value is as it was read is not written: what the application's own SQL has put there since stays.
    /// In changed data the parts that were not changed keep every digit. An expiry set by the caller ends no later than
    /// the absolute lifetime allows. If nothing was changed, `updated_at` moves all the same.
    ///
    /// "As it was read" is told by `updated_at` and `expires_at`. SQL of the application's own that changes a session is
    /// seen if it moves `updated_at` too, as in `UPDATE sessions SET role = 'guest', updated_at = updated_at + interval '1
    /// microsecond' WHERE …`: then an update of what was read before is a `Conflict`. SQL that leaves `updated_at` is not
    /// seen: this update keeps it in the columns that the caller has not changed, and overwrites it in the others, in
    /// `data` as a whole. `session` then still has in those columns what was read; [`reload`](Self::reload) reads them.
    ///
    /// # Errors
    ///
    /// [`Conflict`](crate::ErrorKind::Conflict) where the row was written since it was read,
    /// [`NotFound`](crate::ErrorKind::NotFound) where it is gone (it is never inserted again),
    /// [`Expired`](crate::ErrorKind::Expired) where the session has expired and the new expiry would bring
    /// it back, and what [`create`](Self::create) says of fields and data.
    pub async fn update(&self, session: &mut Session<T>) -> Result<()> {
        self.on_pool().update(session).await
    }

    /// Changes the session with `change` and writes it; where it was written by somebody else meanwhile,
    /// reads it again and starts anew. `change` may run more than once.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update); [`Conflict`](crate::ErrorKind::Conflict) only after a hundred attempts.
    /// After an error `session` is as it was last read.
    pub async fn update_with(
        &self,
        session: &mut Session<T>,
        change: impl FnMut(&mut Session<T>),
    ) -> Result<()> {
        self.on_pool().update_with(session, change).await
    }

    /// Moves the expiry to `now + ttl`, when that is due; whether it did. Its older name is "refresh".
    ///
    /// It is due when a valid session would gain more than `extend_after`. The expiry never moves back,
    /// nor past the absolute lifetime, and a session that has expired meanwhile stays so.
    ///
    /// As long as `session`, as it was last read, is valid and not due, nothing is asked of the database.
    /// Otherwise the row decides, and `session` is as the row is.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) where the session is gone.
    pub async fn extend(&self, session: &mut Session<T>) -> Result<bool> {
        self.on_pool().extend(session).await
    }

    /// Ends the session now; whether it was still valid. The row stays, for the record.
    ///
    /// Afterwards `session` says that it has expired, whoever ended it. Where somebody else wrote the row
    /// since it was read, `session` is read again; if it no longer decodes, it stays as it was.
    ///
    /// A session that expired by this machine's clock less than a day ago also ends for machines whose clocks are
    /// behind.
    pub async fn expire(&self, session: &mut Session<T>) -> Result<bool> {
        self.on_pool().expire(session).await
    }

    /// Gives the session a new token; the old one is refused from now on. For a change of privileges, and
    /// when a token may have been seen.
    ///
    /// # Errors
    ///
    /// [`Conflict`](crate::ErrorKind::Conflict) where the row was written since it was read,
    /// [`NotFound`](crate::ErrorKind::NotFound) where it is gone,
    /// [`Expired`](crate::ErrorKind::Expired) where it has expired.
    pub async fn rotate(&self, session: &mut Session<T>) -> Result<Token> {
        self.on_pool().rotate(session).await
    }

    /// Deletes the session's row; whether there was one.
    pub async fn delete(&self, session: Session<T>) -> Result<bool> {
        self.on_pool().delete(session).await
    }

    /// Deletes every expired session; their number. In batches of 200 (SQLite: 50), first expired first,
    /// each its own transaction, and after each a pause that is as long as it took, up to a tenth of a second.
    /// See [`Pruner`](crate::Pruner) for doing so from time to time.
    pub async fn delete_expired(&self) -> Result<u64> {
        self.on_pool().delete_expired().await
    }

    /// As [`delete_expired`](Self::delete_expired), calling `progress` after each batch with the number of those
    /// deleted so far. They stay deleted where a later batch fails.
    pub async fn delete_expired_with(&self, progress: impl FnMut(u64)) -> Result<u64> {
        self.on_pool().prune(None, Duration::ZERO, progress).await
    }

    /// Deletes every session that expired at least `keep` ago, and keeps those that did later: for a record of who was
    /// logged in of late. Otherwise as [`delete_expired_with`](Self::delete_expired_with).
    pub async fn delete_expired_for(&self, keep: Duration, progress: impl FnMut(u64)) -> Result<u64> {
        self.on_pool().prune(None, keep, progress).await
    }

    /// Deletes at most `limit` expired sessions, first expired first; their number, which is less than
    /// `limit` when none are left. For loops of your own, that do other things in between.
    pub async fn delete_expired_batch(&self, limit: u64) -> Result<u64> {
        self.on_pool().delete_expired_batch(limit, Duration::ZERO).await
    }

    /// Creates the table and its indexes, or brings them up to date; what was done, and nothing else. A migration whose
    /// indexes were dropped since is done, and named, again.
    ///
    /// Safe to call at every start and from any number of processes at once. A table that
    /// `ecto_sessions` made is adopted: its columns stay as they are, and the indexes that it lacks are added. A
    /// role that may only use the table may call it too, and does nothing if the table is in place.
    ///
    /// On a table of many rows the indexes take time, and writers wait: build them beforehand, with the statements of
    /// [`migrations::index_sql`].
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied) if something is to be done that this role may not do,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if an index of the name that it looks for is incomplete, as a
    /// failed `CREATE INDEX CONCURRENTLY` leaves it, or not unique over the digest alone as it must be;
    /// [`MissingColumn`](crate::ErrorKind::MissingColumn) where a table of this name exists that lacks a
    /// column; the message has the statement that adds it.
    /// [`ColumnMismatch`](crate::ErrorKind::ColumnMismatch) if a column of such a table does not hold what its field
    /// does, or only one of the two may be null, with the statement that mends it; also if the server refuses a foreign
    /// key for its type, sign, width or collation. A column that is wider than its field is taken, and so is a type of
    /// which it is not known what it holds: one of the application's own, a domain of one, what `sql_type` names.
    pub async fn migrate(&self) -> Result<Vec<Migration>> {
        migrations::up(self.database(), self.definition(), self.config().now()).await
    }

    /// Undoes [`migrate`](Self::migrate): drops the table, with all sessions in it; what was done. It is not
    /// announced: other processes' caches go on until [`max_staleness`](crate::Cache::max_staleness).
    pub async fn migrate_down(&self) -> Result<Vec<Migration>> {
        // Whatever becomes of it, nothing is kept that may be gone.
        let revoking = self.cache().map(|cache| cache.revoking(Revoked::Any));
        let undone = migrations::down(self.database(), self.definition()).await?;
        if let Some(revoking) = revoking {
            revoking.committed();
        }
        Ok(undone)
    }

    /// Which migrations have been applied to the table, and which are pending.
    pub async fn migration_status(&self) -> Result<Vec<(Migration, bool)>> {
        migrations::status(self.database(), self.definition()).await
    }

    /// The database that holds the table.
    pub fn database(&self) -> &Database {
        self.handle.database()
    }

    /// Which kind of database that is.
    pub fn backend(&self) -> Backend {
        self.handle.backend()
    }

    /// The table's name and columns.
    pub fn definition(&self) -> &TableDefinition {
        self.handle.definition()
    }

    /// The settings.
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
