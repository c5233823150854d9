//! The statements about an audit log.

use std::sync::Arc;

use sea_query::{Condition, ExprTrait, LockBehavior, LockType, Order, Query, SelectStatement, TableRef};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use super::statements::{table_ref_beside, unqualified};
use super::{Bindings, identifier};
use crate::clock::to_stored_precision;
use crate::database::{FieldValue, Repr, Statement};
use crate::events::Event;
use crate::table::{TableDefinition, audit_column};

/// The most characters of an owner that the column for it holds. The event has the whole.
const LONGEST_OWNER: usize = 255;

/// Which entries are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) session: Option<Uuid>,
    pub(crate) owner: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) since: Option<OffsetDateTime>,
    pub(crate) until: Option<OffsetDateTime>,
    pub(crate) before: Option<Uuid>,
    pub(crate) limit: Option<u64>,
}

fn log_ref(table: &TableDefinition) -> TableRef {
    table_ref_beside(table, &table.audit_name())
}

/// Returns the statement that writes these events, with an id for each.
pub(crate) fn insert<'e>(
    bindings: &mut Bindings<'_>,
    entries: impl IntoIterator<Item = (Uuid, &'e Event)>,
) -> Statement {
    let names = TableDefinition::audit_columns().map(|column| identifier(column.name()));
    let mut insert = Query::insert();
    insert
        .into_table(log_ref(bindings.table()))
        .columns([identifier(audit_column::ID)].into_iter().chain(names));
    for (id, event) in entries {
        let owner = event.owner.as_deref().map(|owner| owner.chars().take(LONGEST_OWNER).collect::<String>());
        let values = [
            FieldValue::plain(id),
            FieldValue::plain(to_stored_precision(event.at)),
            FieldValue::plain(event.name()),
            FieldValue::plain(event.session()),
            FieldValue::plain(owner),
            FieldValue::plain(event.reason().map(|reason| reason.as_str().to_owned())),
            details(event),
        ];
        insert.values_panic(values.into_iter().map(|value| bindings.expr(value)).collect::<Vec<_>>());
    }
    bindings.build(&insert)
}

fn details(event: &Event) -> FieldValue {
    match serde_json::value::to_raw_value(event) {
        Ok(json) => FieldValue(Repr::Json(Arc::<RawValue>::from(json))),
        // The year of an instant is not one of RFC 3339.
        Err(_) => FieldValue(Repr::Json(Arc::<RawValue>::from(RawValue::NULL.to_owned()))),
    }
}

/// Returns the query for the entries that are wanted, the newest first: their columns in the order of the table.
pub(crate) fn list(bindings: &mut Bindings<'_>, wanted: &Wanted) -> SelectStatement {
    let mut list = Query::select();
    list.column(identifier(audit_column::ID));
    for column in TableDefinition::audit_columns() {
        list.column(identifier(column.name()));
    }
    let mut condition = Condition::all();
    if let Some(session) = wanted.session {
        condition = condition
            .add(unqualified(audit_column::SESSION_ID).eq(bindings.expr(FieldValue::plain(session))));
    }
    if let Some(owner) = &wanted.owner {
        let owner: String = owner.chars().take(LONGEST_OWNER).collect();
        condition =
            condition.add(unqualified(audit_column::OWNER).eq(bindings.expr(FieldValue::plain(owner))));
    }
    if let Some(event) = &wanted.event {
        let event = bindings.expr(FieldValue::plain(event.clone()));
        condition = condition.add(unqualified(audit_column::EVENT).eq(event));
    }
    if let Some(since) = wanted.since {
        let since = bindings.expr(FieldValue::plain(to_stored_precision(since)));
        condition = condition.add(unqualified(audit_column::RECORDED_AT).gte(since));
    }
    if let Some(until) = wanted.until {
        let until = bindings.expr(FieldValue::plain(to_stored_precision(until)));
        condition = condition.add(unqualified(audit_column::RECORDED_AT).lt(until));
    }
    if let Some(before) = wanted.before {
        condition = condition.add(unqualified(audit_column::ID).lt(bindings.expr(FieldValue::plain(before))));
    }
    list.from(log_ref(bindings.table()))
        .cond_where(condition)
        .order_by(identifier(audit_column::ID), Order::Desc);
    if let Some(limit) = wanted.limit {
        list.limit(limit);
    }
    list
}

/// Returns the statement that deletes at most `limit` entries that were written before `until`, the oldest first.
pub(crate) fn delete_before(bindings: &mut Bindings<'_>, until: OffsetDateTime, limit: u64) -> Statement {
    let dialect = bindings.backend().dialect();
    let until = bindings.expr(FieldValue::plain(to_stored_precision(until)));
    let is_old = unqualified(audit_column::RECORDED_AT).lt(until);
    let mut delete = Query::delete();
    delete.from_table(log_ref(bindings.table()));
    if dialect.writes_in_order() {
        delete.and_where(is_old).order_by(identifier(audit_column::RECORDED_AT), Order::Asc).limit(limit);
    } else {
        let mut first = Query::select();
        first
            .column(identifier(audit_column::ID))
            .from(log_ref(bindings.table()))
            .and_where(is_old)
            .order_by(identifier(audit_column::RECORDED_AT), Order::Asc)
            .limit(limit);
        if dialect.skips_locked_rows() {
            first.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        }
        delete.and_where(dialect.is_in_subquery(unqualified(audit_column::ID), first.into()));
    }
    delete.and_where_option(dialect.place_of_condition());
    bindings.build(&delete)
}
