//! The parts that every operation works with, independent of the type of the table's fields.

mod columns;
mod warm_connection;
mod writers;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use uuid::Uuid;

pub(crate) use columns::{Columns, HasSliding, Known};
pub(crate) use warm_connection::LONGEST_HOLD;
use warm_connection::WarmConnection;
pub(crate) use writers::{Announcing, Permit, Waits, Writers};

use crate::config::Config;
use crate::database::{
    Backend, Connection, EMPTY_QUEUE, FieldValue, Pool, Pooled, Revokes, Row, Statement, TimedOut,
    announcing, counting_valid, guard_of_rows, is_refused_announcement, silence, silent,
};
#[cfg(feature = "sqlite")]
use crate::database::{Database, DirectReads};
use crate::deadline;
use crate::error::{Error, Outcome, Result};
use crate::observe::{self, ConnectionFailure, Instruments};
use crate::session::EndReason;
use crate::sql::{Statements, StatementsByShape, Under, UseToRecord, record_uses};
use crate::table::{PLACE_OF_SLIDING, Role, TableDefinition};
use crate::token::{HashedToken, PossibleDigests};

/// A connection of the pool that counts as one of those that writes may hold.
pub(crate) struct Writing {
    pub(crate) connection: Pooled,
    _permit: Permit,
    /// Its turn to announce, if it does.
    pub(crate) announcing: Announcing,
}

/// A write after which earlier reads of some sessions no longer hold.
#[derive(Clone)]
pub(crate) struct Revoking {
    write: Statement,
    /// The same write, with its announcement, if revocations are announced.
    announced: Option<Statement>,
    revokes: Revokes,
}

impl Revoking {
    /// Returns the statement, with its announcement if `announces` and if revocations are announced.
    pub(crate) fn statement(&self, announces: bool) -> &Statement {
        self.announced.as_ref().filter(|_| announces).unwrap_or(&self.write)
    }
}

impl Writing {
    /// Runs a write that revokes for several callers; see [`Store::revoke_each`].
    pub(crate) async fn revoke_each(&mut self, store: &Store, revoking: &Revoking) -> Result<Vec<Uuid>> {
        let Self { connection, announcing, .. } = self;
        announcing.during(store.revoke_each(connection.connection(), revoking)).await
    }
}

/// The parts that every operation works with, independent of the type of the table's fields: the database, the table's
/// definition, the settings, and the statements that were written beforehand.
pub(crate) struct Store {
    // Declared before the pool, which the permits must not outlive.
    pub(crate) writers: Arc<Writers>,
    pub(crate) warm: WarmConnection,
    pub(crate) pool: Pool,
    pub(crate) table: TableDefinition,
    pub(crate) config: Config,
    statements: Statements,
    /// For a table that was not migrated.
    statements_without_sliding: OnceLock<Statements>,
    pub(crate) known: Known,
    /// Connections for reads past the pool, if the configuration, the database and the table allow them.
    #[cfg(feature = "sqlite")]
    pub(crate) direct_reads: Option<DirectReads>,
    pub(crate) instruments: Arc<Instruments>,
}

#[cfg(feature = "sqlite")]
fn direct_reads(database: &Database, table: &TableDefinition, config: &Config) -> Option<DirectReads> {
    let is_possible = config.direct_reads() && table.schema.is_none() && table.is_read_directly();
    match database {
        Database::Sqlite(pool) if is_possible => DirectReads::new(pool.clone()),
        #[allow(unreachable_patterns, reason = "reachable if another database's feature is on")]
        _ => None,
    }
}

impl Store {
    pub(crate) fn new(
        pool: Pool,
        table: TableDefinition,
        config: Config,
        instruments: Arc<Instruments>,
    ) -> Self {
        let statements = Statements::new(&table, pool.backend(), config.digests().len(), true);
        Self {
            writers: Writers::on(&pool.database),
            warm: WarmConnection::new(),
            #[cfg(feature = "sqlite")]
            direct_reads: direct_reads(&pool.database, &table, &config),
            pool,
            table,
            config,
            statements,
            statements_without_sliding: OnceLock::new(),
            known: Known::default(),
            instruments,
        }
    }

    pub(crate) fn backend(&self) -> Backend {
        self.pool.backend()
    }

