//! tokio-postgres on one connection, with as many queries in flight as there are callers: the limit of one statement
//! for each lookup over a socket.

use std::sync::Arc;

use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::{Client, NoTls, Row, Statement};
use uuid::Uuid;

use super::by_hand::SELECT;
use super::{Authenticate, Performs, found};
use crate::dataset::{Tokens, digest};
use crate::failure::Outcome;

#[derive(Clone)]
pub struct Pipelined {
    client: Arc<Client>,
    statement: Statement,
    tokens: Tokens,
}

impl Pipelined {
    pub async fn new(url: &str, tokens: &Tokens) -> Outcome<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        // It ends when the client is dropped. The client's calls report its errors.
        tokio::spawn(connection);
        let statement = client.prepare(SELECT).await?;
        Ok(Self { client: Arc::new(client), statement, tokens: tokens.clone() })
    }
}

impl Performs<Authenticate> for Pipelined {
    async fn perform(&self, random: u64) -> Outcome {
        let digest = digest(&self.tokens.pick(random));
        let row = self.client.query_opt(&self.statement, &[&digest, &OffsetDateTime::now_utc()]).await?;
        found(row.as_ref().map(Found::read).transpose()?)
    }
}

#[expect(dead_code, reason = "an application would read them")]
struct Found {
    id: Uuid,
    data: Value,
    expires_at: Option<OffsetDateTime>,
    inserted_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    user_id: String,
    role: String,
}

impl Found {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            data: row.try_get(1)?,
            expires_at: row.try_get(2)?,
            inserted_at: row.try_get(3)?,
            updated_at: row.try_get(4)?,
            user_id: row.try_get(5)?,
            role: row.try_get(6)?,
        })
    }
}
