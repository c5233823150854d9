//! Counting by the value of a field.

use sea_query::{CaseStatement, Expr, ExprTrait, Order, Query};
use time::OffsetDateTime;

use super::SessionQuery;
use crate::database::{FieldValue, Row};
use crate::error::{Error, ErrorKind, Result};
use crate::observe::Operation;
use crate::session::Status;
use crate::sql::{Bindings, has_status};
use crate::table::{DynamicFields, DynamicValue, FieldDefinition, read_dynamic};

/// How many sessions have one value in a field. Returned by [`SessionQuery::count_by`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CountBy {
    /// The value. Null counts as a value.
    pub value: DynamicValue,
    /// How many of the sessions that match have this value.
    pub count: u64,
    /// How many of them are valid.
    pub valid: u64,
}

impl SessionQuery<'_, DynamicFields> {
    /// Counts the sessions that match by the value of a field, and returns the `most` most frequent values, the most
    /// frequent first. The query's [`limit`](Self::limit) and order have no effect here.
    ///
    /// # Errors
    ///
    /// [`UnknownField`](ErrorKind::UnknownField) if the table has no field of this name.
    pub async fn count_by(mut self, field: &str, most: u64) -> Result<Vec<CountBy>> {
        self.read_as_list();
        self.operations.call(Operation::CountBy).of(self.count_rows_by(field, most)).await
    }

    async fn count_rows_by(&mut self, field: &str, most: u64) -> Result<Vec<CountBy>> {
        let (table, backend) = (self.operations.table(), self.operations.handle().backend());
        let Some(definition) = table.fields.iter().find(|known| known.name() == field) else {
            let known: Vec<&str> = table.fields.iter().map(FieldDefinition::name).collect();
            let message = format!("the table has no field {field:?}; its fields: {}", known.join(", "));
            return Err(Error::new(ErrorKind::UnknownField, message));
        };
        let column_type = definition.column_type(backend).clone();
        if self.criteria.matches_nothing {
            return Ok(Vec::new());
        }
        let now = self.operations.config().now();
        let mut bindings = self.operations.bindings();
        let valid = count_of_valid(&mut bindings, now);
        let condition = self.condition(&mut bindings, now)?;
        let column = || bindings.column(field);
        let mut count = Query::select();
        count
            .expr(bindings.selected(field))
            .expr(Expr::cust("COUNT(*)"))
            .expr(valid)
            .from(self.operations.table_ref())
            .cond_where(condition)
            .add_group_by([column()])
            .order_by_expr(Expr::cust("COUNT(*)"), Order::Desc)
            .order_by_expr(column(), Order::Asc)
            .limit(most);
        let guard = self.operations.guard(&mut count);
        let statement = bindings.build(&count).guarded(guard);
        let rows = self.operations.fetch_all(&statement).await?;
        let counts = rows.iter().map(|row| {
            let value = read_dynamic(row, 0, &column_type)?;
            Ok(CountBy { value, count: read_count(row, 1)?, valid: read_count(row, 2)? })
        });
        counts.collect::<Result<_, sqlx::Error>>().map_err(|error| self.operations.failed(error))
    }
}

/// Returns the number of the valid sessions in a group of rows.
pub(super) fn count_of_valid(bindings: &mut Bindings<'_>, now: OffsetDateTime) -> Expr {
    let mut is_valid = CaseStatement::new();
    if let Some(valid) = has_status(bindings, Status::Valid, FieldValue::plain(now)) {
        is_valid = is_valid.case(valid, Expr::cust("1"));
    }
    let is_valid: Expr = is_valid.into();
    is_valid.count()
}

/// Reads a number that is not negative.
pub(super) fn read_count(row: &Row, index: usize) -> Result<u64, sqlx::Error> {
    Ok(row.integer(index)?.unwrap_or(0).unsigned_abs())
}
