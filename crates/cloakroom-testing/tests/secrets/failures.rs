use std::time::{Duration, Instant};

use cloakroom::{Cache, Database, ErrorKind, NewSession, Sessions, Token};
use cloakroom_testing::servers::Server;
use cloakroom_testing::{Kind, TestDatabase, each_database};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;

use crate::capture;
use crate::guests::{Guest, SALT, configurations, guest, guests};
use crate::metered;
use crate::seen::Seen;

/// Writes that the database refuses, with an error that quotes what was to be written.
async fn refused(sessions: &Sessions<Guest>, seen: &mut Seen) {
    let config = sessions.config();
    let mut token = |text: String| {
        let token = Token::import(text).unwrap();
        seen.secret("a token", token.expose().as_bytes());
        if let Ok(digest) = config.digest(&token) {
            seen.secret("a digest", digest.expose().as_bytes());
        }
        token
    };
    // The second ends the quotation in which a server puts it.
    let doubles =
        ["a-token-that-is-taken-already-1".to_owned(), "a' for key 'b-taken-token-number-2".to_owned()];
    let doubles = doubles.map(&mut token);
    let others = ["to-be-refused-by-a-check", "to-be-refused-by-a-key", "to-be-refused-for-null"];
    let others = others.map(|text| token(format!("a-token-{text}")));
    let beyond = [token("é-token-beyond-ascii-and-all".into()), token("too-long-a-token-".repeat(20))];

    for token in doubles {
        sessions.create(guest("1234").import_token(token.clone())).await.unwrap();
        let new = guest("1234").import_token(token);
        seen.show("NewSession", &new);
        assert_eq!(seen.failed(sessions.create(new).await), ErrorKind::DuplicateToken);
    }
    let [by_check, by_key, by_null] = others;
    let refused = sessions.create(guest("refused").import_token(by_check)).await;
    assert_eq!(seen.failed(refused), ErrorKind::Constraint);
    let refused = sessions.create(guest("nobody").import_token(by_key)).await;
    assert_eq!(seen.failed(refused), ErrorKind::Constraint);
    let without_note = NewSession::new(Guest { user_id: "1234".into(), note: None });
    let refused = sessions.create(without_note.import_token(by_null)).await;
    assert_eq!(seen.failed(refused), ErrorKind::InvalidField);
    for token in beyond {
        // Only a table of plaintext has reason to refuse these.
        if let Err(error) = sessions.create(guest("1234").import_token(token)).await {
            seen.error(&error);
        }
    }
    let mut session = sessions.create(guest("1234")).await.unwrap().session;
    for user_id in ["refused", "nobody", ""] {
        session.fields.user_id = user_id.into();
        seen.failed(sessions.update(&mut session).await);
    }
}

async fn what_the_database_refuses_shows_no_secret(db: TestDatabase) {
    capture::start("");
    metered::start();
    let mut seen = Seen::default();
    for config in configurations(&db) {
        let sessions = guests(&db, config).await;
        seen.secret("the salt", SALT);
        seen.key();
        refused(&sessions, &mut seen).await;
        broken(&db, &sessions, &mut seen).await;
    }
    seen.assert_no_leaks();
}

/// The table is not what it should be, more and more so.
async fn broken(db: &TestDatabase, sessions: &Sessions<Guest>, seen: &mut Seen) {
    let created = sessions.create(guest("1234")).await.unwrap();
    seen.token(&created.token, sessions.config());
    db.execute(match db.kind() {
        Kind::Sqlite => "UPDATE guests SET note = CAST(x'fffe' AS TEXT), data = '{'",
        Kind::Postgres => "ALTER TABLE guests ALTER COLUMN note TYPE bytea USING 'x'",
        Kind::MariaDb => "ALTER TABLE guests DROP COLUMN note, ADD COLUMN note bigint NOT NULL DEFAULT 5",
    })
    .await;
    assert_eq!(seen.failed(sessions.authenticate(&created.token).await), ErrorKind::Decode);
    seen.failed(sessions.query().token(&created.token).fetch_all().await);
    db.execute("ALTER TABLE guests DROP COLUMN note").await;
    assert_eq!(seen.failed(sessions.authenticate(&created.token).await), ErrorKind::MissingColumn);
    seen.failed(sessions.create(guest("1234").import_token(created.token.clone())).await);
    seen.failed(sessions.migrate().await);
    db.execute("DROP TABLE guests").await;
    assert_eq!(seen.failed(sessions.authenticate(&created.token).await), ErrorKind::MissingTable);
    seen.failed(sessions.query().token(&created.token).count().await);
    seen.failed(sessions.rotate(&mut created.session.clone()).await);
    seen.failed(sessions.create(guest("1234").import_token(created.token)).await);
}

