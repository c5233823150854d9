//! Measures how many bytes a session takes, in the table and in each index, for `docs/sizing.md`:
//! `cargo run --release -p cloakroom-testing --example sizes -- 100000`.
//!
//! On SQLite, and on the servers that `CLOAKROOM_TEST_POSTGRES_URL` and `CLOAKROOM_TEST_MARIADB_URL` name.

use std::time::{Duration, Instant};

use cloakroom::{Database, ImportedSession, NewSession, Sessions, Token};
use cloakroom_testing::{Kind, TestDatabase, UserSession};
use serde_json::json;
use sqlx::AssertSqlSafe;

/// Sessions of so many users, each with the data of a browser.
async fn fill(sessions: &Sessions<UserSession>, rows: usize) {
    let row = |n: usize| {
        let fields = UserSession { user_id: format!("{:08}-0000-7000-8000-000000000000", n / 2) };
        let data = json!({"device": "Firefox on Linux", "ip": "203.0.113.7", "csrf": "cOmMoN0lEnGtH"});
        // No two instants are the same.
        let age = Duration::from_millis(n as u64) * 7;
        let new = NewSession::new(fields).data(data).expires_in(Duration::from_hours(24 * 30) + age);
        let token = Token::generate(64).expect("there is randomness");
        ImportedSession::with_token(new, token).inserted_at(sessions.config().now() - age)
    };
    for first in (0..rows).step_by(10_000) {
        let batch = (first..rows.min(first + 10_000)).map(row).collect();
        sessions.import(batch).await.expect("the rows fit");
    }
}

/// The bytes of the table and of its indexes, by name.
async fn sizes(db: &TestDatabase) -> Vec<(String, i64)> {
    let sql = match db.kind() {
        Kind::Sqlite => "SELECT name, SUM(pgsize) FROM dbstat GROUP BY name ORDER BY name",
        Kind::Postgres => {
            "SELECT relname::text, pg_table_size(oid) FROM pg_class \
             WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'i') ORDER BY relname"
        }
        Kind::MariaDb => {
            "SELECT CAST(CONCAT(table_name, '.', index_name) AS CHAR), \
             CAST(stat_value * @@innodb_page_size AS SIGNED) FROM mysql.innodb_index_stats \
             WHERE database_name = DATABASE() AND stat_name = 'size' ORDER BY 1"
        }
    };
    macro_rules! fetch {
        ($pool:expr) => {
            sqlx::query_as(AssertSqlSafe(sql)).fetch_all($pool).await.expect("the database tells")
        };
    }
    match db.database() {
        Database::Sqlite(pool) => fetch!(&pool),
        Database::Postgres(pool) => fetch!(&pool),
        Database::MySql(pool) => fetch!(&pool),
        other => panic!("no such database: {other:?}"),
    }
}

#[tokio::main]
#[expect(clippy::cast_precision_loss, reason = "to a tenth of a byte")]
async fn main() {
    let rows: usize = std::env::args().nth(1).map_or(100_000, |rows| rows.parse().expect("a number of rows"));
    for kind in [Kind::Sqlite, Kind::Postgres, Kind::MariaDb] {
        let db = TestDatabase::new(kind).await;
        let sessions = db.sessions::<UserSession>().await;
        let begun = Instant::now();
        fill(&sessions, rows).await;
        let took = begun.elapsed();
        db.execute(match kind {
            Kind::Sqlite => "PRAGMA wal_checkpoint(TRUNCATE)",
            Kind::Postgres => "VACUUM ANALYZE sessions",
            Kind::MariaDb => "ANALYZE TABLE sessions",
        })
        .await;
        println!("{kind:?}, {rows} rows, filled in {took:.1?}:");
        let mut all = 0;
        for (name, bytes) in sizes(&db).await {
            all += bytes;
            println!("  {name}: {:.1} bytes a row", bytes as f64 / rows as f64);
        }
        println!("  together: {:.1} bytes a row", all as f64 / rows as f64);
        db.database().close().await;
    }
}
