//! Sorting what is too large to be sorted.
//!
//! MySQL sorts whole rows in memory, with the values of its own JSON columns, and fails if a single row is larger than
//! its buffer, which has 256 KiB by default. The query then runs once more: it sorts ids, and fetches the rows in that
//! order.

use sea_query::{Expr, ExprTrait, JoinType, Query};
use time::OffsetDateTime;

use super::SessionQuery;
use crate::database::{Cause, Row, Statement, cause};
use crate::error::{Outcome, Result};
use crate::sql::{identifier, select_columns};
use crate::table::{SessionFields, column};

impl<T: SessionFields> SessionQuery<'_, T> {
    /// Fetches the rows that match at `now`, in order, by the statement that selects them.
    pub(super) async fn fetch_rows(
        &mut self,
        statement: &Statement,
        now: OffsetDateTime,
    ) -> Result<Vec<Row>> {
        match self.operations.connection().fetch_all(statement).await {
            Ok(rows) => Ok(rows),
            Err(error) if cause(&error) == Cause::Unsorted => {
                let statement = self.select_by_sorted_ids(now)?;
                self.operations.fetch_all(&statement).await
            }
            Err(error) => Err(self.operations.failed(error).with_outcome(Outcome::NotDone)),
        }
    }

    /// Returns the same statement as `select_statement`, which sorts nothing but ids and what they are sorted by.
    fn select_by_sorted_ids(&self, now: OffsetDateTime) -> Result<Statement> {
        let mut bindings = self.operations.bindings();
        let chosen = identifier("chosen");
        let in_chosen = |name: &str| Expr::col((chosen.clone(), identifier(name)));
        let mut ids = Query::select();
        ids.expr_as(bindings.column(column::ID), identifier(column::ID));
        let mut select = Query::select();
        for (number, (key, order)) in self.order(&bindings).into_iter().enumerate() {
            let name = format!("key_{number}");
            ids.expr_as(key, identifier(&name));
            select.order_by_expr(in_chosen(&name), order);
        }
        // The limit makes MySQL choose the ids first, without sorting: a filter may read what is too large.
        ids.from(self.operations.table_ref()).cond_where(self.condition(&mut bindings, now)?).limit(u64::MAX);
        let is_it = bindings.column(column::ID).eq(in_chosen(column::ID));
        select.from_subquery(ids, chosen.clone()).join(
            JoinType::LeftJoin,
            self.operations.table_ref(),
            is_it,
        );
        if let Some(limit) = self.criteria.limit {
            select.limit(limit);
        }
        select_columns(&bindings, &mut select);
        let guard = self.operations.guard(&mut select);
        Ok(bindings.build(&select).guarded(guard))
    }
}
