use std::fmt;

use super::again::{is_out_of_step, not_connected};
#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::giving_back::give_back;
use super::list::match_database;
use super::{AfterCommit, Backend, Connection, Database, Pool};
use crate::error::{Error, ErrorKind, Outcome, Result};

/// A transaction in the application's own database, of any of the three kinds.
///
/// Made by [`Sessions::begin`](crate::Sessions::begin) or [`Database::begin`]. Pass it to
/// [`Sessions::within`](crate::Sessions::within) for operations on sessions, and run your own statements on
/// [`sqlite`](Self::sqlite), [`postgres`](Self::postgres) or [`mysql`](Self::mysql). If it is dropped without
/// [`commit`](Self::commit), it is rolled back.
///
/// ```
/// # use cloakroom::{Config, NewSession, SessionTable, Sessions};
/// # #[derive(Clone, SessionTable)]
/// # struct UserSession { user_id: String }
/// # async fn example(sessions: Sessions<UserSession>) -> Result<(), Box<dyn std::error::Error>> {
/// let mut transaction = sessions.begin().await?;
/// sqlx::query("INSERT INTO users (id) VALUES ('1234')").execute(transaction.sqlite()).await?;
/// let new = NewSession::new(UserSession { user_id: "1234".into() });
/// let created = sessions.within(&mut transaction).create(new).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
pub struct Transaction {
    /// `None` once it is given away, or ended.
    open: Option<Open>,
    database: Database,
    after: AfterCommit,
}

/// The driver's transaction.
enum Open {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
    #[cfg(feature = "mysql")]
    MySql(sqlx::Transaction<'static, sqlx::MySql>),
}

impl Database {
    /// Begins a transaction on a connection of the pool.
    ///
    /// Use it in place of the pool's own `begin`. The future of this method may be dropped at any time, as the future
    /// of a request handler is when its client disconnects. With sqlx 0.9, a `pool.begin()` that is dropped midway can
    /// return its connection to the pool inside the transaction. The *application's* next statements on that connection
    /// are then not committed. (The operations of [`Sessions`](crate::Sessions) notice such a transaction and end it.)
    ///
    /// The [`Transaction`] may be dropped in the middle of a statement too. If its connection then does not answer for a
    /// second, as on MariaDB and MySQL if the statement was being prepared, it is closed, and not waited for without a
    /// limit, as the pool does.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ErrorKind::Unavailable) if no connection becomes free or the database cannot be reached.
    ///
    /// # Panics
    ///
    /// If it is called outside a tokio runtime.
    ///
    /// # Clusters
    ///
    /// On Galera the transaction sees what was committed on any node before it began. It begins with its snapshot, since a
    /// node of MariaDB without a binary log otherwise sends to the others, at times, what `ROLLBACK TO SAVEPOINT` has
    /// undone, as that of an inner `begin()` does: begin transactions with savepoints by this method there.
    pub async fn begin(&self) -> Result<Transaction> {
        Pool::new(self.clone(), true).begin().await
    }
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Anything.
    Plain,
    /// It is going to write, and reads before it does.
    ToWrite,
    /// It reads rows that it then writes, or counts: each statement sees what was committed before it was sent, and locks
    /// nothing beside the rows that it reads.
    ReadCommitted,
}

impl Pool {
    /// See [`Database::begin`] and [`Sessions::begin`](crate::Sessions::begin).
    pub(crate) async fn begin(&self) -> Result<Transaction> {
        self.begin_as(Begin::Plain).await
    }

    /// Begins a transaction that is going to write, and reads before it does.
    pub(crate) async fn begin_to_write(&self) -> Result<Transaction> {
        self.begin_as(Begin::ToWrite).await
    }

