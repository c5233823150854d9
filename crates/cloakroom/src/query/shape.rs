//! What a query asks for, as the [shape](Shape) of its statement and as the statement's values.

use std::mem::discriminant;

use sea_query::Value;
use time::OffsetDateTime;

use super::{Criteria, SessionQuery, SortOrder};
use crate::database::{FieldValue, Repr};
use crate::session::Status;
use crate::sql::{Bindings, Shape, oldest_of_age};
use crate::table::SessionFields;

impl<T: SessionFields> SessionQuery<'_, T> {
    /// Returns the shape of the statement that selects the sessions that match at `now`, and its values in their order.
    /// Returns `None` if its text depends on more than a shape tells.
    pub(super) fn shape(
        &self,
        bindings: &Bindings<'_>,
        now: OffsetDateTime,
    ) -> Option<(Shape, Vec<FieldValue>)> {
        let Criteria { filters, status, order, after, limit, by_token, matches_nothing, .. } = &self.criteria;
        if *by_token || *matches_nothing || matches!(order, SortOrder::By(_)) {
            return None;
        }
        let mut comparisons = Vec::with_capacity(filters.len());
        let mut values = Vec::with_capacity(filters.len() + 6);
        for filter in filters {
            let compared = filter.compared().filter(|compared| bindings.holds_plainly(&compared.column))?;
            let Repr::Plain(value) = &compared.value.0 else {
                return None;
            };
            comparisons.push((compared.column.clone(), compared.operator, discriminant(value)));
            values.push(bindings.value(compared.value.clone()));
        }
        let mut push = |value: Value| values.push(bindings.value(FieldValue(Repr::Plain(value))));
        if *status != Status::All {
            push(now.into());
            if let Some(oldest) = oldest_of_age(self.operations.config().max_lifetime(), now) {
                push(oldest.into());
            }
        }
        if let Some(cursor) = after {
            push(cursor.inserted_at.into());
            push(cursor.inserted_at.into());
            push(cursor.id.into());
        }
        if let Some(limit) = limit {
            push((*limit).into());
        }
        let shape = Shape {
            comparisons,
            status: *status,
            is_newest_first: self.is_newest_first(),
            is_further_page: after.is_some(),
            is_limited: limit.is_some(),
            guard: self.operations.guard_of_rows(),
        };
        Some((shape, values))
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn the_statement_of_each_shape_is_remembered_and_no_other() {
        use std::time::Duration;

        use sea_query::{BinOper, Expr, Order};
        use time::OffsetDateTime;
        use uuid::Uuid;

        use super::super::SessionQuery;
        use crate::database::{FieldValue, Statement};
        use crate::session::{Cursor, Status};
        use crate::sql::Filter;
        use crate::table::{FieldDefinition, SessionFields, TableDefinition};
        use crate::{ColumnType, Config, DynamicFields, Sessions};

        type Query<'q> = SessionQuery<'q, DynamicFields>;

        fn is_remembered(query: &Query<'_>, now: OffsetDateTime) -> bool {
            let written = query.select_statement(now).unwrap();
            let bindings = query.operations.bindings();
            let Some((shape, values)) = query.shape(&bindings, now) else {
                return false;
            };
            let known = query.operations.handle().store().statements_by_shape().text(&shape).unwrap();
            let known = Statement::new(known, values).guarded(shape.guard);
            assert_eq!((&known.sql, known.guard), (&written.sql, written.guard));
            let plain = |statement: &Statement| {
                statement.values.iter().map(|value| value.as_plain().cloned()).collect::<Vec<_>>()
            };
            assert_eq!(plain(&known), plain(&written));
            true
        }

        let pool = sqlx::sqlite::SqlitePoolOptions::new().connect_lazy("sqlite::memory:").unwrap();
        let table = TableDefinition::new("sessions")
            .field(FieldDefinition::new::<String>("user_id"))
            .field(FieldDefinition::new::<i64>("level"))
            .field(FieldDefinition::dynamic("extra", ColumnType::Json));
        let config = Config::builder().max_lifetime(Duration::from_hours(1)).build().unwrap();
        let sessions = Sessions::<DynamicFields>::with_definition(pool, table.clone(), config).unwrap();
        let now = OffsetDateTime::UNIX_EPOCH;
        let cursor = Cursor::new(now, Uuid::nil());
        let compare = |name: &'static str, value: FieldValue| {
            Filter::<DynamicFields>::compare(name, BinOper::GreaterThan, value)
        };
        let is_user = || compare("user_id", FieldValue::plain("frieda"));
        let has_level = || compare("level", FieldValue::plain(3_i64));
        for status in [Status::Valid, Status::Expired, Status::All] {
            let query = || sessions.query().status(status);
            let remembered = [
                query(),
                query().id(Uuid::nil()),
                query().filter(is_user()).filter(has_level()),
                query().filter(has_level()).filter(is_user()).oldest_first(),
                query().filter(is_user()).limit(2),
                query().filter(is_user()).limit(2).after(cursor),
                query().filter(is_user()).oldest_first().after(cursor),
                query().filter(DynamicFields::ID.ne(Uuid::nil())),
            ];
            let is_not = |query: &Query<'_>| !is_remembered(query, now);
            assert_eq!(remembered.iter().position(is_not), None, "{status}");
            let written_anew = [
                query().filter(is_user().not()),
                query().filter(is_user().or(has_level())),
                query().filter(Expr::cust("1 = 1")),
                query().order_by(Expr::cust("user_id"), Order::Asc),
                query().filter(compare("extra", FieldValue::plain("1"))),
                query().token("A".repeat(43)),
            ];
            assert_eq!(written_anew.iter().position(|query| is_remembered(query, now)), None, "{status}");
        }
    }
}
