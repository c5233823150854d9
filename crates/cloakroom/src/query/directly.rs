//! Queries on SQLite that the calling thread reads past the pool, as it does [lookups](crate::database::DirectReads): lists,
//! and whether a write would find anything.

use sea_query::{Expr, Query};
use time::OffsetDateTime;

use super::each::Page;
use super::{Criteria, SessionQuery, SortOrder};
use crate::database::{DirectReads, Statement};
use crate::sql::Filter;
use crate::sql::ending::has_expired;
use crate::table::SessionFields;

impl<T: SessionFields> SessionQuery<'_, T> {
    /// Returns what the statement finds, if it can be read past the pool. The pool must be asked otherwise, also if a
    /// session does not decode: its driver reads values in other forms too.
    pub(super) async fn fetch_directly(
        &mut self,
        statement: &Statement,
        now: OffsetDateTime,
    ) -> Option<Page<T>> {
        // A standby's lists are to cost the primary nothing.
        if !self.operations.connection().is_any_of_pool() || self.operations.handle().standby().is_some() {
            return None;
        }
        let rows = self.direct_reads()?.fetch_all(statement).await.ok()?;
        let page = self.decode(rows, now).ok()?;
        page.found.iter().all(Result::is_ok).then_some(page)
    }

    /// Returns `true` if no session that expired by `now` and was valid at `valid_at` matches, and that could be read past the
    /// pool. A write that finds nothing costs more.
    pub(super) async fn has_none_lapsed(&mut self, now: OffsetDateTime, valid_at: OffsetDateTime) -> bool {
        if !self.operations.connection().is_pool() {
            return false;
        }
        let Some(reads) = self.direct_reads() else {
            return false;
        };
        let lifetime = self.operations.config().max_lifetime();
        let bindings = &mut self.operations.bindings();
        let is_lapsed = has_expired::<T>(now, lifetime).resolve(bindings);
        let (Ok(is_lapsed), Ok(condition)) = (is_lapsed, self.condition(bindings, valid_at)) else {
            return false;
        };
        let mut find = Query::select();
        find.expr(Expr::cust("1")).from(self.operations.table_ref()).limit(1);
        let statement = bindings.build(find.cond_where(condition).cond_where(is_lapsed));
        reads.fetch_all(&statement).await.is_ok_and(|rows| rows.is_empty())
    }

    /// Returns the connections past the pool, if there are any and the query may be read by them.
    fn direct_reads(&self) -> Option<DirectReads> {
        if self.criteria.has_custom_sql() {
            None
        } else {
            self.operations.handle().store().direct_reads.clone()
        }
    }
}

impl<T> Criteria<T> {
    fn has_custom_sql(&self) -> bool {
        matches!(self.order, SortOrder::By(_)) || self.filters.iter().any(Filter::has_custom_sql)
    }
}
