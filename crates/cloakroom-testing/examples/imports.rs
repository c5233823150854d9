//! Measures how long an import of many sessions takes: with digests, with tokens, and once more, when all are there:
//! `cargo run --release -p cloakroom-testing --all-features --example imports -- 100000 1000,5000`.
//!
//! On the databases that `CLOAKROOM_TEST_DATABASES` names, `sqlite` if it does not say. The second argument are sizes of
//! the transactions to compare. SQLite's file is synced as the command does it.

use std::time::{Duration, Instant};

use cloakroom::{Config, Database, Hashing, ImportedSession, Reading, Scheme, Sessions, Token};
use cloakroom_testing::{Kind, TestDatabase, UserSession, user};
use time::OffsetDateTime;

fn knox() -> Scheme {
    Scheme::adopted("knox5", Reading::of(Hashing::Sha512))
}

fn token(number: usize) -> Token {
    Token::import(format!("a-token-of-another-system-{number:09}")).expect("it is long enough")
}

fn row(number: usize, by_digest: bool, now: OffsetDateTime) -> ImportedSession<UserSession> {
    let new = user(&(number / 2).to_string()).expires_in(Duration::from_hours(24 * 30));
    let row = if by_digest {
        ImportedSession::with_digest(new, knox().digest(token(number)).expect("it is a token"))
    } else {
        ImportedSession::with_token(new, token(number))
    };
    row.inserted_at(now - Duration::from_millis(number as u64))
}

async fn measure(db: &TestDatabase, rows: usize, batch: usize) {
    // The test's own pool of SQLite syncs nothing.
    let database = match db.kind() {
        Kind::Sqlite => Database::connect(db.url()).await.expect("the file can be opened"),
        Kind::Postgres | Kind::MariaDb => db.database(),
    };
    let config = Config::builder().digests([Scheme::sha256(), knox()]).build().expect("it is sound");
    let sessions: Sessions<UserSession> = Sessions::new(database, config).expect("the table is sound");
    sessions.migrate().await.expect("the table can be made");
    let now = sessions.config().now();
    for (what, by_digest) in [("digests", true), ("digests, again", true), ("tokens", false)] {
        if what == "tokens" {
            sessions.query().delete_all().await.expect("they can be deleted");
        }
        let all: Vec<_> = (0..rows).map(|number| row(number, by_digest, now)).collect();
        let (mut longest, mut last) = (Duration::ZERO, Instant::now());
        let on_progress = |_| {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        };
        let begun = Instant::now();
        let done = sessions.importer().batch(batch).on_progress(on_progress).run_iter(all).await;
        let took = begun.elapsed();
        let done = done.expect("they can be imported");
        #[expect(clippy::cast_precision_loss, reason = "to a row a second")]
        let rate = rows as f64 / took.as_secs_f64();
        println!(
            "{:?}, {batch} a transaction, {what}: {took:.2?}, {rate:.0} rows a second; the longest {longest:.0?}; {} imported",
            db.kind(),
            done.imported
        );
    }
    sessions.database().close().await;
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let rows = arguments.next().map_or(100_000, |rows| rows.parse().expect("a number of rows"));
    let batches = arguments.next().unwrap_or_else(|| "5000".into());
    let kinds = std::env::var("CLOAKROOM_TEST_DATABASES").unwrap_or_else(|_| "sqlite".into());
    for kind in kinds.split(',') {
        for batch in batches.split(',') {
            let kind = match kind {
                "sqlite" => Kind::Sqlite,
                "postgres" => Kind::Postgres,
                _ => Kind::MariaDb,
            };
            let db = TestDatabase::new(kind).await;
            measure(&db, rows, batch.parse().expect("a number of sessions")).await;
        }
    }
}
