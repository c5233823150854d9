use std::sync::Arc;

use super::combiner::Work;
use super::{Write, write_all};
use crate::database::{Backend, Connection, MAX_PLACEHOLDERS, Pooled, Statement};
use crate::error::Result;
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
    type Store = Store;

    fn store(&self) -> &Store {
        &self.0
    }

    fn max_in_flight(&self) -> usize {
        // SQLite has one writer, who need not read anew what nobody else has written meanwhile.
        if self.0.backend() == Backend::Sqlite { 1 } else { super::max_in_flight(&self.0) }
    }

    fn fit(&self, waiting: usize) -> usize {
        let width = BUILT_IN_COLUMNS.len() + self.0.table.fields.len();
        let most = self.0.config.max_batch().min(MAX_PLACEHOLDERS / width).max(1);
        1 << waiting.clamp(1, most).ilog2()
    }

    async fn answer(&self, row: Vec<FieldValue>) -> Result<()> {
        self.write(self.0.pool(), std::slice::from_ref(&row)).await
    }

    async fn answer_all(&self, connection: &mut Pooled, rows: Vec<Vec<FieldValue>>) -> Vec<Result<()>> {
        write_all(self, connection, &rows).await
    }
}

impl Write for Insert {
    type Row = Vec<FieldValue>;
    type Written = ();

    async fn write(&self, on: Connection<'_>, rows: &[Vec<FieldValue>]) -> Result<()> {
        let statement = Statement::new(self.0.insert_sql(rows.len()), rows.concat());
        self.0.execute(on, &statement).await.map(drop)
    }
}
