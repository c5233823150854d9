//! Pools of a test's own, whose connections it can take away and give back.

use std::time::Duration;

use cloakroom::Database;
use cloakroom_testing::TestDatabase;
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
