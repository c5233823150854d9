//! One transaction of an import.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use super::importer::Importer;
use super::present::Known;
use crate::database::{Connection, Statement};
use crate::error::{Error, ErrorKind, Outcome};
use crate::operations::create::MAX_STATEMENT;
use crate::operations::{Operations, bounded};
use crate::table::SessionFields;

/// How often a transaction that lost to others is run.
const ATTEMPTS: u32 = 6;

/// The pause before the first repetition. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Why a transaction was not done.
pub(super) struct Refused {
    /// The rows that may be the cause, by their places in the transaction.
    rows: Range<usize>,
    pub(super) error: Error,
}

impl Refused {
    /// Returns the row that is the cause, if it is known.
    pub(super) fn row(&self) -> Option<usize> {
        (self.rows.len() == 1).then_some(self.rows.start)
    }
}

/// No row is the cause.
impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { rows: 0..0, error }
    }
}

impl<T: SessionFields> Importer<'_, T> {
    /// Writes the rows that the table does not have, in one transaction, and returns how many that were.
    pub(super) async fn write(&self, batch: &[Known<T>]) -> Result<u64, Refused> {
        let mut attempt = 1;
        loop {
            let refused = match self.write_once(batch).await {
                Ok(written) => return Ok(written),
                Err(refused) => refused,
            };
            let is_lost = match refused.error.kind() {
                ErrorKind::Contention => attempt < ATTEMPTS,
                // Another import may have written the same rows since they were looked for.
                ErrorKind::DuplicateToken | ErrorKind::Constraint => attempt == 1 && refused.row().is_none(),
                _ => false,
            };
            if !is_lost || refused.error.outcome() != Outcome::NotDone {
                return Err(self.with_row(batch, refused).await);
            }
            tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(attempt - 1)).await;
            attempt += 1;
        }
    }

    async fn write_once(&self, batch: &[Known<T>]) -> Result<u64, Refused> {
        let limit = self.handle.config().timeout();
        let mut transaction = bounded(limit, self.handle.store().pool.begin_to_write()).await?;
        let on = Connection::from(&mut transaction);
        let mut operations = Operations::new(self.handle.clone(), on);
        let written = operations.write_new(batch, limit).await;
        let written = match written {
            Ok(written) if !self.is_dry_run => bounded(limit, operations.record_import(written))
                .await
                .map(|()| written)
                .map_err(Refused::from),
            written => written,
        };
        match written {
            Ok(written) if self.is_dry_run => {
                bounded(limit, transaction.rollback()).await?;
                Ok(written)
            }
            Ok(written) => {
                bounded(limit, transaction.commit()).await?;
                Ok(written)
            }
            Err(refused) => {
                // Nothing is committed.
                let error = refused.error.with_outcome(Outcome::NotDone);
                if error.kind() != ErrorKind::Unavailable {
                    // The next transaction need not wait for this one's end.
                    let _ = bounded(limit, transaction.rollback()).await;
                }
                Err(Refused { error, ..refused })
            }
        }
    }

    /// Has the database look at the table, so that no connection goes on with a plan that suits the table as it was. It
    /// does no harm if that fails.
    pub(super) async fn update_statistics(&self) {
        let Some(sql) = self.handle.backend().dialect().update_statistics(&self.quoted_table()) else {
            return;
        };
        let limit = self.handle.config().timeout();
        let analyze = async {
            let mut transaction = bounded(limit, self.handle.store().pool.begin()).await?;
            let mut on: Operations<'_, T> =
                Operations::new(self.handle.clone(), Connection::from(&mut transaction));
            bounded(limit, on.execute(&Statement::new(sql, Vec::new()))).await?;
            bounded(limit, transaction.commit()).await
        };
        if let Err(error) = analyze.await {
            tracing::debug!(
                table = %self.handle.definition(),
                error = &error as &dyn std::error::Error,
                "the statistics of a table were not updated after an import",
            );
        }
    }

    fn quoted_table(&self) -> String {
        let (table, dialect) = (self.handle.definition(), self.handle.backend().dialect());
        let names = table.schema_name().into_iter().chain([table.table_name()]);
        names.map(|name| dialect.quoted(name)).collect::<Vec<_>>().join(".")
    }

    /// Finds the row that is the cause, if one is: by itself it is refused too.
    async fn with_row(&self, batch: &[Known<T>], refused: Refused) -> Refused {
        let is_of_a_row = matches!(
            refused.error.kind(),
            ErrorKind::InvalidField
                | ErrorKind::InvalidData
                | ErrorKind::DuplicateToken
                | ErrorKind::Constraint
                | ErrorKind::Database
        );
        if refused.rows.len() < 2 || !is_of_a_row {
            return refused;
        }
        let limit = self.handle.config().timeout();
        let Ok(mut transaction) = bounded(limit, self.handle.store().pool.begin_to_write()).await else {
            return refused;
        };
        let mut found = None;
        for place in refused.rows.clone() {
            let mut on = Operations::new(self.handle.clone(), Connection::from(&mut transaction));
            if let Err(one) = on.write_new(&batch[place..=place], limit).await {
                found =
                    Some(Refused { rows: place..place + 1, error: one.error.with_outcome(Outcome::NotDone) });
                break;
            }
        }
        let _ = bounded(limit, transaction.rollback()).await;
        found.unwrap_or(refused)
    }
}

impl<T: SessionFields> Operations<'_, T> {
    async fn write_new(&mut self, batch: &[Known<T>], limit: Option<Duration>) -> Result<u64, Refused> {
        let mut start = 0;
        let mut written = 0;
        while start < batch.len() {
            let end = start + self.fitting(&batch[start..]);
            let of = |rows: Range<usize>| move |error| Refused { rows, error };
            let these = &batch[start..end];
            let present = bounded(limit, self.present(these)).await.map_err(of(start..end))?;
            let mut new = Vec::with_capacity(these.len());
            for (place, known) in (start..).zip(these) {
                if !self.is_present(known, &present).map_err(of(place..place + 1))? {
                    new.push(&known.row);
                }
            }
            self.insert_rows(&new, limit).await.map_err(of(start..end))?;
            written += new.len() as u64;
            start = end;
        }
        Ok(written)
    }

    /// Returns how many of the rows, at least one, are looked for and written at once. A session that comes twice is
    /// found when its first row has been written.
    fn fitting(&self, rows: &[Known<T>]) -> usize {
        let most = self.most_rows().min(rows.len());
        let mut size = 0;
        let (mut digests, mut ids) = (HashSet::new(), HashSet::new());
        for (place, known) in rows[..most].iter().enumerate() {
            size += known.row.size();
            let mut is_new = known.ids.iter().all(|id| ids.insert(*id));
            is_new &= known.digests().all(|digest| digests.insert(digest));
            if place > 0 && (size > MAX_STATEMENT || !is_new) {
                return place;
            }
        }
        most
    }
}
