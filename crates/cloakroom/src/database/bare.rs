use std::sync::Arc;

use sqlx::AssertSqlSafe;

use super::connection::Rule;
use super::guard::Guard;
use super::list::match_database;
use super::statement::Statement;
use super::{Backend, KnownServer, Row, Server, misuse};

/// One connection of any of the databases, of the pool or of the caller's.
pub(crate) enum Bare<'c> {
    #[cfg(feature = "sqlite")]
    Sqlite(&'c mut sqlx::SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(&'c mut sqlx::PgConnection),
    #[cfg(feature = "mysql")]
    MySql(&'c mut sqlx::MySqlConnection),
}

/// The result that is wanted of a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Rows,
    FirstRow,
    /// The number of rows that it wrote.
    Count,
}

pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    pub(crate) written: u64,
}

impl Answer {
    /// Returns how many rows a write wrote, from what it returned.
    pub(crate) fn written(&self, guard: Guard) -> Result<u64, sqlx::Error> {
        Ok(match guard {
            Guard::Count => {
                let count = self.rows.first().map(|row| row.integer(0)).transpose()?.flatten();
                count.unwrap_or(0).unsigned_abs()
            }
            Guard::LastColumn => self.rows.len() as u64,
            Guard::None | Guard::Condition | Guard::Silent => self.written,
        })
    }
}

impl Bare<'_> {
    pub(crate) fn backend(&self) -> Backend {
        match_database!(self, Bare(_connection) in driver => driver::BACKEND)
    }

    /// Returns the same connection, for a shorter lifetime.
    pub(crate) fn reborrow(&mut self) -> Bare<'_> {
        match_database!(self, Bare(connection) in driver to Bare => connection)
    }

    /// Runs a statement once.
    pub(crate) async fn run(&mut self, statement: &Statement, wanted: Wanted) -> Result<Answer, sqlx::Error> {
        self.run_as(statement.sql.clone(), statement, wanted).await
    }

    /// Runs a statement once, with `sql` as its text.
    pub(crate) async fn run_as(
        &mut self,
        sql: Arc<str>,
        statement: &Statement,
        wanted: Wanted,
    ) -> Result<Answer, sqlx::Error> {
        match_database!(self, Bare(connection) in driver => {
            let query = sqlx::query_with(AssertSqlSafe(sql), driver::arguments(&statement.values)?)
                .persistent(statement.is_remembered);
            Ok(match wanted {
                Wanted::Rows => {
                    let rows = query.fetch_all(&mut **connection).await?;
                    Answer { rows: rows.into_iter().map(driver::row).collect(), written: 0 }
                }
                Wanted::FirstRow => {
                    let first = query.fetch_optional(&mut **connection).await?;
                    Answer { rows: first.into_iter().map(driver::row).collect(), written: 0 }
                }
                Wanted::Count => {
                    let written = query.execute(&mut **connection).await?.rows_affected();
                    Answer { rows: Vec::new(), written }
                }
            })
        })
    }

    /// Runs SQL as it stands, without preparing it.
    pub(crate) async fn execute_raw(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        match_database!(self, Bare(connection) => sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut **connection).await.map(drop))
    }

    /// Returns which server this is, of which `known` says what is known; `None` on another database.
    #[cfg_attr(not(feature = "mysql"), allow(clippy::unused_async, reason = "no other is asked"))]
    pub(crate) async fn server(&mut self, known: &KnownServer) -> Result<Option<Server>, sqlx::Error> {
        match self {
            #[cfg(feature = "mysql")]
            Self::MySql(connection) => known.ask(connection).await.map(Some),
            #[allow(unreachable_patterns, reason = "reachable if another database's feature is on")]
            _ => Ok(known.get()),
        }
    }

    /// Makes the driver forget the statements that it has prepared, so that each is prepared anew.
    pub(crate) async fn forget_statements(&mut self) -> Result<(), sqlx::Error> {
        match_database!(self, Bare(connection) => sqlx::Connection::clear_cached_statements(&mut **connection).await)
    }

    /// Returns `true` if a transaction is open, by the driver's count of those that it began.
    pub(crate) fn counts_a_transaction(&self) -> bool {
        match_database!(self, Bare(connection) => sqlx::Connection::is_in_transaction(&**connection))
    }

    /// Rolls back a transaction that was left open on this connection. Returns `true` if there was one.
    pub(crate) async fn end_stray_transaction(&mut self) -> Result<bool, sqlx::Error> {
        match_database!(self, Bare(connection) in driver => driver::end_stray_transaction(connection).await)
    }

    /// Fails if the caller's connection is not as `rule` requires, before anything is done on it.
    pub(crate) async fn check(&mut self, rule: Rule) -> Result<(), sqlx::Error> {
        let is_open = match rule {
            Rule::Free => true,
            Rule::Transaction if !self.counts_a_transaction() => false,
            Rule::Transaction | Rule::AnyTransaction => {
                match_database!(self, Bare(connection) in driver => driver::is_in_transaction(connection).await)?
            }
        };
        if is_open { Ok(()) } else { Err(misuse::no_transaction()) }
    }
}
