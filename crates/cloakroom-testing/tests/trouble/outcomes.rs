//! What an error says of what was asked for: that it was done, that it was not, or that this is not known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloakroom::{Config, Database, ErrorKind, NewSession, Outcome, Sessions, Status};
use cloakroom_testing::{ApiKey, Kind, Role, TestDatabase, UserSession, each_database, run, user};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::SqlitePoolOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::everything::every_operation;

async fn what_is_refused_is_not_done(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1234")).await.unwrap();
    let copy = || user("5678").import_token(created.token.clone());
    let mut stale = created.session.clone();
    sessions.update(&mut created.session.clone()).await.unwrap();
    let errors = [
        (ErrorKind::DuplicateToken, sessions.create(copy()).await.unwrap_err()),
        (ErrorKind::InvalidField, sessions.create(user("")).await.unwrap_err()),
        (ErrorKind::Conflict, sessions.update(&mut stale).await.unwrap_err()),
        (ErrorKind::NotFound, sessions.query().id(uuid()).fetch_one().await.map(drop).unwrap_err()),
    ];
    for (kind, error) in errors {
        assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotDone), "{error:?}");
    }
    assert_eq!(sessions.query().count().await.unwrap(), 1);
}

fn uuid() -> uuid::Uuid {
    uuid::Uuid::from_u128(1)
}

/// A pool that never has a connection: its only one is taken, or no server is there.
async fn pools_without_connections(db: &TestDatabase) -> Vec<(Database, Box<dyn std::any::Any + Send>)> {
    const SOON: Duration = Duration::from_millis(200);
    macro_rules! pools {
        ($options:ident, $nowhere:expr) => {{
            let options = || $options::new().max_connections(1).acquire_timeout(SOON);
            let taken: Database = options().connect(db.url()).await.unwrap().into();
            let held = cloakroom_testing::hold_connections(&taken).await;
            let nowhere: Option<Database> =
                $nowhere.map(|url: &str| options().connect_lazy(url).unwrap().into());
            let nowhere = nowhere.map(|database| (database, Box::new(()) as Box<dyn std::any::Any + Send>));
            std::iter::once((taken, held)).chain(nowhere).collect()
        }};
    }
    match db.kind() {
        Kind::Sqlite => pools!(SqlitePoolOptions, Some("sqlite:/no/such/directory/at/all.db")),
        Kind::Postgres => pools!(PgPoolOptions, Some("postgres://postgres:hunter2@127.0.0.1:1/postgres")),
        Kind::MariaDb => pools!(MySqlPoolOptions, Some("mysql://root:hunter2@127.0.0.1:1/cloakroom")),
    }
}

async fn without_a_connection_nothing_is_done(db: TestDatabase) {
    let created = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap();
    for (database, held) in pools_without_connections(&db).await {
        let sessions = Sessions::<UserSession>::new(database, db.config().build().unwrap()).unwrap();
        for outcome in every_operation(&sessions, &created.session, &created.token).await {
            let Some(error) = &outcome.error else {
                assert_eq!(outcome.operation, "extend", "nothing is due, so nothing is asked");
                continue;
            };
            assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::Unavailable, Outcome::NotDone),
                "{outcome:?}"
            );
        }
        drop(held);
        sessions.database().close().await;
    }
}

async fn a_session_that_ended_and_cannot_be_read_again_has_ended(db: TestDatabase) {
    let sessions = db.sessions::<ApiKey>().await;
    let key = ApiKey { user_id: "1234".into(), role: Role::Admin, quota: None };
    let mut created = sessions.create(NewSession::new(key)).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    let mut other = created.session.clone();
    sessions.update(&mut other).await.unwrap();
    db.execute("UPDATE api_keys SET role = 'nonsense'").await;
    assert!(sessions.expire(&mut created.session).await.unwrap());
    assert!(!created.session.is_valid(db.now()));
    assert_eq!(sessions.query().count().await.unwrap(), 0);
    assert_eq!(sessions.query().status(Status::Expired).count().await.unwrap(), 1);
}

each_database! {
    what_is_refused_is_not_done,
    without_a_connection_nothing_is_done,
    a_session_that_ended_and_cannot_be_read_again_has_ended,
}

/// Where a connection is cut that carries a certain name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    /// Before the server has heard of it.
    Before,
    /// After the server has answered, and before the caller has the answer.
    After,
}