    fn statements(&self) -> &Statements {
        if self.has_sliding() {
            return &self.statements;
        }
        let write = || Statements::new(&self.table, self.backend(), self.config.digests().len(), false);
        self.statements_without_sliding.get_or_init(write)
    }

    /// Finds out whether the table has the column that it lacks if it was not migrated, before the first statement that
    /// would name it.
    pub(crate) async fn know_sliding(&self, on: &mut Connection<'_>) -> Result<()> {
        if self.known.has_sliding() == HasSliding::Unknown {
            self.known.columns(on, &self.table).await?;
        }
        Ok(())
    }

    /// Returns `true` if it is known whether the table has that column.
    #[cfg(feature = "sqlite")]
    pub(crate) fn knows_sliding(&self) -> bool {
        self.known.has_sliding() != HasSliding::Unknown
    }

    /// Returns `false` if the table is known to lack the column for a span of the session's own.
    pub(crate) fn has_sliding(&self) -> bool {
        self.known.has_sliding() != HasSliding::No
    }

    /// Returns the hash of a token, or `None` if no session can have the token.
    pub(crate) fn hash<'a>(&'a self, token: &'a [u8]) -> Option<HashedToken<'a>> {
        self.config.hash(token).ok()
    }

    /// Returns the digests under which the token's session may be stored, or `None` if this database can hold none of
    /// them.
    pub(crate) fn digests(&self, hashed: &HashedToken<'_>) -> Option<PossibleDigests> {
        let keeps_only_ascii = self.backend().dialect().keeps_only_ascii_digests();
        hashed.digests().filter(|digest| !keeps_only_ascii || digest.is_ascii())
    }

    /// Returns the statement that finds any of `size` digests; see [`Statements::find`]. It need not say whether it was
    /// a transaction of its own if that is known of its connection, or if it runs within the caller's transaction.
    pub(crate) fn find(
        &self,
        size: usize,
        under: Under,
        values: Vec<FieldValue>,
        is_known: bool,
    ) -> Statement {
        let sql = self.statements().find(&self.table, self.backend(), size, under, !is_known);
        let statement = Statement::new(sql, values);
        if is_known { statement } else { statement.guarded(guard_of_rows(self.backend())) }
    }

    /// Returns the statement that finds the session of a single token; see [`Statements::find`].
    pub(crate) fn find_one(&self, token: &PossibleDigests, under: Under, is_known: bool) -> Statement {
        self.find(1, under, self.digests_and_now(token, under), is_known)
    }

    /// Returns the same for a read past SQLite's driver; see [`Statements::find_directly`].
    #[cfg(feature = "sqlite")]
    pub(crate) fn find_one_directly(&self, token: &PossibleDigests, under: Under) -> Statement {
        let sql = self.statements().find_directly(&self.table, self.backend(), under);
        Statement::new(sql, self.digests_and_now(token, under))
    }

    fn digests_and_now(&self, token: &PossibleDigests, under: Under) -> Vec<FieldValue> {
        let now = FieldValue::plain(self.config.now());
        token.texts(self.schemes(under)).map(FieldValue::plain).chain([now]).collect()
    }

    /// Returns how many digests of a token a statement looks for.
    pub(crate) fn schemes(&self, under: Under) -> usize {
        if under == Under::All { self.config.digests().len() } else { 1 }
    }

    /// Returns the statement that reads the session with this id.
    pub(crate) fn by_id(&self, id: Uuid, on_pool: bool) -> Statement {
        let values = vec![FieldValue::plain(id)];
        if on_pool {
            Statement::new(self.statements().by_id.clone(), values).guarded(guard_of_rows(self.backend()))
        } else {
            Statement::new(self.statements().by_id_within.clone(), values)
        }
    }

    /// Returns the columns that reading a session takes, as text; see [`Statements::columns`].
    pub(crate) fn columns(&self) -> &str {
        &self.statements().columns
    }

    /// Returns the statements of lists that were written before.
    pub(crate) fn statements_by_shape(&self) -> &StatementsByShape {
        &self.statements().by_shape
    }

