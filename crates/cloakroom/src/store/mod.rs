//! The parts that every operation works with, independent of the type of the table's fields.

mod columns;
mod writers;

use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

pub(crate) use columns::{Columns, Known};
use writers::Permit;
pub(crate) use writers::{Waits, Writers};

use crate::config::Config;
use crate::database::{
    Backend, Connection, Database, FieldValue, Pooled, Row, Statement, TimedOut, guard_of_rows,
};
use crate::deadline;
use crate::error::{Error, Outcome, Result};
use crate::observe::{self, ConnectionFailure, Observer};
use crate::sql::Statements;
use crate::table::TableDefinition;
use crate::token::Hashed;

/// A connection of the pool that counts as one of those that writes may hold.
pub(crate) struct Writing {
    pub(crate) connection: Pooled,
    _permit: Permit,
}

/// The parts that every operation works with, independent of the type of the table's fields: the database, the table's
/// definition, the settings, and the statements that were written beforehand.
pub(crate) struct Store {
    // Declared before the database, which the permits must not outlive.
    pub(crate) writers: Arc<Writers>,
    pub(crate) database: Database,
    pub(crate) table: TableDefinition,
    pub(crate) config: Config,
    pub(crate) statements: Statements,
    pub(crate) known: Known,
    pub(crate) observer: Observer,
}

impl Store {
    pub(crate) fn backend(&self) -> Backend {
        self.database.backend()
    }

    /// Returns the hash of a token, or `None` if no session can have the token.
    pub(crate) fn hash<'t>(&self, token: &'t [u8]) -> Option<Hashed<'t>> {
        let hashed = self.config.hash(token).ok()?;
        let is_ascii = !matches!(hashed, Hashed::Text(text) if !text.is_ascii());
        (is_ascii || !self.backend().dialect().keeps_only_ascii_digests()).then_some(hashed)
    }

    /// Returns the statement that finds any of `size` digests; see [`Statements::find`]. It need not say whether it was
    /// a transaction of its own if that is known of its connection, or if it runs within the caller's transaction.
    pub(crate) fn find(&self, size: usize, values: Vec<FieldValue>, is_known: bool) -> Statement {
        let sql = self.statements.find(&self.table, self.backend(), size, !is_known);
        let statement = Statement::new(sql, values);
        if is_known { statement } else { statement.guarded(guard_of_rows(self.backend())) }
    }

    /// Returns the statement that reads the session with this id.
    pub(crate) fn by_id(&self, id: Uuid, on_pool: bool) -> Statement {
        let values = vec![FieldValue::plain(id)];
        if on_pool {
            Statement::new(self.statements.by_id.clone(), values).guarded(guard_of_rows(self.backend()))
        } else {
            Statement::new(self.statements.by_id_within.clone(), values)
        }
    }

    /// Returns the statement that inserts `size` rows; see [`Statements::insert`].
    pub(crate) fn insert_sql(&self, size: usize) -> Arc<str> {
        self.statements.insert(&self.table, self.backend(), size)
    }

    /// Returns the same statement in a form that hardly waits for locks; see [`Statements::insert_at_once`].
    pub(crate) fn insert_at_once_sql(&self, size: usize) -> Arc<str> {
        self.statements.insert_at_once(&self.table, self.backend(), size)
    }

    /// Returns the statement that extends `size` sessions; see [`Statements::extend`].
    pub(crate) fn extend_sql(&self, size: usize) -> Arc<str> {
        // A caller with a statement of its own delays no other call when it waits.
        let is_shared = self.config.max_batch() > 1;
        self.statements.extend(&self.table, self.backend(), size, is_shared)
    }

    /// Stands for any connection of the pool.
    pub(crate) fn pool(&self) -> Connection<'static> {
        Connection::pool(&self.database)
    }

    /// Takes one connection of the pool, for several statements.
    pub(crate) async fn acquire(&self) -> Result<Pooled> {
        self.database.acquire().await.map_err(|error| self.failed(error))
    }

    /// Takes one connection of the pool for writes, at the latest at `until`, and at the call's [deadline].
    pub(crate) async fn acquire_to_write(&self, waits: Waits, until: Instant) -> Result<Writing> {
        let acquired = async {
            let permit = self.writers.permit(waits).await;
            Ok(Writing { connection: self.acquire().await?, _permit: permit })
        };
        match deadline::bound(tokio::time::timeout_at(until.into(), acquired)).await {
            Some(Ok(acquired)) => acquired,
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
    pub(crate) async fn execute(&self, mut on: Connection<'_>, statement: &Statement) -> Result<u64> {
        on.execute(statement).await.map_err(|error| self.failed(error))
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
