use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batcher::{BatchOutcome, BatchedQuery};
use crate::config::MAX_BATCH;
use crate::database::{Connection, FieldValue, Pooled};
use crate::error::{Error, Result};
use crate::observe::Batched;
use crate::sql::{LookedUpRow, Under, most_side_by_side, width_side_by_side};
use crate::store::Store;
use crate::token::{PossibleDigests, TokenDigest};

/// Finds valid sessions by their tokens' digests.
pub(super) struct Find(pub(super) Arc<Store>);

type Answers = Vec<Result<Option<LookedUpRow>>>;

impl BatchedQuery for Find {
    type Question = PossibleDigests;
    type Answer = Option<LookedUpRow>;
    type Connection = Pooled;

    fn max_in_flight(&self) -> usize {
        super::max_in_flight(&self.0)
    }

    fn batch_size(&self, waiting: usize) -> usize {
        let most = self.most_side_by_side().unwrap_or(usize::MAX);
        // No statement has more digests than that of a full batch of one scheme.
        let fitting = (MAX_BATCH / self.0.schemes(Under::All)).max(1);
        waiting.min(self.0.config.max_batch()).min(most).min(fitting)
    }

    fn sent(&self, questions: usize) {
        self.0.instruments.metrics.sent(Batched::Lookup, questions);
    }

    fn waited(&self, span: Duration) {
        self.0.instruments.metrics.waited(Batched::Lookup, span);
    }

    fn patience(&self) -> Duration {
        self.0.writers.patience()
    }

    fn out_of_patience(&self) -> Error {
        super::no_connection()
    }

    async fn answer(&self, digests: &PossibleDigests) -> Option<Result<Option<LookedUpRow>>> {
        Some(self.find_on_warm_connection(digests).await)
    }

    async fn answer_alone(&self, digests: PossibleDigests, _until: Instant) -> Result<Option<LookedUpRow>> {
        self.find(self.0.pool(), &digests, false).await
    }

    async fn connect(&self) -> Result<Pooled> {
        self.0.acquire_warm().await
    }

    fn held_for(&self, connection: &Pooled) -> Duration {
        connection.held_for()
    }

    fn release(&self, connection: Pooled) {
        self.0.warm.keep(connection);
    }

    fn discard(connection: Pooled) {
        connection.discard();
    }

    async fn answer_all(
        &self,
        connection: &mut Pooled,
        tokens: &[PossibleDigests],
    ) -> BatchOutcome<Option<LookedUpRow>> {
        let found = match (tokens, self.most_side_by_side()) {
            ([token], _) => Ok(vec![self.find_on(connection, token).await]),
            (_, Some(most)) => self.find_newest_first(connection, tokens, most).await,
            (_, None) => self.find_all(connection, tokens).await,
        };
        BatchOutcome::Each(found.unwrap_or_else(|error| vec![Err(error); tokens.len()]))
    }
}

impl Find {
    fn most_side_by_side(&self) -> Option<usize> {
        most_side_by_side(&self.0.table, self.0.backend())
    }

    async fn find_on_warm_connection(&self, token: &PossibleDigests) -> Result<Option<LookedUpRow>> {
        let mut connection = self.connect().await?;
        let found = self.find_on(&mut connection, token).await;
        if found.is_ok() {
            self.0.warm.keep(connection);
        }
        found
    }

    async fn find_on(&self, connection: &mut Pooled, token: &PossibleDigests) -> Result<Option<LookedUpRow>> {
        let is_known = connection.is_known_clear();
        self.find(connection.connection(), token, is_known).await
    }

    async fn find(
        &self,
        mut on: Connection<'_>,
        token: &PossibleDigests,
        is_known: bool,
    ) -> Result<Option<LookedUpRow>> {
        self.0.know_sliding(&mut on).await?;
        let statement = self.0.find_one(token, Under::All, is_known);
        let row = self.0.fetch_optional(on, &statement).await?;
        Ok(row.map(LookedUpRow::in_own_row))
    }

