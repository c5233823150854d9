use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::combiner::Work;
use crate::database::{Backend, Connection, Pooled, Row, Statement};
use crate::error::{Error, Result};
use crate::field::FieldValue;
use crate::store::Store;
use crate::token::TokenDigest;

/// Finds valid sessions by their digests.
pub(super) struct Find(pub(super) Arc<Store>);

/// A row, with its digest behind its columns. Shared where several callers asked for it.
pub(crate) type Found = Arc<Row>;

impl Work for Find {
    type Question = TokenDigest;
    type Answer = Option<Found>;
    type Connection = Pooled;

    fn max_in_flight(&self) -> usize {
        super::max_in_flight(&self.0)
    }

    fn fit(&self, waiting: usize) -> usize {
        waiting.min(self.0.config.max_batch())
    }

    async fn connect(&self) -> Result<Pooled> {
        self.0.acquire().await
    }

    fn discard(connection: Pooled) {
        connection.discard();
    }

    async fn answer(&self, digest: TokenDigest) -> Result<Option<Found>> {
        self.find(self.0.pool(), &digest).await
    }

    async fn answer_all(
        &self,
        connection: &mut Pooled,
        digests: Vec<TokenDigest>,
    ) -> Vec<Result<Option<Found>>> {
        if let [digest] = &*digests {
            return vec![self.find(connection.connection(), digest).await];
        }
        let rows = match self.0.fetch_all(connection, &self.many(&digests)).await {
            Ok(rows) => rows,
            Err(error) => return digests.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut found = HashMap::with_capacity(rows.len());
        let mut unreadable = None;
        for row in rows {
            match row.text(row.width() - 1) {
                Ok(digest) => {
                    found.entry(digest.unwrap_or_default()).or_insert_with(|| Arc::new(row));
                }
                Err(error) => unreadable = Some(self.0.failed(error)),
            }
        }
        let mut answers = Vec::with_capacity(digests.len());
        let mut answered = HashSet::new();
        for digest in &digests {
            // Rows of SQLite's driver note what they find out about their values, and say that they may be read
            // by two threads at once nevertheless. Each is for one caller.
            let is_for_another = self.0.backend() == Backend::Sqlite && !answered.insert(digest.expose());
            answers.push(if is_for_another {
                self.find(connection.connection(), digest).await
            } else {
                answer(&found, digest, unreadable.as_ref())
            });
        }
        answers
    }
}

/// Whose row could not be read is not known: it may be that of anyone who has none.
fn answer(
    found: &HashMap<String, Found>,
    digest: &TokenDigest,
    unreadable: Option<&Error>,
) -> Result<Option<Found>> {
    match (found.get(digest.expose()), unreadable) {
        (Some(row), _) => Ok(Some(Arc::clone(row))),
        (None, Some(error)) => Err(error.clone()),
        (None, None) => Ok(None),
    }
}

impl Find {
    async fn find(&self, on: Connection<'_>, digest: &TokenDigest) -> Result<Option<Found>> {
        let now = FieldValue::plain(self.0.config.now());
        let statement = Statement::new(self.0.find_sql(1), vec![FieldValue::plain(digest.expose()), now]);
        let row = self.0.fetch_optional(on, &statement).await?;
        Ok(row.map(Arc::new))
    }

    fn many(&self, digests: &[TokenDigest]) -> Statement {
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
        Statement::new(self.0.find_sql(size), values)
    }
}
