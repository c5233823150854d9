//! The hot paths, and beside some of them what an application would write by hand.

use std::future::Future;
use std::pin::Pin;

use cloakroom::{Cache, Config};
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use tokio::task::JoinSet;

use super::ROWS;
use crate::cases::cached::MAX_STALENESS;
use crate::contestants::by_hand::{ByHandPostgres, ByHandSqlite};
use crate::contestants::cloakroom::Cloakroom;
use crate::contestants::in_memory::Shared;
use crate::contestants::rusqlite::Rusqlite;
use crate::contestants::{Authenticate, Create, List, Performs, found};
use crate::database::sqlite_file::{File, Synchronous};
use crate::dataset::{Payload, Tokens, token};
use crate::failure::Outcome;

/// A call that is counted.
pub struct Path {
    /// Also the name of its figures in `bench/counts.json`.
    pub name: &'static str,
    pub database: Database,
    /// Makes so many calls to this database.
    pub call: fn(String, u64) -> Calling,
    /// How many calls the two runs make whose difference counts.
    pub calls: [u64; 2],
}

/// Which database a path asks.
#[derive(Clone, Copy)]
pub enum Database {
    None,
    Sqlite,
    Postgres,
}

type Calling = Pin<Box<dyn Future<Output = Outcome>>>;

const fn path(name: &'static str, database: Database, call: fn(String, u64) -> Calling) -> Path {
    Path { name, database, call, calls: [200, 1_200] }
}

impl Path {
    /// A short call needs many, to stand out against the start of the process, which differs a little from run to run.
    const fn short(self) -> Self {
        Self { calls: [1_000, 51_000], ..self }
    }

    /// So many that each of [`CALLERS`] makes some.
    const fn many(self) -> Self {
        Self { calls: [10 * CALLERS, 110 * CALLERS], ..self }
    }
}

/// How many callers share statements, where there are several.
const CALLERS: u64 = 128;

pub const HASH: &str = "SHA-256 of a token";
pub const CACHED: &str = "authenticate, cached";
/// The difference of the two.
pub const BEYOND_THE_HASH: &str = "authenticate, cached, beyond SHA-256";
/// How the names of paths end that are there to compare with, and are not Cloakroom's.
pub const BY_HAND: &str = ", by hand";

#[rustfmt::skip]
pub const PATHS: &[Path] = &[
    path(HASH, Database::None, |_, calls| Box::pin(hash(calls))).short(),
    path("SHA-256 and a map, shared", Database::None, |_, calls| Box::pin(map(calls))).short(),
    path(CACHED, Database::Sqlite, |file, calls| Box::pin(cached(file, calls))).short(),
    path("data, read from its text", Database::None, |_, calls| Box::pin(data(calls))).short(),
    path("authenticate, SQLite", Database::Sqlite, |file, calls| Box::pin(sqlite::<Authenticate>(file, calls))),
    path("authenticate, SQLite, by hand", Database::Sqlite, |file, calls| Box::pin(sqlite_by_hand::<Authenticate>(file, calls))),
    path("authenticate, SQLite, rusqlite", Database::Sqlite, |file, calls| Box::pin(rusqlite(file, calls))),
    path("list ten, SQLite", Database::Sqlite, |file, calls| Box::pin(sqlite::<List>(file, calls))),
    path("list ten, SQLite, by hand", Database::Sqlite, |file, calls| Box::pin(sqlite_by_hand::<List>(file, calls))),
    path("create, SQLite", Database::Sqlite, |file, calls| Box::pin(sqlite::<Create>(file, calls))),
    path("create, SQLite, by hand", Database::Sqlite, |file, calls| Box::pin(sqlite_by_hand::<Create>(file, calls))),
    path("authenticate, PostgreSQL", Database::Postgres, |url, calls| Box::pin(postgres::<Authenticate>(url, calls))),
    path("authenticate, PostgreSQL, by hand", Database::Postgres, |url, calls| Box::pin(postgres_by_hand::<Authenticate>(url, calls))),
    path("authenticate, PostgreSQL, 128 callers", Database::Postgres, |url, calls| Box::pin(postgres_by_many(url, calls))).many(),
    path("list ten, PostgreSQL", Database::Postgres, |url, calls| Box::pin(postgres::<List>(url, calls))),
    path("list ten, PostgreSQL, by hand", Database::Postgres, |url, calls| Box::pin(postgres_by_hand::<List>(url, calls))),
];