    /// Returns the statement that inserts rows with the values of all columns; see [`Statements::insert`].
    pub(crate) fn insert<'r>(&self, rows: impl ExactSizeIterator<Item = &'r [FieldValue]>) -> Statement {
        let statements = self.statements();
        let sql = statements.insert(&self.table, self.backend(), rows.len());
        Statement::new(sql, values(rows, statements.has_sliding()))
    }

    /// Returns the same statement in a form that hardly waits for locks; see [`Statements::insert_at_once`].
    pub(crate) fn insert_at_once<'r>(
        &self,
        rows: impl ExactSizeIterator<Item = &'r [FieldValue]>,
    ) -> Statement {
        let statements = self.statements();
        let sql = statements.insert_at_once(&self.table, self.backend(), rows.len());
        Statement::new(sql, values(rows, statements.has_sliding()))
    }

    /// Returns the statement that ends the session with one id, with or without a reason.
    pub(crate) fn expire_sql(&self, has_reason: bool) -> Arc<str> {
        if has_reason { self.statements.expire.clone() } else { self.statements.end_lapsed.clone() }
    }

    /// Returns the statement that deletes `size` sessions; see [`Statements::delete`].
    pub(crate) fn delete_sql(&self, size: usize) -> Arc<str> {
        self.statements.delete(&self.table, self.backend(), size)
    }

    /// Returns the statement that ends `size` sessions; see [`Statements::end`].
    pub(crate) fn end_sql(&self, size: usize) -> Arc<str> {
        self.statements().end(&self.table, self.backend(), size)
    }

    /// Returns a reason as the value of the column for it, or `None` if the table has no such column.
    pub(crate) fn reason(&self, reason: &EndReason) -> Option<FieldValue> {
        let field = self.table.field_for(Role::EndedBecause)?;
        let value = FieldValue::plain(reason.as_str());
        Some(match &field.foreign[self.backend() as usize] {
            Some(foreign) => foreign.bound(value),
            None => value,
        })
    }

    /// Returns `true` if revocations of single sessions share statements: if each caller can then be told the outcome
    /// for its own session.
    pub(crate) fn shares_revocations(&self) -> bool {
        self.config.max_batch() > 1 && self.backend().dialect().returns_written_rows()
    }

    /// Returns the statement that extends `size` sessions; see [`Statements::extend`].
    pub(crate) fn extend_sql(&self, size: usize) -> Arc<str> {
        // A caller with a statement of its own delays no other call when it waits.
        let is_shared = self.config.max_batch() > 1;
        self.statements.extend(&self.table, self.backend(), size, is_shared)
    }

    /// Returns the statement that records the last uses of these sessions; see [`record_uses`].
    pub(crate) fn record_uses(&self, uses: &[UseToRecord], waits: bool) -> Statement {
        record_uses(&self.statements, &self.table, self.backend(), uses, waits)
    }

    /// Stands for any connection of the pool.
    pub(crate) fn pool(&self) -> Connection<'static> {
        Connection::pool(&self.pool)
    }

    /// Takes one connection of the pool, for several statements.
    pub(crate) async fn acquire(&self) -> Result<Pooled> {
        self.pool.acquire().await.map_err(|error| self.failed(error))
    }

    /// Takes the warm connection, or else one of the pool, for several statements.
    pub(crate) async fn acquire_warm(&self) -> Result<Pooled> {
        match self.warm.take() {
            Some(connection) => Ok(connection),
            None => self.acquire().await,
        }
    }

    /// Takes one connection of the pool for writes, at the latest at `until`, and at the call's [deadline].
    pub(crate) async fn acquire_to_write(&self, waits: Waits, until: Instant) -> Result<Writing> {
        self.acquire_for(waits, false, until, self.acquire()).await
    }

    /// Takes the warm connection, or else one of the pool, for a write that is alone and waits for no row.
    pub(crate) async fn acquire_warm_to_write(&self, until: Instant) -> Result<Writing> {
        self.acquire_for(Waits::ForNone, false, until, self.acquire_warm()).await
    }

    /// Takes one connection of the pool for writes that revoke. A write that announces waits for its turn before it
    /// holds a connection.
    pub(crate) async fn acquire_to_revoke(&self, waits: Waits, until: Instant) -> Result<Writing> {
        self.acquire_for(waits, self.announces(), until, self.acquire()).await
    }

    /// Takes the warm connection, or else one of the pool, for a write that is alone and revokes.
    pub(crate) async fn acquire_warm_to_revoke(&self, waits: Waits, until: Instant) -> Result<Writing> {
        self.acquire_for(waits, self.announces(), until, self.acquire_warm()).await
    }

    /// Keeps the connection of a write that succeeded warm, or gives it back to its pool.
    pub(crate) fn keep_warm(&self, writing: Writing) {
        self.warm.keep(writing.connection);
    }

    async fn acquire_for(
        &self,
        waits: Waits,
        announces: bool,
        until: Instant,
        connection: impl Future<Output = Result<Pooled>>,
    ) -> Result<Writing> {
        let acquired = async {
            let announcing = self.writers.announcing(announces).await;
            let permit = self.writers.permit(waits).await;
            Ok(Writing { connection: connection.await?, _permit: permit, announcing })
        };
        match deadline::bound(tokio::time::timeout_at(until.into(), acquired)).await {
            Some(Ok(acquired)) => acquired,
            Some(Err(_)) => Err(self.exhausted(sqlx::Error::PoolTimedOut)),
            None => Err(self.exhausted(TimedOut::WithoutConnection.error())),
        }
    }

    /// Waits for the turn of a transaction of this library's own that revokes. It then takes a connection by itself.
    pub(crate) async fn turn_to_revoke(&self) -> Result<(Permit, Announcing)> {
        let turn = async {
            let announcing = self.writers.announcing(self.announces()).await;
            (self.writers.permit(Waits::ForLocks).await, announcing)
        };
        match deadline::bound(tokio::time::timeout_at(self.until().into(), turn)).await {
            Some(Ok(turn)) => Ok(turn),
            Some(Err(_)) => Err(self.exhausted(sqlx::Error::PoolTimedOut)),
            None => Err(self.exhausted(TimedOut::WithoutConnection.error())),
        }
    }

    /// Returns the instant by which a caller of the pool that comes now has a connection or an error.
    pub(crate) fn until(&self) -> Instant {
        (tokio::time::Instant::now() + self.writers.patience()).into_std()
    }

    pub(crate) async fn fetch_all(&self, on: &mut Pooled, statement: &Statement) -> Result<Vec<Row>> {
        on.connection().fetch_all(statement).await.map_err(|error| self.failed_read(error))
    }

    pub(crate) async fn fetch_optional(
        &self,
        mut on: Connection<'_>,
        statement: &Statement,
    ) -> Result<Option<Row>> {
        on.fetch_optional(statement).await.map_err(|error| self.failed_read(error))
    }

    /// Runs a statement that is a transaction of its own, and returns how many rows it changed.
    pub(crate) async fn execute(&self, on: Connection<'_>, statement: &Statement) -> Result<u64> {
        // The table's trigger may announce what this library does not, as the deletion of rows that expired lately.
        self.count_written(on, statement, statement, Revokes::Any).await
    }

    /// Returns `true` if revocations are announced to other processes.
    pub(crate) fn announces(&self) -> bool {
        self.config.announces() && self.backend().dialect().notifies()
    }

    /// Makes a write one that revokes, with its announcement if revocations are announced. It is for the pool or for the
    /// caller's transaction.
    pub(crate) fn revoking(&self, write: Statement, revokes: Revokes, on_pool: bool) -> Revoking {
        let announced =
            self.announces().then(|| announcing(&write, self.table.table_name(), revokes, on_pool));
        Revoking { write, announced, revokes }
    }

    /// Runs a write that revokes, and returns how many rows it changed.
    pub(crate) async fn revoke(&self, on: Connection<'_>, revoking: &Revoking) -> Result<u64> {
        self.count_written(on, revoking.statement(true), &revoking.write, revoking.revokes).await
    }

    /// Runs a write that revokes for several callers, on the pool, and returns the ids of the rows that it changed.
    pub(crate) async fn revoke_each(&self, on: Connection<'_>, revoking: &Revoking) -> Result<Vec<Uuid>> {
        let first = match &revoking.announced {
            Some(announced) => announced,
            None => &revoking.write.clone().returning_ids(self.backend()),
        };
        let rows = self.fetch_written(on, first, revoking).await?;
        let ids: Result<_, sqlx::Error> = rows.iter().map(|row| row.uuid(0)).collect();
        // The write is done: only its answer cannot be read.
        ids.map_err(|error| self.failed(error))
    }

    /// Runs a write that revokes and returns the rows that it changed, or how many there were for [`Revokes::Valid`].
    pub(crate) async fn revoke_rows(&self, on: Connection<'_>, revoking: &Revoking) -> Result<Vec<Row>> {
        let first = match &revoking.announced {
            None if revoking.revokes == Revokes::Valid => &counting_valid(&revoking.write),
            None if on.is_pool() => &revoking.write.clone().returning_own_transaction(self.backend()),
            _ => revoking.statement(true),
        };
        self.fetch_written(on, first, revoking).await
    }

    /// Runs `first`, and `write` in silence if the announcement of `first` was refused. Returns how many rows were changed.
    async fn count_written(
        &self,
        mut on: Connection<'_>,
        first: &Statement,
        write: &Statement,
        revokes: Revokes,
    ) -> Result<u64> {
        let mut written = on.execute(first).await;
        if let Err(error) = &written
            && Box::pin(self.goes_unannounced(&mut on, error)).await
        {
            written = on.execute(&silent(write, revokes)).await;
        }
        written.map_err(|error| self.failed(error))
    }

    /// Does the same, and returns the rows that were changed.
    async fn fetch_written(
        &self,
        mut on: Connection<'_>,
        first: &Statement,
        revoking: &Revoking,
    ) -> Result<Vec<Row>> {
        let mut written = on.execute_returning(first).await;
        if let Err(error) = &written
            && Box::pin(self.goes_unannounced(&mut on, error)).await
        {
            written = on.execute_returning(&silent(&revoking.write, revoking.revokes)).await;
        }
        written.map_err(|error| self.failed(error))
    }

    /// Returns `true` if a revocation failed because its announcement was refused, be it the table's trigger that made
    /// it, and may run without it. Within a transaction of the caller's it may not.
    async fn goes_unannounced(&self, on: &mut Connection<'_>, error: &sqlx::Error) -> bool {
        let is_refused = on.is_pool() && is_refused_announcement(error);
        if is_refused {
            self.note_refusal(on, error).await;
        }
        is_refused
    }

    /// Silences the table's trigger in a transaction that runs again because its announcement was refused.
    pub(crate) async fn silence(&self, on: Connection<'_>) -> Result<()> {
        self.execute(on, &silence()).await.map(drop)
    }

    /// Says that a revocation goes unannounced, and asks how full the server's queue is, which also empties it.
    pub(crate) async fn note_refusal(
        &self,
        on: &mut Connection<'_>,
        error: &(dyn std::error::Error + Send + Sync + 'static),
    ) {
        self.instruments.metrics.announcement_refused();
        let usage = on.fetch_optional(&Statement::new(EMPTY_QUEUE, Vec::new())).await;
        let usage = usage.ok().flatten().and_then(|row| row.float(0).ok().flatten());
        tracing::warn!(
            table = %self.table,
            queue_usage = usage,
            error = error as &dyn std::error::Error,
            "a revocation goes unannounced, since PostgreSQL's queue of notifications is full: the caches of other \
             processes learn of it after max_staleness",
        );
    }

    fn exhausted(&self, error: sqlx::Error) -> Error {
        observe::connection_failed(self.backend().label(), ConnectionFailure::Exhausted);
        self.failed(error)
    }

    fn failed_read(&self, error: sqlx::Error) -> Error {
        self.failed(error).with_outcome(Outcome::NotDone)
    }

    pub(crate) fn failed(&self, error: sqlx::Error) -> Error {
        Error::from_sqlx(error, &self.table.to_string())
    }
}

/// Returns the values of rows one after another, without those of a column that the table does not have.
fn values<'r>(rows: impl Iterator<Item = &'r [FieldValue]>, has_sliding: bool) -> Vec<FieldValue> {
    let mut values = Vec::new();
    for row in rows {
        let (before, after) = row.split_at(PLACE_OF_SLIDING);
        values.extend_from_slice(before);
        values.extend_from_slice(if has_sliding { after } else { &after[1..] });
    }
    values
}
