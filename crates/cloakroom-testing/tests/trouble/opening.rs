use std::path::Path;

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

/// Opens SQLite databases below a directory of the test's own. `DIRECTORY` in a URL stands for it.
fn in_a_directory(test: impl AsyncFnOnce(&dyn Fn(&str) -> String, &Path)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let url = |url: &str| url.replace("DIRECTORY", directory.path().to_str().unwrap());
    runtime.block_on(test(&url, directory.path()));
}

/// Writes through a pool, and reads over each of its connections what was written.
async fn has_one_database(database: &Database) -> bool {
    let Database::Sqlite(pool) = database else { panic!("not SQLite") };
    sqlx::raw_sql("CREATE TABLE kept (value int); INSERT INTO kept VALUES (7)").execute(pool).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        let mut connection = pool.acquire().await.unwrap();
        let kept = sqlx::query_scalar::<_, i64>("SELECT value FROM kept").fetch_one(&mut *connection).await;
        if kept.ok() != Some(7) {
            return false;
        }
        held.push(connection);
    }
    true
}

#[test]
fn a_missing_file_is_made_without_a_mode_and_with_the_mode_that_says_so() {
    in_a_directory(async |url, directory| {
        for (form, file) in [
            ("sqlite:DIRECTORY/plain.db", "plain.db"),
            ("sqlite://DIRECTORY/slashes.db", "slashes.db"),
            ("sqlite:DIRECTORY/rwc.db?mode=rwc", "rwc.db"),
            ("sqlite://DIRECTORY/slashes-rwc.db?mode=rwc", "slashes-rwc.db"),
            ("sqlite:DIRECTORY/other.db?cache=private", "other.db"),
            ("sqlite:DIRECTORY/a.mode=x.db", "a.mode=x.db"),
            ("sqlite:DIRECTORY/a:memory:.mode=memory.db", "a:memory:.mode=memory.db"),
        ] {
            let database =
                Database::connect(&url(form)).await.unwrap_or_else(|error| panic!("{form}: {error}"));
            assert!(has_one_database(&database).await, "{form}");
            let Database::Sqlite(pool) = &database else { panic!("not SQLite") };
            assert!(pool.options().get_max_connections() > 1, "{form}");
            database.close().await;
            assert!(directory.join(file).exists(), "{form}");
        }
    });
}

#[test]
fn a_missing_file_that_must_exist_is_an_error_that_names_it() {
    in_a_directory(async |url, directory| {
        for mode in ["rw", "ro", "rw&cache=private"] {
            let (kind, shown) = refusal(&url(&format!("sqlite:DIRECTORY/a.db?mode={mode}"))).await;
            assert_eq!(kind, ErrorKind::Unavailable, "{shown}");
            assert!(shown.contains("\"a.db\" does not exist") && shown.contains("unable to open"), "{shown}");
            assert!(!shown.contains(directory.to_str().unwrap()), "{shown}");
            assert!(!directory.join("a.db").exists(), "{mode}");
        }
        // Once it exists, it is opened.
        Database::connect(&url("sqlite:DIRECTORY/a.db")).await.unwrap().close().await;
        for mode in ["rw", "ro"] {
            let database =
                Database::connect(&url(&format!("sqlite:DIRECTORY/a.db?mode={mode}"))).await.unwrap();
            database.close().await;
        }
    });
}

#[test]
fn a_database_without_a_file_is_one_database_for_its_whole_pool() {
    in_a_directory(async |url, directory| {
        for form in ["sqlite::memory:", "sqlite:DIRECTORY/a.db?mode=memory", "sqlite:?mode=memory", "sqlite:"]
        {
            let database = Database::connect(&url(form)).await.unwrap();
            assert!(has_one_database(&database).await, "{form}");
            database.close().await;
        }
        assert_eq!(std::fs::read_dir(directory).unwrap().count(), 0);
    });
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
