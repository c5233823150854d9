use std::sync::Arc;

use super::combiner::Work;
use crate::database::{MAX_PLACEHOLDERS, Statement};
use crate::error::{Error, ErrorKind, Result};
use crate::field::FieldValue;
use crate::store::Store;
use crate::table::BUILT_IN_COLUMNS;

/// Makes rows. A statement takes a power of two of them, so that there are few statements, and halves are
/// statements too.
pub(super) struct Insert(pub(super) Arc<Store>);

impl Work for Insert {
    /// The values of all columns.
    type Question = Vec<FieldValue>;
    type Answer = ();

    fn max_in_flight(&self) -> usize {
        super::max_in_flight(&self.0)
    }

    fn fit(&self, waiting: usize) -> usize {
        let width = BUILT_IN_COLUMNS.len() + self.0.table.fields.len();
        let most = self.0.config.max_batch().min(MAX_PLACEHOLDERS / width).max(1);
        1 << waiting.clamp(1, most).ilog2()
    }

    async fn answer(&self, row: Vec<FieldValue>) -> Result<()> {
        self.execute(std::slice::from_ref(&row)).await
    }

    /// One bad row fails the whole statement; then its halves are tried, until it is alone.
    async fn answer_all(&self, rows: Vec<Vec<FieldValue>>) -> Vec<Result<()>> {
        let mut answers = Vec::with_capacity(rows.len());
        let mut pending = vec![&*rows];
        while let Some(part) = pending.pop() {
            match self.execute(part).await {
                Err(error) if part.len() > 1 && may_be_of_one_row(&error) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    pending.extend([second, first]);
                }
                result => answers.extend(part.iter().map(|_| result.clone())),
            }
        }
        answers
    }
}

impl Insert {
    async fn execute(&self, rows: &[Vec<FieldValue>]) -> Result<()> {
        let statement = Statement::new(self.0.insert_sql(rows.len()), rows.concat());
        self.0.execute(&statement).await.map(drop)
    }
}

fn may_be_of_one_row(error: &Error) -> bool {
    use ErrorKind::{MissingColumn, MissingTable, ReadOnly, Unavailable};
    !matches!(error.kind(), MissingTable | MissingColumn | ReadOnly | Unavailable)
}
