use super::bare::{Answer, Bare, Wanted};
use super::guard::Told;
use super::statement::Statement;
use super::{Backend, Connection, Database, misuse};

/// How often a statement is run on a connection that turns out to have a transaction open, which is then ended.
const ATTEMPTS: usize = 3;

/// A connection that goes back to its pool.
///
/// Each statement on it commits by itself: what others left open there is [ended](super::guard) before its answer is
/// believed.
pub(crate) struct Pooled {
    connection: PoolConnection,
    /// An answer has told since the connection was taken that no transaction is open.
    is_known_alone: bool,
}

enum PoolConnection {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::pool::PoolConnection<sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::pool::PoolConnection<sqlx::Postgres>),
    #[cfg(feature = "mysql")]
    MySql(sqlx::pool::PoolConnection<sqlx::MySql>),
}

impl Database {
    /// A connection of the pool, for several statements, each of which commits by itself.
    pub(crate) async fn acquire(&self) -> Result<Pooled, sqlx::Error> {
        loop {
            let mut pooled = self.acquire_any().await?;
            // What the driver counts was left open by others. To look costs nothing, and SQLite tells no more.
            if !pooled.bare().counts_a_transaction() || pooled.is_cleared(self).await? {
                return Ok(pooled);
            }
        }
    }

    async fn acquire_any(&self) -> Result<Pooled, sqlx::Error> {
        let connection = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => PoolConnection::Sqlite(pool.acquire().await?),
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => PoolConnection::Postgres(pool.acquire().await?),
            #[cfg(feature = "mysql")]
            Self::MySql(pool) => PoolConnection::MySql(pool.acquire().await?),
        };
        Ok(Pooled { connection, is_known_alone: false })
    }
}

impl Pooled {
    pub(crate) fn connection(&mut self) -> Connection<'_> {
        Connection::pooled(self)
    }

    pub(super) fn backend(&self) -> Backend {
        match &self.connection {
            #[cfg(feature = "sqlite")]
            PoolConnection::Sqlite(_) => Backend::Sqlite,
            #[cfg(feature = "postgres")]
            PoolConnection::Postgres(_) => Backend::Postgres,
            #[cfg(feature = "mysql")]
            PoolConnection::MySql(_) => Backend::MySql,
        }
    }

    pub(super) fn bare(&mut self) -> Bare<'_> {
        match &mut self.connection {
            #[cfg(feature = "sqlite")]
            PoolConnection::Sqlite(connection) => Bare::Sqlite(connection),
            #[cfg(feature = "postgres")]
            PoolConnection::Postgres(connection) => Bare::Postgres(connection),
            #[cfg(feature = "mysql")]
            PoolConnection::MySql(connection) => Bare::MySql(connection),
        }
    }

    /// Closes it, instead of giving it back: its server may not answer any more. SQLite is in this process, and a
    /// database in memory would end with its connection.
    pub(crate) fn discard(mut self) {
        self.spoil();
    }

    /// Rolls back what the driver counts; whether the connection is of use all the same. Others would begin savepoints
    /// on it, so it is closed, unless its database would end with it.
    async fn is_cleared(&mut self, database: &Database) -> Result<bool, sqlx::Error> {
        match (&mut self.connection, database) {
            #[cfg(feature = "sqlite")]
            (PoolConnection::Sqlite(connection), Database::Sqlite(pool)) => {
                Box::pin(super::sqlite::end_stray_transaction(connection)).await?;
                let is_in_memory = super::sqlite::is_in_memory(pool);
                if !is_in_memory {
                    connection.close_on_drop();
                }
                Ok(is_in_memory)
            }
            _ => {
                self.spoil();
                Ok(false)
            }
        }
    }

    /// Runs a statement so that it commits by itself.
    ///
    /// If it ran inside a transaction that was left open, that is rolled back, and the statement with it, and it runs
    /// again.
    pub(super) async fn run(&mut self, statement: &Statement, wanted: Wanted) -> Result<Answer, sqlx::Error> {
        for _ in 0..ATTEMPTS {
            let answer = self.bare().run(statement, wanted).await;
            let told = match &answer {
                Ok(answer) => statement.guard.told(&answer.rows, answer.written),
                // What failed may have failed for where it ran: in a transaction that reads only, or has failed.
                Err(sqlx::Error::Database(_)) => Told::Nothing,
                Err(_) => return answer,
            };
            match told {
                Told::Alone => self.is_known_alone = true,
                Told::NotAsked => {}
                Told::Nothing if self.is_known_alone => {}
                Told::Nothing | Told::Inside => {
                    // Rare, and larger than the rest.
                    let mut bare = self.bare();
                    match Box::pin(bare.end_stray_transaction()).await {
                        Ok(true) => continue,
                        Ok(false) => self.is_known_alone = true,
                        Err(error) => {
                            self.spoil();
                            return answer.and(Err(error));
                        }
                    }
                }
            }
            return answer;
        }
        self.spoil();
        Err(misuse::never_commits())
    }

    /// Has it closed, instead of given back, when it is dropped.
    fn spoil(&mut self) {
        match &mut self.connection {
            #[cfg(feature = "sqlite")]
            PoolConnection::Sqlite(_) => {}
            #[cfg(feature = "postgres")]
            PoolConnection::Postgres(connection) => connection.close_on_drop(),
            #[cfg(feature = "mysql")]
            PoolConnection::MySql(connection) => connection.close_on_drop(),
        }
    }
}
