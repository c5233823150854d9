//! Ends sessions by every clock: a machine that is ahead also ends the sessions that another, which is behind, would
//! still accept.
//!
//! A row with an expiry that is not after its last write has [ended](crate::session::expiry::is_over) for every
//! machine. A row that has expired by this machine's clock, or by the configuration's absolute lifetime, but
//! not by its own last write, has *lapsed*. It may be
//! valid by the clock of a machine that is behind, which would accept and extend it. So it is written once more, with
//! its expiry left as it is. Then it has ended, and no operation writes it again.
//!
//! What is counted are the sessions that were valid here. On PostgreSQL one statement writes both, and says of each row
//! whether it was valid before. Elsewhere lapsed rows are written in a statement of their own. A query runs the
//! statement for lapsed rows first: a session that is extended before it is valid when the other statement runs, and
//! after it no lapsed session can be extended. For one session the order is the other way round: it is ended first, and
//! looked at again only if it was not valid, so that ending a valid session takes one statement.

use sea_query::{CaseStatement, Condition, Expr, ExprTrait, Query, UpdateStatement};
use time::{Duration, OffsetDateTime};

use crate::database::FieldValue;
use crate::session::Status;
use crate::sql::{Bindings, Filter, has_status, identifier, is_of_age, table_ref, value, written_at};
use crate::table::{Role, TableDefinition, column};

/// How far another machine's clock may be behind this one's. A session that expired earlier stays as it was written.
const SKEW: Duration = Duration::DAY;

/// Returns the instant of a clock that is behind this one.
pub(crate) fn behind(now: OffsetDateTime) -> OffsetDateTime {
    now.saturating_sub(SKEW)
}

/// Returns the filter for sessions that have expired at `now`, which are not looked for in the index on the expiry.
pub(crate) fn has_expired<T>(now: OffsetDateTime, lifetime: Option<std::time::Duration>) -> Filter<T> {
    Filter::new(move |bindings| {
        let expires_at = bindings.column(column::EXPIRES_AT);
        let expires_at = bindings.backend().dialect().apart_from_index(expires_at);
        let has_expired = expires_at.lte(bindings.expr(FieldValue::plain(now)));
        let is_too_old = is_of_age(bindings, Status::Expired, lifetime, now);
        Ok(Condition::any().add(has_expired).add_option(is_too_old))
    })
}

/// Returns the UPDATE that ends rows now, or leaves their expiry as it is if it lies before now. It writes the reason, if
/// the table has a column for one.
pub(crate) fn expire_update(
    bindings: &mut Bindings<'_>,
    now: &FieldValue,
    reason: Option<FieldValue>,
) -> UpdateStatement {
    let expires_at = bindings.column(column::EXPIRES_AT);
    let mut is_before = expires_at.clone().lt(bindings.expr(now.clone()));
    if let Some(is_a_date) = bindings.backend().dialect().is_a_date(expires_at.clone()) {
        is_before = is_before.and(is_a_date);
    }
    let earlier: Expr =
        CaseStatement::new().case(is_before, expires_at).finally(bindings.expr(now.clone())).into();
    let mut update = Query::update();
    update
        .table(table_ref(bindings.table()))
        .value(column::EXPIRES_AT, earlier)
        .value(column::UPDATED_AT, written_at(bindings, now.clone()))
        .and_where_option(bindings.backend().dialect().place_of_condition());
    if let (Some(field), Some(reason)) = (bindings.table().field_for(Role::EndedBecause), reason) {
        update.value(identifier(field.name()), bindings.stored_in(field.name(), reason));
    }
    update
}

/// What the table is called where its rows are read as they were before the UPDATE, which is not what it is called.
fn before(table: &TableDefinition) -> &'static str {
    if table.table == "before" { "earlier" } else { "before" }
}

/// Returns the UPDATE that ends rows now, whether they are valid here or have lapsed, and returns the id of each and
/// whether it was valid here. The reason, if the table has a column for one, is written only if it was.
pub(crate) fn expire_update_of_both(
    bindings: &mut Bindings<'_>,
    now: OffsetDateTime,
    lifetime: Option<std::time::Duration>,
    reason: Option<FieldValue>,
) -> UpdateStatement {
    let mut update = expire_update(bindings, &FieldValue::plain(now), None);
    if let (Some(field), Some(reason)) = (bindings.table().field_for(Role::EndedBecause), reason) {
        let is_valid = is_valid(bindings, now, lifetime);
        let reason = bindings.stored_in(field.name(), reason);
        let written: Expr =
            CaseStatement::new().case(is_valid, reason).finally(bindings.column(field.name())).into();
        update.value(identifier(field.name()), written);
    }
    let id = bindings.column(column::ID);
    // A subquery reads the rows as they were when the statement began.
    let alias = before(bindings.table());
    bindings.call(identifier(alias));
    let mut before = Query::select();
    before
        .expr(Expr::cust("1"))
        .from(table_ref(bindings.table()).alias(alias))
        .and_where(bindings.column(column::ID).eq(id.clone()))
        .cond_where(is_valid(bindings, now, lifetime));
    bindings.call(identifier(&bindings.table().table));
    update.returning(Query::returning().exprs([id, Expr::exists(before)]));
    update
}

/// Returns the condition that a row is valid here.
fn is_valid(
    bindings: &mut Bindings<'_>,
    now: OffsetDateTime,
    lifetime: Option<std::time::Duration>,
) -> Condition {
    let is_valid = has_status(bindings, Status::Valid, FieldValue::plain(now));
    let is_of_age = is_of_age(bindings, Status::Valid, lifetime, now);
    Condition::all().add_option(is_valid).add_option(is_of_age)
}

/// Returns the UPDATE that ends the row with one id. The values are `now` three times, the reason if one is written, the
/// id, and the instant at which the row must be valid.
pub(crate) fn expire_update_by_id(
    bindings: &mut Bindings<'_>,
    reason: Option<FieldValue>,
) -> UpdateStatement {
    let mut expire = expire_update(bindings, &value(), reason);
    let id = bindings.expr(value());
    expire.and_where(bindings.column(column::ID).eq(id));
    if let Some(is_valid) = has_status(bindings, Status::Valid, value()) {
        expire.cond_where(is_valid);
    }
    expire
}
