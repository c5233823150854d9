//! tower-sessions with its sqlx store: `load` and `create`, which its session does at the first use in a request.

use std::collections::HashMap;
use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};

use super::{Authenticate, Create, Extend, Performs, found, pick};
use crate::dataset::{Payload, key};
use crate::failure::Outcome;

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

impl<S: SessionStore + Clone> Performs<Authenticate> for TowerSessions<S> {
    async fn perform(&self, random: u64) -> Outcome {
        found(self.store.load(pick(&self.ids, random)).await?)
    }
}

impl<S: SessionStore + Clone> Performs<Create> for TowerSessions<S> {
    async fn perform(&self, random: u64) -> Outcome {
        let mut record = Record { id: Id::default(), ..record(random) };
        self.store.create(&mut record).await?;
        found(Some(record))
    }
}

/// As its session does that expires after inactivity: the whole record is written again.
impl<S: SessionStore + Clone> Performs<Extend> for TowerSessions<S> {
    async fn perform(&self, random: u64) -> Outcome {
        let record = self.store.load(pick(&self.ids, random)).await?;
        let mut record = record.ok_or("the session was not found")?;
        record.expiry_date = OffsetDateTime::now_utc() + Duration::days(7);
        self.store.save(&record).await?;
        found(Some(record))
    }
}
