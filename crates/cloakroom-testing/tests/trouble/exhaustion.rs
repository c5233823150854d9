use std::time::Duration;

use cloakroom::{Database, ErrorKind, Sessions};
use cloakroom_testing::{TestDatabase, UserSession, each_database, user};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;

use crate::everything::every_operation;

const TIMEOUT: Duration = Duration::from_millis(300);
const CONNECTIONS: u32 = 2;

/// A pool that is soon exhausted, and something that holds all its connections.
async fn exhausted(db: &TestDatabase) -> (Database, Box<dyn std::any::Any>) {
    macro_rules! pool {
        ($options:ident) => {{
            let options = $options::new().max_connections(CONNECTIONS).acquire_timeout(TIMEOUT);
            let pool = options.connect(db.url()).await.unwrap();
            let mut held = Vec::new();
            for _ in 0..CONNECTIONS {
                held.push(pool.acquire().await.unwrap());
            }
            (pool.into(), Box::new(held))
        }};
    }
    match db.database() {
        Database::Sqlite(_) => pool!(SqlitePoolOptions),
        Database::Postgres(_) => pool!(PgPoolOptions),
        Database::MySql(_) => pool!(MySqlPoolOptions),
        other => panic!("no such database: {other:?}"),
    }
}

async fn an_exhausted_pool_is_unavailable_until_a_connection_is_free(db: TestDatabase) {
    let created = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap();
    let (database, held) = exhausted(&db).await;
    let config = db.config().build().unwrap();
    let sessions = Sessions::<UserSession>::new(database, config).unwrap();
    db.clock().advance(time::Duration::days(2));

    for outcome in every_operation(&sessions, &created.session, &created.token).await {
        let error = outcome.error.as_ref().expect(outcome.operation);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{}: {error:?}", outcome.operation);
        assert!(error.to_string().contains("time-out"), "{}: {error}", outcome.operation);
        assert!(outcome.took < TIMEOUT + Duration::from_secs(2), "{outcome:?}");
    }
    assert_eq!(sessions.migrate().await.unwrap_err().kind(), ErrorKind::Unavailable);
    // What needs no database does without.
    assert_eq!(sessions.authenticate("").await.unwrap(), None);

    drop(held);
    assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
    sessions.database().close().await;
}

each_database! { an_exhausted_pool_is_unavailable_until_a_connection_is_free }
