//! axum_session with its sqlx pool: what its layer asks of the database for a session that it does not hold in
//! memory, which it always does where `memory_lifespan` is zero, and how it reads the answer.

use std::collections::HashMap;
use std::sync::Arc;

use axum_session::DatabasePool;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Authenticate, found, pick};
use crate::Outcome;
use crate::payload::{Payload, key};

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

impl<P: DatabasePool + Clone + Send + Sync + 'static> Authenticate for AxumSession<P> {
    async fn authenticate(&self, random: u64) -> Outcome {
        let text = self.pool.load(pick(&self.ids, random).as_str(), TABLE).await?;
        found(text.map(|text| serde_json::from_str::<Stored>(&text)).transpose()?)
    }
}
