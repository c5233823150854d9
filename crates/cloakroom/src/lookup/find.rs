use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::combiner::{Outcome, Work};
use crate::database::{Backend, Connection, Pooled};
use crate::error::{Error, Result};
use crate::field::FieldValue;
use crate::found::{Found, width_on_sqlite};
use crate::statements::most_side_by_side;
use crate::store::Store;
use crate::token::TokenDigest;

/// Finds valid sessions by their digests.
pub(super) struct Find(pub(super) Arc<Store>);

type Answers = Vec<Result<Option<Found>>>;

impl Work for Find {
    type Question = TokenDigest;
    type Answer = Option<Found>;
    type Connection = Pooled;

    fn max_in_flight(&self) -> usize {
        super::max_in_flight(&self.0)
    }

    fn fit(&self, waiting: usize) -> usize {
        let most = match self.0.backend() {
            Backend::Sqlite => most_side_by_side(&self.0.table),
            _ => usize::MAX,
        };
        waiting.min(self.0.config.max_batch()).min(most)
    }

    fn patience(&self) -> Duration {
        self.0.writers.patience()
    }

    fn out_of_patience(&self) -> Error {
        super::no_connection()
    }

    async fn answer(&self, digest: &TokenDigest) -> Option<Result<Option<Found>>> {
        Some(self.find(self.0.pool(), digest, false).await)
    }

    async fn answer_alone(&self, digest: TokenDigest, _until: Instant) -> Result<Option<Found>> {
        self.find(self.0.pool(), &digest, false).await
    }

    async fn connect(&self) -> Result<Pooled> {
        self.0.acquire().await
    }

    fn discard(connection: Pooled) {
        connection.discard();
    }

    async fn answer_all(&self, connection: &mut Pooled, digests: &[TokenDigest]) -> Outcome<Option<Found>> {
        let found = match (digests, self.0.backend()) {
            ([digest], _) => {
                let is_known = connection.is_known_alone();
                Ok(vec![self.find(connection.connection(), digest, is_known).await])
            }
            (_, Backend::Sqlite) => self.find_side_by_side(connection, digests).await,
            _ => self.find_all(connection, digests).await,
        };
        Outcome::Each(found.unwrap_or_else(|error| vec![Err(error); digests.len()]))
    }
}

impl Find {
    async fn find(&self, on: Connection<'_>, digest: &TokenDigest, is_known: bool) -> Result<Option<Found>> {
        let now = FieldValue::plain(self.0.config.now());
        let statement = self.0.find(1, vec![FieldValue::plain(digest.expose()), now], is_known);
        let row = self.0.fetch_optional(on, &statement).await?;
        Ok(row.map(Found::alone))
    }

    async fn find_side_by_side(&self, on: &mut Pooled, digests: &[TokenDigest]) -> Result<Answers> {
        let table = &self.0.table;
        let width = width_on_sqlite(table);
        let now = FieldValue::plain(self.0.config.now());
        let size = digests.len().next_power_of_two();
        let nobody = FieldValue::plain(None::<String>);
        let texts = digests.iter().map(|digest| FieldValue::plain(digest.expose()));
        let texts = texts.chain(std::iter::repeat(nobody)).take(size.min(most_side_by_side(table)));
        let values = std::iter::once(now).chain(texts).collect();
        let statement = self.0.find(size, values, on.is_known_alone());
        let row = self.0.fetch_optional(on.connection(), &statement).await?.map(Arc::new);
        let found = |place: usize| row.as_ref().map(|row| Found::among_others(row, place * width));
        Ok((0..digests.len()).map(|place| Ok(found(place))).collect())
    }

    async fn find_all(&self, on: &mut Pooled, digests: &[TokenDigest]) -> Result<Answers> {
        let now = FieldValue::plain(self.0.config.now());
        let size = digests.len().next_power_of_two();
        let texts = digests.iter().map(|digest| digest.expose().to_owned());
        let mut values = if self.0.backend() == Backend::MySql {
            // Whoever is asked for twice is found once.
            let padding = digests.last().map(|digest| digest.expose().to_owned());
            let padded = texts.chain(padding.into_iter().cycle());
            padded.take(size).map(FieldValue::plain).collect()
        } else {
            vec![FieldValue::texts(texts.collect())]
        };
        values.push(now);
        let statement = self.0.find(size, values, on.is_known_alone());
        let mut found = HashMap::with_capacity(digests.len());
        let mut unreadable = None;
        for row in self.0.fetch_all(on, &statement).await? {
            let one = Found::alone(row);
            match one.digest() {
                Ok(Some(digest)) => drop(found.insert(digest, one)),
                // None was to be found.
                Ok(None) => {}
                Err(error) => unreadable = Some(self.0.failed(error)),
            }
        }
        // Whose row could not be read is not known: it may be that of anyone who has none.
        let answer = |digest: &TokenDigest| match (found.get(digest.expose()), &unreadable) {
            (None, Some(error)) => Err(error.clone()),
            (found, _) => Ok(found.cloned()),
        };
        Ok(digests.iter().map(answer).collect())
    }
}