async fn until_it_listens(pool: &sqlx::PgPool) {
    let listens =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_backend_pid(), pg_notify(%'";
    let begun = Instant::now();
    while sqlx::query_scalar::<_, i64>(listens).fetch_one(pool).await.unwrap() < 1 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the cache does not listen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until_the_listener_has_spoken() {
    let begun = Instant::now();
    while !capture::text().contains("the cache answers nothing until") {
        assert!(begun.elapsed() < Duration::from_secs(30), "the listener says nothing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The server is killed under its clients.
async fn killed(mut server: Server, database: Database, seen: &mut Seen) {
    capture::start("");
    metered::start();
    let password = server.url().split(['@', ':']).nth(2).unwrap().to_owned();
    seen.secret("the password", password.as_bytes());
    seen.secret("the salt", SALT);
    for hashing in [cloakroom::Hashing::Sha256, cloakroom::Hashing::DangerousPlaintext] {
        // Whose listener has something to say when the server is gone.
        let config = cloakroom::Config::builder().hashing(hashing).cache(Cache::new(8)).build().unwrap();
        let sessions = Sessions::<Guest>::new(database.clone(), config).unwrap();
        sessions.migrate().await.unwrap();
        let created = sessions.create(guest("1234")).await.unwrap();
        seen.token(&created.token, sessions.config());
        sessions.authenticate(&created.token).await.unwrap().unwrap();
        if let Database::Postgres(pool) = &database {
            until_it_listens(pool).await;
        }
        server.kill();
        if matches!(database, Database::Postgres(_)) {
            until_the_listener_has_spoken().await;
        }
        seen.failed(sessions.authenticate_fresh(&created.token).await);
        seen.failed(sessions.create(guest("1234").import_token(created.token.clone())).await);
        seen.failed(sessions.rotate(&mut created.session.clone()).await);
        seen.failed(sessions.query().token(&created.token).fetch_all().await);
        server.start().unwrap();
    }
    let wrong = server.url().replace(&password, &format!("{password}-and-more"));
    seen.failed(Database::connect(&wrong).await);
    for broken in [":nonsense@", ":1:2@", "@%zz@"] {
        if let Err(error) = Database::connect(&server.url().replacen('@', broken, 1)).await {
            seen.error(&error);
        }
    }
    seen.show("Database", &database);
    database.close().await;
    seen.assert_no_leaks();
}

fn block_on(case: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(case);
}

each_database! { what_the_database_refuses_shows_no_secret }

mod server {
    use super::*;

    mod postgres {
        use super::*;

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
        fn a_server_that_is_killed_shows_no_secret() {
            let server = cloakroom_testing::servers::postgres().unwrap();
            block_on(async {
                let options = PgPoolOptions::new().acquire_timeout(Duration::from_millis(300));
                let pool = options.connect(server.url()).await.unwrap();
                killed(server, pool.into(), &mut Seen::default()).await;
            });
        }
    }

    mod mariadb {
        use super::*;

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "MariaDB: run `cargo xtask test`")]
        fn a_server_that_is_killed_shows_no_secret() {
            let server = cloakroom_testing::servers::mariadb().unwrap();
            block_on(async {
                let options = MySqlPoolOptions::new().acquire_timeout(Duration::from_millis(300));
                let pool = options.connect(server.url()).await.unwrap();
                killed(server, pool.into(), &mut Seen::default()).await;
            });
        }

        /// The words by which values are known in a message are those of its language.
        async fn case(db: TestDatabase) {
            capture::start("");
            metered::start();
            let mut seen = Seen::default();
            for config in configurations(&db) {
                let sessions = guests(&db, config).await;
                let options = MySqlPoolOptions::new().after_connect(|connection, _| {
                    Box::pin(async move {
                        let statement = "SET SESSION lc_messages = 'de_DE'";
                        sqlx::Executor::execute(connection, statement).await.map(drop)
                    })
                });
                let pool = options.connect(db.url()).await.unwrap();
                let in_german = Sessions::<Guest>::new(pool.clone(), sessions.config().clone()).unwrap();
                refused(&in_german, &mut seen).await;
                pool.close().await;
            }
            seen.assert_no_leaks();
        }

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "MariaDB: run `cargo xtask test`")]
        fn what_a_server_refuses_in_another_language_shows_no_secret() {
            cloakroom_testing::run(Kind::MariaDb, case);
        }
    }
}
