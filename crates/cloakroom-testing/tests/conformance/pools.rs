//! Further pools on a test's database.

use std::time::Duration;

use cloakroom::{Database, SessionTable};
use cloakroom_testing::TestDatabase;
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;

use crate::statements::Watched;

/// A pool of its own of so many connections. A connection that does not become free soon is an error.
pub(crate) async fn of(db: &TestDatabase, connections: u32) -> Database {
    const PATIENCE: Duration = Duration::from_secs(20);
    let pool: Result<Database, sqlx::Error> = match db.database() {
        Database::Sqlite(pool) => {
            let options = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
            options.connect_with((*pool.connect_options()).clone()).await.map(Database::from)
        }
        Database::Postgres(pool) => {
            let options = PgPoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
            options.connect_with((*pool.connect_options()).clone()).await.map(Database::from)
        }
        Database::MySql(pool) => {
            let options = MySqlPoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
            options.connect_with((*pool.connect_options()).clone()).await.map(Database::from)
        }
        other => panic!("no such database: {other:?}"),
    };
    pool.expect("the database answers")
}

impl<T: SessionTable> Watched<T> {
    /// On one connection, so that the statements are seen in the order in which they ran.
    pub(crate) async fn new(db: &TestDatabase) -> Self {
        Self::on(db, of(db, 1).await, db.config()).await
    }
}
