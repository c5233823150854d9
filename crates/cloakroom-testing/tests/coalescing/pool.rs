//! Pools whose connections a test takes away, so that whoever asks waits, and gives back.

use std::any::Any;
use std::time::Duration;

use cloakroom::Database;
use cloakroom_testing::TestDatabase;
use futures_util::future::try_join_all;
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;

use crate::PATIENCE;

/// A pool of its own of so many connections.
pub(crate) async fn of(db: &TestDatabase, connections: u32) -> Database {
    with_patience(db, connections, PATIENCE).await
}

/// A pool of its own, and how long it waits for a connection.
pub(crate) async fn with_patience(db: &TestDatabase, connections: u32, patience: Duration) -> Database {
    macro_rules! pool {
        ($options:ident, $pool:expr) => {{
            let options = $options::new().max_connections(connections).acquire_timeout(patience);
            options.connect_with((*$pool.connect_options()).clone()).await.map(Database::from)
        }};
    }
    let pool = match db.database() {
        Database::Sqlite(pool) => pool!(SqlitePoolOptions, pool),
        Database::Postgres(pool) => pool!(PgPoolOptions, pool),
        Database::MySql(pool) => pool!(MySqlPoolOptions, pool),
        other => panic!("no such database: {other:?}"),
    };
    pool.expect("the database answers")
}

/// Takes all connections of a pool, until what is returned is dropped.
pub(crate) async fn hold(pool: &Database) -> Box<dyn Any + Send> {
    macro_rules! hold {
        ($pool:expr) => {{
            let all = (0..$pool.options().get_max_connections()).map(|_| $pool.acquire());
            Box::new(try_join_all(all).await.unwrap())
        }};
    }
    match pool {
        Database::Sqlite(pool) => hold!(pool),
        Database::Postgres(pool) => hold!(pool),
        Database::MySql(pool) => hold!(pool),
        other => panic!("no such database: {other:?}"),
    }
}