    pub(crate) async fn begin_as(&self, purpose: Begin) -> Result<Transaction> {
        let pool = self.clone();
        // The transaction begins in a task of its own, which runs to its end even if this future is dropped. A
        // transaction that no caller takes is rolled back.
        let begun = tokio::spawn(async move { pool.begin_here(purpose).await }).await;
        begun.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Unavailable, "the task that began the transaction was stopped")
                .with_source(error))
        })
    }

    async fn begin_here(&self, purpose: Begin) -> Result<Transaction> {
        let failed = |error| {
            // sqlx 0.9 says so too if a server goes away that it connects to.
            let error = if is_out_of_step(&error) { not_connected(error) } else { error };
            Error::from_sqlx(error, "the database").with_outcome(Outcome::NotDone)
        };
        let open = match_database!(&self.database, Database(pool) in driver to Open => {
            let begun = match purpose {
                Begin::Plain => driver::begin(pool, &self.causality).await,
                Begin::ToWrite => driver::begin_to_write(pool, &self.causality).await,
                Begin::ReadCommitted => driver::begin_read_committed(pool, &self.causality).await,
            };
            begun.map_err(failed)?
        });
        Ok(Transaction {
            open: Some(open),
            database: self.database.clone(),
            after: AfterCommit::of_our_commit(),
        })
    }
}

impl Transaction {
    /// Commits the transaction.
    ///
    /// # Errors
    ///
    /// If the database refuses the commit, nothing is written. If the connection is lost, it is not known whether
    /// anything was written.
    ///
    /// The commit also fails if a statement has failed within the transaction on PostgreSQL, or if the server has ended
    /// the transaction by itself on MariaDB ([`NoTransaction`](ErrorKind::NoTransaction)). The `commit` of sqlx 0.9
    /// returns `Ok` there although nothing is committed. Checking this takes another round trip.
    pub async fn commit(self) -> Result<()> {
        let failed = |error| Error::from_sqlx(error, "the database");
        self.try_commit().await.map_err(failed)?.run();
        Ok(())
    }

    /// Does the same, with the driver's error, and returns what is to be done now that the transaction is committed.
    pub(crate) async fn try_commit(mut self) -> Result<AfterCommit, sqlx::Error> {
        match_database!(self.open(), Open(transaction) in driver => driver::check_to_commit(transaction).await)?;
        match_database!(self.take(), Open(transaction) => transaction.commit().await)?;
        Ok(self.after.clone())
    }

    /// Rolls the transaction back. Dropping it does so too, a little later.
    pub async fn rollback(mut self) -> Result<()> {
        let failed = |error| Error::from_sqlx(error, "the database").with_outcome(Outcome::NotDone);
        match_database!(self.take(), Open(transaction) => transaction.rollback().await).map_err(failed)
    }

    /// Returns which kind of database the transaction is in.
    pub fn backend(&self) -> Backend {
        self.database.backend()
    }

    fn open(&mut self) -> &mut Open {
        self.open.as_mut().unwrap_or_else(|| unreachable!("what takes it consumes the transaction"))
    }

    fn take(&mut self) -> Open {
        self.open.take().unwrap_or_else(|| unreachable!("what takes it consumes the transaction"))
    }

