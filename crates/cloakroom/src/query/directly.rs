//! Lists on SQLite that the calling thread reads past the pool, as it does [lookups](crate::database::DirectReads).

use time::OffsetDateTime;

use super::each::Page;
use super::{Criteria, SessionQuery, SortOrder};
use crate::database::Statement;
use crate::sql::Filter;
use crate::table::SessionFields;

impl<T: SessionFields> SessionQuery<'_, T> {
    /// Returns what the statement finds, if it can be read past the pool. The pool must be asked otherwise, also if a
    /// session does not decode: its driver reads values in other forms too.
    pub(super) async fn fetch_directly(
        &mut self,
        statement: &Statement,
        now: OffsetDateTime,
    ) -> Option<Page<T>> {
        let is_of_pool = self.operations.connection().is_any_of_pool();
        let handle = self.operations.handle();
        // A standby's lists are to cost the primary nothing.
        if !is_of_pool || handle.standby().is_some() || self.criteria.has_custom_sql() {
            return None;
        }
        let reads = handle.store().direct_reads.as_ref()?;
        let rows = reads.fetch_all(statement).await.ok()?;
        let page = self.decode(rows, now).ok()?;
        page.found.iter().all(Result::is_ok).then_some(page)
    }
}

impl<T> Criteria<T> {
    fn has_custom_sql(&self) -> bool {
        matches!(self.order, SortOrder::By(_)) || self.filters.iter().any(Filter::has_custom_sql)
    }
}