/// Returns the names under which costs are recorded, in their order.
pub fn names() -> impl Iterator<Item = &'static str> {
    let difference = |name| (name == CACHED).then_some(BEYOND_THE_HASH);
    PATHS.iter().flat_map(move |path| std::iter::once(path.name).chain(difference(path.name)))
}

#[expect(clippy::unused_async, reason = "the other paths wait for a database")]
async fn hash(calls: u64) -> Outcome {
    let tokens = Tokens::of(ROWS);
    (0..calls).try_for_each(|call| found(Some(Sha256::digest(tokens.pick(call)))))
}

async fn map(calls: u64) -> Outcome {
    repeat::<Authenticate>(&Shared::new(ROWS, &Tokens::of(ROWS)), calls).await
}

/// A few rows, all of which are in the cache beforehand: to look many up would cost more than the hits, and not the same each
/// time.
async fn cached(file: String, calls: u64) -> Outcome {
    const KEPT: u64 = 64;
    let cache = Cache::new(2 * KEPT as usize).max_staleness(MAX_STALENESS);
    let config = Config::builder().cache(cache).build()?;
    let cloakroom = Cloakroom::new(open_sqlite(file).await?, config, &Tokens::of(KEPT))?;
    for row in 0..KEPT {
        found(cloakroom.sessions.authenticate(token(row)).await?)?;
    }
    repeat::<Authenticate>(&cloakroom, calls).await
}

#[expect(clippy::unused_async, reason = "the other paths wait for a database")]
async fn data(calls: u64) -> Outcome {
    let texts: Vec<String> = (0..ROWS).map(|row| Payload::of(row).data.to_string()).collect();
    (0..calls).try_for_each(|call| {
        let text = &texts[call as usize % texts.len()];
        found(Some(serde_json::from_str::<serde_json::Value>(text)?))
    })
}

async fn sqlite<O>(file: String, calls: u64) -> Outcome
where
    Cloakroom: Performs<O>,
{
    let cloakroom = Cloakroom::new(open_sqlite(file).await?, Config::default(), &Tokens::of(ROWS))?;
    repeat(&cloakroom, calls).await
}

async fn rusqlite(file: String, calls: u64) -> Outcome {
    let file = File::new(file.into(), Synchronous::Normal)?;
    repeat::<Authenticate>(&Rusqlite::new(&file.path, &Tokens::of(ROWS)), calls).await
}

async fn sqlite_by_hand<O>(file: String, calls: u64) -> Outcome
where
    ByHandSqlite: Performs<O>,
{
    repeat(&ByHandSqlite::new(&open_sqlite(file).await?, &Tokens::of(ROWS)), calls).await
}

async fn postgres<O>(url: String, calls: u64) -> Outcome
where
    Cloakroom: Performs<O>,
{
    let cloakroom = Cloakroom::new(open_postgres(&url, 1).await?, Config::default(), &Tokens::of(ROWS))?;
    repeat(&cloakroom, calls).await
}

async fn postgres_by_many(url: String, calls: u64) -> Outcome {
    let cloakroom = Cloakroom::new(open_postgres(&url, 8).await?, Config::default(), &Tokens::of(ROWS))?;
    let callers: JoinSet<_> = (0..CALLERS)
        .map(|_| {
            let cloakroom = cloakroom.clone();
            async move { repeat::<Authenticate>(&cloakroom, calls / CALLERS).await }
        })
        .collect();
    callers.join_all().await.into_iter().collect()
}

async fn postgres_by_hand<O>(url: String, calls: u64) -> Outcome
where
    ByHandPostgres: Performs<O>,
{
    repeat(&ByHandPostgres::new(&open_postgres(&url, 1).await?, &Tokens::of(ROWS)), calls).await
}

/// Calls with one row after another.
async fn repeat<O>(contestant: &impl Performs<O>, calls: u64) -> Outcome {
    for call in 0..calls {
        contestant.perform(call).await?;
    }
    Ok(())
}

/// With one connection, whose thread takes turns with the caller's.
async fn open_sqlite(file: String) -> Outcome<SqlitePool> {
    let file = File::new(file.into(), Synchronous::Normal)?;
    let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
    Ok(pool.connect_with(file.options()).await?)
}

async fn open_postgres(url: &str, connections: u32) -> Outcome<PgPool> {
    let pool = PgPoolOptions::new().max_connections(connections).test_before_acquire(false);
    Ok(pool.connect(url).await?)
}