    /// Looks for the newest digests alone, and for all digests of those tokens that have none: a digest more costs
    /// SQLite almost as much as a session more, and a second statement costs little where there is no network between.
    /// The second one looks for the newest again, since a session may have been stored under it between the two.
    async fn find_newest_first(
        &self,
        on: &mut Pooled,
        tokens: &[PossibleDigests],
        most: usize,
    ) -> Result<Answers> {
        let mut answers = self.find_side_by_side(on, tokens, Under::Newest, most).await?;
        let is_missing = |place: &usize| {
            let is_absent = |found: &Option<LookedUpRow>| found.as_ref().is_none_or(LookedUpRow::is_absent);
            tokens[*place].has_others() && answers[*place].as_ref().is_ok_and(is_absent)
        };
        let missing: Vec<usize> = (0..tokens.len()).filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(answers);
        }
        let others: Vec<_> = missing.iter().map(|place| tokens[*place].clone()).collect();
        let found = match &others[..] {
            [token] => vec![self.find_on(on, token).await],
            _ => self.find_side_by_side(on, &others, Under::All, most).await?,
        };
        for (place, found) in missing.into_iter().zip(found) {
            answers[place] = found;
        }
        Ok(answers)
    }

    async fn find_side_by_side(
        &self,
        on: &mut Pooled,
        tokens: &[PossibleDigests],
        under: Under,
        most: usize,
    ) -> Result<Answers> {
        self.0.know_sliding(&mut on.connection()).await?;
        let table = &self.0.table;
        let width = width_side_by_side(table);
        let now = FieldValue::plain(self.0.config.now());
        let schemes = self.0.schemes(under);
        let size = tokens.len().next_power_of_two();
        let no_digest = FieldValue::plain(None::<String>);
        let texts = tokens.iter().flat_map(|token| token.texts(schemes)).map(FieldValue::plain);
        let texts = texts.chain(std::iter::repeat(no_digest)).take(size.min(most) * schemes);
        let values = std::iter::once(now).chain(texts).collect();
        let statement = self.0.find(size, under, values, on.is_known_clear());
        let row = self.0.fetch_optional(on.connection(), &statement).await?.map(Arc::new);
        let found = |place: usize| row.as_ref().map(|row| LookedUpRow::in_shared_row(row, place * width));
        Ok((0..tokens.len()).map(|place| Ok(found(place))).collect())
    }

    async fn find_all(&self, on: &mut Pooled, tokens: &[PossibleDigests]) -> Result<Answers> {
        self.0.know_sliding(&mut on.connection()).await?;
        let now = FieldValue::plain(self.0.config.now());
        let digests: Vec<&TokenDigest> = tokens.iter().flat_map(PossibleDigests::iter).collect();
        let size = digests.len().next_power_of_two();
        let texts = digests.iter().map(|digest| digest.expose().to_owned());
        // A digest that is in the list twice is found once.
        let padded = texts.chain(digests.last().map(|digest| digest.expose().to_owned()).into_iter().cycle());
        let dialect = self.0.backend().dialect();
        let mut values = if dialect.prefers_placeholders() {
            padded.take(size).map(FieldValue::plain).collect()
        } else {
            vec![FieldValue::texts(padded.take(digests.len().max(dialect.fewest_keys())).collect())]
        };
        values.push(now);
        let statement = self.0.find(size, Under::All, values, on.is_known_clear());
        let rows = self.0.fetch_all(on, &statement).await?;
        let rows: Vec<_> = rows.into_iter().map(LookedUpRow::in_own_row).collect();
        let mut found = HashMap::with_capacity(digests.len());
        let mut unreadable = None;
        for one in &rows {
            match one.digest() {
                Ok(Some(digest)) => drop(found.insert(digest, one)),
                // This row of nulls says that there was none to be found.
                Ok(None) => {}
                Err(error) => unreadable = Some(self.0.failed(error)),
            }
        }
        // It is not known which digest the unreadable row belongs to. It may be any of those that have no row.
        let found = |token: &PossibleDigests| token.iter().find_map(|digest| found.get(digest.expose()));
        let answer = |token: &PossibleDigests| match (found(token), &unreadable) {
            (None, Some(error)) => Err(error.clone()),
            (found, _) => Ok(found.copied().cloned()),
        };
        Ok(tokens.iter().map(answer).collect())
    }
}
