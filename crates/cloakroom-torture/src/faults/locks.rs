//! Another client, which holds the table, or lets nothing be written.

use sqlx::{Connection as _, Executor as _, MySqlConnection, PgConnection, SqliteConnection};

use crate::settings::Kind;

/// What is held until it is given back.
pub(crate) enum Held {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
    /// `PostgreSQL`'s default for new transactions.
    ReadOnly(PgConnection),
}

/// Takes the table, or gives up after a second: others may have it, and all others wait behind the one that waits for it.
pub(crate) async fn table(kind: Kind, url: &str) -> Result<Held, sqlx::Error> {
    Ok(match kind {
        Kind::Sqlite => {
            let mut connection = SqliteConnection::connect(url).await?;
            connection.execute("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE").await?;
            Held::Sqlite(connection)
        }
        Kind::Postgres => {
            let mut connection = PgConnection::connect(url).await?;
            connection.execute("SET lock_timeout = '1s'").await?;
            connection.execute("BEGIN; LOCK TABLE torture_sessions IN ACCESS EXCLUSIVE MODE").await?;
            Held::Postgres(connection)
        }
        Kind::MariaDb => {
            let mut connection = MySqlConnection::connect(url).await?;
            connection.execute("SET lock_wait_timeout = 1").await?;
            connection.execute("LOCK TABLES torture_sessions WRITE").await?;
            Held::MariaDb(connection)
        }
    })
}

/// Lets the server refuse writes.
pub(crate) async fn writes(_: Kind, url: &str) -> Result<Held, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    read_only(&mut connection, "on").await?;
    Ok(Held::ReadOnly(connection))
}

async fn read_only(connection: &mut PgConnection, value: &'static str) -> Result<(), sqlx::Error> {
    // ALTER SYSTEM does not run in a transaction, not even in that of several statements sent at once.
    let statement = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
    connection.execute(sqlx::AssertSqlSafe(statement)).await?;
    connection.execute("SELECT pg_reload_conf()").await.map(drop)
}

impl Held {
    pub(crate) async fn give_back(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(mut connection) => {
                connection.execute("ROLLBACK").await?;
                connection.close().await
            }
            Self::Postgres(mut connection) => {
                connection.execute("ROLLBACK").await?;
                connection.close().await
            }
            Self::MariaDb(mut connection) => {
                connection.execute("UNLOCK TABLES").await?;
                connection.close().await
            }
            Self::ReadOnly(mut connection) => {
                read_only(&mut connection, "off").await?;
                connection.close().await
            }
        }
    }
}