    /// Returns the connection that the transaction is on, for the application's own statements.
    ///
    /// # Panics
    ///
    /// If the transaction is not in SQLite.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(&mut self) -> &mut sqlx::SqliteConnection {
        let backend = self.backend();
        match self.open() {
            Open::Sqlite(transaction) => transaction,
            #[allow(unreachable_patterns, reason = "reachable if another database's feature is on")]
            _ => panic!("the transaction is in {backend}, not in SQLite"),
        }
    }

    /// Returns the driver's own transaction, for code that takes that. From then on its commit is the driver's too: no
    /// [observer](crate::Observer) hears of what was done in it.
    ///
    /// # Panics
    ///
    /// If the transaction is not in SQLite.
    #[cfg(feature = "sqlite")]
    pub fn into_sqlite(mut self) -> sqlx::Transaction<'static, sqlx::Sqlite> {
        let backend = self.backend();
        match self.take() {
            Open::Sqlite(transaction) => transaction,
            #[allow(unreachable_patterns, reason = "reachable if another database's feature is on")]
            _ => panic!("the transaction is in {backend}, not in SQLite"),
        }
    }

    /// Returns the connection that the transaction is on, for the application's own statements.
    ///
    /// # Panics
    ///
    /// If the transaction is not in PostgreSQL.
    #[cfg(feature = "postgres")]
    pub fn postgres(&mut self) -> &mut sqlx::PgConnection {
        let backend = self.backend();
        match self.open() {
            Open::Postgres(transaction) => transaction,
            #[allow(unreachable_patterns, reason = "reachable if another database's feature is on")]
            _ => panic!("the transaction is in {backend}, not in PostgreSQL"),
        }
    }

    /// Returns the driver's own transaction, for code that takes that. From then on its commit is the driver's too: no
    /// [observer](crate::Observer) hears of what was done in it.
    ///
    /// # Panics
    ///
    /// If the transaction is not in PostgreSQL.
    #[cfg(feature = "postgres")]
    pub fn into_postgres(mut self) -> sqlx::Transaction<'static, sqlx::Postgres> {
        let backend = self.backend();
        match self.take() {
            Open::Postgres(transaction) => transaction,
            #[allow(unreachable_patterns, reason = "reachable if another database's feature is on")]
            _ => panic!("the transaction is in {backend}, not in PostgreSQL"),
        }
    }

    /// Returns the connection that the transaction is on, for the application's own statements.
    ///
    /// # Panics
    ///
    /// If the transaction is not in MariaDB or MySQL.
    #[cfg(feature = "mysql")]
    pub fn mysql(&mut self) -> &mut sqlx::MySqlConnection {
        let backend = self.backend();
        match self.open() {
            Open::MySql(transaction) => transaction,
            #[allow(unreachable_patterns, reason = "reachable if another database's feature is on")]
            _ => panic!("the transaction is in {backend}, not in MariaDB or MySQL"),
        }
    }

    /// Returns the driver's own transaction, for code that takes that. From then on its commit is the driver's too: no
    /// [observer](crate::Observer) hears of what was done in it.
    ///
    /// # Panics
    ///
    /// If the transaction is not in MariaDB or MySQL.
    #[cfg(feature = "mysql")]
    pub fn into_mysql(mut self) -> sqlx::Transaction<'static, sqlx::MySql> {
        let backend = self.backend();
        match self.take() {
            Open::MySql(transaction) => transaction,
            #[allow(unreachable_patterns, reason = "reachable if another database's feature is on")]
            _ => panic!("the transaction is in {backend}, not in MariaDB or MySQL"),
        }
    }
}

impl<'c> From<&'c mut Transaction> for Connection<'c> {
    fn from(transaction: &'c mut Transaction) -> Self {
        let after = transaction.after.clone();
        let connection: Self = match_database!(transaction.open(), Open(transaction) => transaction.into());
        connection.with_after_commit(after)
    }
}

/// Outside a runtime nothing is done but what the driver does.
#[cfg(any(feature = "postgres", feature = "mysql"))]
fn in_a_task(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}

/// The connection goes back to its pool, if it answers. SQLite is in this process and always answers.
impl Drop for Transaction {
    fn drop(&mut self) {
        match (self.open.take(), &self.database) {
            #[cfg(feature = "postgres")]
            (Some(Open::Postgres(transaction)), Database::Postgres(pool)) => {
                in_a_task(give_back(transaction, pool.clone(), self.backend().label()));
            }
            #[cfg(feature = "mysql")]
            (Some(Open::MySql(transaction)), Database::MySql(pool)) => {
                in_a_task(give_back(transaction, pool.clone(), self.backend().label()));
            }
            _ => {}
        }
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transaction({})", self.backend())
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "postgres")]
    #[tokio::test]
    async fn a_server_that_goes_away_while_it_is_connected_to_is_unavailable() {
        use tokio::io::AsyncReadExt as _;
        use tokio::net::TcpListener;

        use super::*;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                // It has asked for TLS, and gets no answer.
                let _ = client.read_exact(&mut [0; 8]).await;
            }
        });
        let pool = sqlx::PgPool::connect_lazy(&format!("postgres://nobody@127.0.0.1:{port}/none")).unwrap();
        let error = Database::from(pool).begin().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert_eq!(error.outcome(), Outcome::NotDone);
    }
}