/// Starts a proxy in front of a server; its port.
async fn proxy(server: String, name: &'static str, cut: Cut) -> u16 {
    let entrance = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = entrance.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = entrance.accept().await {
            let server = TcpStream::connect(&server).await.unwrap();
            let is_over = Arc::new(AtomicBool::new(false));
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let has_come = Arc::clone(&is_over);
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                    if buffer[..read].windows(name.len()).any(|bytes| bytes == name.as_bytes()) {
                        if cut == Cut::Before {
                            return;
                        }
                        has_come.store(true, Ordering::SeqCst);
                    }
                    if to_server.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                    if is_over.load(Ordering::SeqCst) || to_client.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

async fn by_way_of(db: &TestDatabase, port: u16) -> Database {
    if db.kind() == Kind::Postgres {
        let options: PgConnectOptions = db.url().parse().unwrap();
        let pool = PgPoolOptions::new().max_connections(1).test_before_acquire(false);
        pool.connect_with(options.port(port)).await.unwrap().into()
    } else {
        let options: MySqlConnectOptions = db.url().parse().unwrap();
        let pool = MySqlPoolOptions::new().max_connections(1).test_before_acquire(false);
        // The proxy reads what goes by, and MySQL offers TLS.
        let options = options.port(port).ssl_mode(MySqlSslMode::Disabled);
        pool.connect_with(options).await.unwrap().into()
    }
}

/// And what happened to it shows that there is no more to say.
async fn whether_a_write_was_done_whose_connection_was_cut_is_not_known(db: TestDatabase) {
    const NAME: &str = "the one that is cut";
    let direct = db.sessions::<UserSession>().await;
    let (_, server) = db.url().rsplit_once('@').unwrap();
    let server = server.split_once('/').unwrap().0.to_owned();
    for (cut, is_done) in [(Cut::Before, 0), (Cut::After, 1)] {
        let port = proxy(server.clone(), NAME, cut).await;
        let pool = by_way_of(&db, port).await;
        let sessions = Sessions::<UserSession>::new(pool, db.config().build().unwrap()).unwrap();
        // So that the statement is prepared, and its values are all that is sent.
        let created = sessions.create(user("1234")).await.unwrap();
        let error = sessions.create(user(NAME)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Unavailable, Outcome::Unknown),
            "{cut:?}: {error:?}"
        );
        let done = direct.query().filter(UserSession::USER_ID.eq(NAME)).count();
        assert_eq!(done.await.unwrap(), is_done, "{cut:?}");
        // A read that is cut, and cut again when it is asked once more, changed nothing.
        let read = sessions.query().filter(UserSession::USER_ID.eq(NAME)).fetch_all().await.unwrap_err();
        assert_eq!((read.kind(), read.outcome()), (ErrorKind::Unavailable, Outcome::NotDone), "{read:?}");
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
        sessions.database().close().await;
    }
}

mod cut {
    use super::*;

    mod postgres {
        cloakroom_testing::each_case!(
            Postgres,
            Coalesced,
            super,
            whether_a_write_was_done_whose_connection_was_cut_is_not_known
        );
    }

    mod mariadb {
        cloakroom_testing::each_case!(
            MariaDb,
            Coalesced,
            super,
            whether_a_write_was_done_whose_connection_was_cut_is_not_known
        );
    }
}

#[test]
fn an_end_of_many_that_fails_after_its_first_statement_is_done_in_part() {
    run(Kind::Sqlite, async |db| {
        let sessions = db.sessions::<UserSession>().await;
        sessions.create(user("valid")).await.unwrap();
        db.execute_anew(
            "CREATE TRIGGER refuse BEFORE UPDATE ON sessions WHEN OLD.user_id = 'valid' \
             BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        )
        .await;
        let error = sessions.query().expire_all().await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotDone, "{error:?}");
        // Valid by a clock that is behind, and ended by a statement of its own before the others.
        let hour = Duration::from_hours(1);
        sessions.create(user("lapsed").expires_at(db.now() + hour)).await.unwrap();
        db.clock().advance(2 * hour);
        let error = sessions.query().expire_all().await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
        // Nothing is left to be done but what is refused.
        let error = sessions.query().expire_all().await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotDone, "{error:?}");
    });
}

#[test]
fn a_prune_that_fails_after_its_first_batch_is_done_in_part() {
    run(Kind::Sqlite, async |db| {
        let sessions = db.sessions::<UserSession>().await;
        for n in 0..60 {
            sessions
                .create(user(&n.to_string()).expires_at(db.now() + Duration::from_secs(n)))
                .await
                .unwrap();
        }
        db.clock().advance(Duration::from_secs(100));
        let guard = |user_id| {
            format!(
                "DROP TRIGGER IF EXISTS refuse; CREATE TRIGGER refuse BEFORE DELETE ON sessions \
                 WHEN OLD.user_id = '{user_id}' BEGIN SELECT RAISE(ABORT, 'not this one'); END"
            )
        };
        for (user_id, outcome, left) in [(0, Outcome::NotDone, 60), (59, Outcome::Unknown, 10)] {
            db.execute_anew(&guard(user_id)).await;
            let error = sessions.delete_expired().await.unwrap_err();
            assert_eq!(error.outcome(), outcome, "{error:?}");
            assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), left);
        }
    });
}

mod shut_down {
    use super::*;

    mod postgres {
        use super::*;

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
        fn a_server_that_shuts_down_takes_no_new_connection_and_does_nothing() {
            let mut server = cloakroom_testing::servers::postgres().unwrap();
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let pool =
                    PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_millis(300));
                let sessions = Sessions::<UserSession>::new(
                    pool.connect(server.url()).await.unwrap(),
                    Config::default(),
                )
                .unwrap();
                sessions.migrate().await.unwrap();
                server.stop();
                let error = sessions.create(user("1234")).await.unwrap_err();
                assert_eq!(
                    (error.kind(), error.outcome()),
                    (ErrorKind::Unavailable, Outcome::NotDone),
                    "{error:?}"
                );
                server.start().unwrap();
                assert_eq!(sessions.query().count().await.unwrap(), 0);
                sessions.database().close().await;
            });
        }
    }
}
