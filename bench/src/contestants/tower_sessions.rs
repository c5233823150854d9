//! tower-sessions with its sqlx store: `load` and `create`, which its session does at the first use in a request.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx_of_peers::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx_of_peers::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use time::{Duration, OffsetDateTime};
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};

use super::{Authenticate, CONNECTIONS, Create, Extend, Offers, found, pick};
use crate::Outcome;
use crate::payload::{Payload, key};

pub async fn postgres_pool(url: &str) -> Outcome<PgPool> {
    let options: PgConnectOptions = url.parse()?;
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
    Ok(pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None).connect_with(options).await?)
}

pub async fn sqlite_pool(options: SqliteConnectOptions, connections: u32) -> Outcome<SqlitePool> {
    let pool = SqlitePoolOptions::new().max_connections(connections).min_connections(connections);
    Ok(pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None).connect_with(options).await?)
}

pub fn id(row: u64) -> Id {
    Id(key(row).cast_signed())
}

pub fn record(row: u64) -> Record {
    let data: HashMap<_, _> = Payload::of(row).flat().into_iter().collect();
    Record { id: id(row), data, expiry_date: OffsetDateTime::now_utc() + Duration::days(7) }
}

#[derive(Clone)]
pub struct TowerSessions<S> {
    store: S,
    ids: Arc<[Id]>,
}

impl<S> TowerSessions<S> {
    pub fn new(store: S, rows: u64) -> Self {
        Self { store, ids: (0..rows).map(id).collect() }
    }
}

impl<S: SessionStore + Clone> Offers<Authenticate> for TowerSessions<S> {
    async fn perform(&self, random: u64) -> Outcome {
        found(self.store.load(pick(&self.ids, random)).await?)
    }
}

impl<S: SessionStore + Clone> Offers<Create> for TowerSessions<S> {
    async fn perform(&self, random: u64) -> Outcome {
        let mut record = Record { id: Id::default(), ..record(random) };
        self.store.create(&mut record).await?;
        found(Some(record))
    }
}

/// As its session does that expires after inactivity: the whole record is written again.
impl<S: SessionStore + Clone> Offers<Extend> for TowerSessions<S> {
    async fn perform(&self, random: u64) -> Outcome {
        let record = self.store.load(pick(&self.ids, random)).await?;
        let mut record = record.ok_or("the session was not found")?;
        record.expiry_date = OffsetDateTime::now_utc() + Duration::days(7);
        self.store.save(&record).await?;
        found(Some(record))
    }
}
