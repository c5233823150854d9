//! `axum_session` with its sqlx pool: the queries of its layer for a session that it does not hold in memory, and how
//! it reads the answer. With a `memory_lifespan` of zero it never holds one.

use std::collections::HashMap;
use std::sync::Arc;

use axum_session::DatabasePool;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Authenticate, Create, Extend, Performs, found, pick};
use crate::dataset::{Payload, key};
use crate::failure::Outcome;

pub const TABLE: &str = "axum_sessions";

/// The stored form of its own `SessionData`, which is private.
#[derive(Debug, Deserialize, Serialize)]
pub struct Stored {
    data: HashMap<String, String>,
    longterm: bool,
}

impl Stored {
    /// Each value is JSON text, as its `Session::set` makes it.
    pub fn of(payload: &Payload) -> Self {
        let data = payload.flat().into_iter().map(|(name, value)| (name, value.to_string()));
        Self { data: data.collect(), longterm: false }
    }
}

pub fn id(row: u64) -> String {
    Uuid::from_u128(key(row)).to_string()
}

#[derive(Clone)]
pub struct AxumSession<P> {
    pool: P,
    ids: Arc<[String]>,
}

impl<P> AxumSession<P> {
    pub fn new(pool: P, rows: u64) -> Self {
        Self { pool, ids: (0..rows).map(id).collect() }
    }
}

impl<P: DatabasePool> AxumSession<P> {
    async fn load(&self, id: &str) -> Outcome<Option<Stored>> {
        let text = self.pool.load(id, TABLE).await?;
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    async fn store(&self, id: &str, session: &Stored) -> Outcome {
        let expires = OffsetDateTime::now_utc() + Duration::days(7);
        let text = serde_json::to_string(session)?;
        Ok(self.pool.store(id, &text, expires.unix_timestamp(), TABLE).await?)
    }
}

impl<P: DatabasePool + Clone + Send + Sync + 'static> Performs<Authenticate> for AxumSession<P> {
    async fn perform(&self, random: u64) -> Outcome {
        found(self.load(pick::<String>(&self.ids, random)).await?)
    }
}

/// It checks if the new id is taken, and then stores.
impl<P: DatabasePool + Clone + Send + Sync + 'static> Performs<Create> for AxumSession<P> {
    async fn perform(&self, random: u64) -> Outcome {
        let id = Uuid::new_v4().to_string();
        let session = Stored::of(&Payload::of(random));
        if self.pool.exists(&id, TABLE).await? {
            return Err("a new id is taken".into());
        }
        self.store(&id, &session).await?;
        found(Some(session))
    }
}

/// The whole session is stored again.
impl<P: DatabasePool + Clone + Send + Sync + 'static> Performs<Extend> for AxumSession<P> {
    async fn perform(&self, random: u64) -> Outcome {
        let id: &String = pick(&self.ids, random);
        let session = self.load(id).await?.ok_or("the session was not found")?;
        self.store(id, &session).await?;
        found(Some(session))
    }
}
