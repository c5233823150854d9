use cloakroom::{Database, ErrorKind};
use cloakroom_testing::{Kind, TestDatabase, each_database};

/// What `Database::connect` says of this URL, and that it says so without the password.
async fn refusal(url: &str) -> (ErrorKind, String) {
    let error = Database::connect(url).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    (error.kind(), shown)
}

/// A pool would go on trying for half a minute, and then tell of its time-out alone.
async fn a_server_that_refuses_is_an_error_that_says_why(db: TestDatabase) {
    let (url, reason) = match db.kind() {
        Kind::Sqlite => ("sqlite:/no/such/directory/at/all.db", "unable to open"),
        Kind::Postgres => ("postgres://postgres:hunter2@127.0.0.1:1/postgres", "refused"),
        Kind::MariaDb => ("mysql://root:hunter2@127.0.0.1:1/cloakroom", "refused"),
    };
    let (kind, shown) = refusal(url).await;
    assert_eq!(kind, ErrorKind::Unavailable, "{shown}");
    assert!(shown.contains(reason), "{shown}");
}

async fn a_database_that_does_not_exist_is_an_error_that_names_it(db: TestDatabase) {
    let url = match db.kind() {
        Kind::Sqlite => "sqlite:/no/such/directory/nowhere.db?mode=ro".to_owned(),
        Kind::Postgres | Kind::MariaDb => {
            let (server, _) = db.url().split_once('?').unwrap_or((db.url(), ""));
            let (server, _) = server.rsplit_once('/').unwrap();
            format!("{server}/nowhere")
        }
    };
    let (kind, shown) = refusal(&url).await;
    assert_eq!(kind, ErrorKind::Unavailable, "{shown}");
    assert!(db.kind() == Kind::Sqlite || shown.contains("nowhere"), "{shown}");
}

async fn a_url_that_is_none_is_an_error_and_no_attempt(db: TestDatabase) {
    let url = match db.kind() {
        Kind::Sqlite => "sqlite:a.db?mode=none",
        Kind::Postgres => "postgres://postgres:hunter2@127.0.0.1:port/postgres",
        Kind::MariaDb => "mysql://root:hunter2@127.0.0.1:port/cloakroom",
    };
    for url in [url, "oracle://root:hunter2@127.0.0.1/x", "hunter2", ""] {
        let (kind, shown) = refusal(url).await;
        assert_eq!(kind, ErrorKind::Unsupported, "{shown}");
    }
}

each_database! {
    a_server_that_refuses_is_an_error_that_says_why,
    a_database_that_does_not_exist_is_an_error_that_names_it,
    a_url_that_is_none_is_an_error_and_no_attempt,
}

/// As when an application's processes start at once for the first time.
#[test]
fn whoever_opens_a_new_file_at_once_with_others_waits_for_them() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    for number in 0..100 {
        let url = format!("sqlite:{}", directory.path().join(format!("{number}.db")).display());
        let all = (0..8).map(|_| {
            runtime.spawn({
                let url = url.clone();
                async move { Database::connect(&url).await }
            })
        });
        for opened in runtime.block_on(futures_util::future::join_all(all)) {
            opened.unwrap().unwrap();
        }
    }
}

/// With anything less, a power cut may undo a log-out that was acknowledged.
#[test]
fn each_commit_on_sqlite_waits_for_the_disk() {
    const FULL: i64 = 2;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("test.db").display());
    runtime.block_on(async {
        let Database::Sqlite(pool) = Database::connect(&url).await.unwrap() else {
            panic!("not SQLite");
        };
        let mut held = Vec::new();
        for _ in 0..pool.options().get_max_connections() {
            let mut connection = pool.acquire().await.unwrap();
            let pragma = |name: &str| sqlx::AssertSqlSafe(format!("PRAGMA {name}"));
            let synchronous: i64 =
                sqlx::query_scalar(pragma("synchronous")).fetch_one(&mut *connection).await.unwrap();
            let journal: String =
                sqlx::query_scalar(pragma("journal_mode")).fetch_one(&mut *connection).await.unwrap();
            assert_eq!((synchronous, &*journal), (FULL, "wal"));
            held.push(connection);
        }
        assert!(held.len() > 1);
        drop(held);
        pool.close().await;
    });
}
