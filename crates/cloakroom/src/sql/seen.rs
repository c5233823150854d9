//! The statement that records the last uses of sessions.

use std::sync::Arc;

use sea_query::{CaseStatement, Expr, ExprTrait, Func, LockBehavior, LockType, Query};

use super::statements::{Statements, table_ref, value};
use super::{Bindings, identifier};
use crate::database::{Backend, FieldValue, Statement, guard_rows};
use crate::table::{FieldDefinition, Role, TableDefinition, column};

/// The most sessions whose uses one statement records. It is a power of two, as the sizes of the statements are.
pub(crate) const MAX_USES: usize = 128;

/// The columns of text that are written with the instant.
pub(crate) const TEXTS: [Role; 2] = [Role::LastAddress, Role::LastUserAgent];

/// What is recorded of a session: its last use, and the texts in the order of [`TEXTS`], as far as they are known.
pub(crate) struct UseToRecord {
    pub(crate) id: FieldValue,
    pub(crate) at: FieldValue,
    pub(crate) texts: [Option<String>; 2],
}

impl Statements {
    /// Returns the statement that records `size` uses. It writes no other column, and no row with a later use.
    ///
    /// On PostgreSQL a statement that does not `wait` skips rows that another transaction has locked. On MariaDB it fails
    /// instead.
    fn record_uses(&self, table: &TableDefinition, backend: Backend, size: usize, waits: bool) -> Arc<str> {
        let texts = if waits { &self.record_uses_waiting } else { &self.record_uses };
        texts.get(size, || {
            let bindings = &mut Bindings::new(table, backend);
            let mut update = Query::update();
            update.table(table_ref(table));
            for name in backend.dialect().columns_that_move_by_themselves() {
                update.value(identifier(name), bindings.column(name));
            }
            if let Some(field) = table.field_for(Role::LastSeen) {
                let new = by_id(bindings, size, field, |_, new| new);
                update.value(identifier(&field.name), new);
            }
            for field in TEXTS.into_iter().filter_map(|role| table.field_for(role)) {
                let known = |old: Expr, new| Func::coalesce([new, old]).into();
                let new = by_id(bindings, size, field, known);
                update.value(identifier(&field.name), new);
            }
            let are_older = are_older(bindings, size);
            if !waits && backend.dialect().skips_locked_rows() {
                let mut free = Query::select();
                free.expr(bindings.column(column::ID)).from(table_ref(table));
                for condition in are_older {
                    free.and_where(condition);
                }
                free.lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
                update.and_where(bindings.column(column::ID).in_subquery(free));
            } else {
                for condition in are_older {
                    update.and_where(condition);
                }
            }
            update.and_where_option(backend.dialect().place_of_condition());
            let update = bindings.build(&update).sql;
            if waits { update } else { backend.dialect().at_once(update) }
        })
    }
}

/// Returns the statement that records these uses; see [`Statements::record_uses`].
pub(crate) fn record_uses(
    statements: &Statements,
    table: &TableDefinition,
    backend: Backend,
    uses: &[UseToRecord],
    waits: bool,
) -> Statement {
    let size = uses.len().next_power_of_two();
    let all = || padded(uses, size);
    let instants = instants(table, backend, all());
    let mut values = instants.clone();
    values.reserve(size * 7);
    for (place, role) in TEXTS.into_iter().enumerate() {
        if let Some(field) = table.field_for(role) {
            let text = |one: &UseToRecord| bound(field, backend, FieldValue::plain(one.texts[place].clone()));
            values.extend(all().flat_map(|one| [one.id.clone(), text(one)]));
        }
    }
    values.extend(all().map(|one| one.id.clone()));
    values.extend(instants);
    Statement::new(statements.record_uses(table, backend, size, waits), values)
}

/// Returns the statement that reads the ids of those of these sessions whose uses are still to be recorded.
pub(crate) fn uses_to_record(table: &TableDefinition, backend: Backend, uses: &[UseToRecord]) -> Statement {
    let bindings = &mut Bindings::new(table, backend);
    let mut select = Query::select();
    select.expr(bindings.column(column::ID)).from(table_ref(table));
    let size = uses.len().next_power_of_two();
    for condition in are_older(bindings, size) {
        select.and_where(condition);
    }
    let guard = guard_rows(backend, &mut select);
    let mut values: Vec<_> = padded(uses, size).map(|one| one.id.clone()).collect();
    values.extend(instants(table, backend, padded(uses, size)));
    Statement::new(bindings.build(&select).sql, values).guarded(guard)
}

/// Returns so many uses. Repeating one changes nothing, and so there are few statements.
fn padded(uses: &[UseToRecord], size: usize) -> impl Iterator<Item = &UseToRecord> {
    uses.iter().chain(uses.last().into_iter().cycle()).take(size)
}

/// Returns the id of each session and the instant of its last use, as the column takes it.
fn instants<'u>(
    table: &TableDefinition,
    backend: Backend,
    uses: impl IntoIterator<Item = &'u UseToRecord>,
) -> Vec<FieldValue> {
    let Some(field) = table.field_for(Role::LastSeen) else {
        return Vec::new();
    };
    uses.into_iter().flat_map(|one| [one.id.clone(), bound(field, backend, one.at.clone())]).collect()
}

fn bound(field: &FieldDefinition, backend: Backend, value: FieldValue) -> FieldValue {
    match &field.foreign[backend as usize] {
        Some(foreign) => foreign.bound(value),
        None => value,
    }
}

/// Returns, for each of `size` ids, what `new` makes of the column's value and of the value that is bound after the id.
/// Any other row keeps its value.
fn by_id(
    bindings: &mut Bindings<'_>,
    size: usize,
    field: &FieldDefinition,
    new: impl Fn(Expr, Expr) -> Expr,
) -> Expr {
    let mut case = CaseStatement::new();
    for _ in 0..size {
        let is_it = bindings.column(column::ID).eq(bindings.expr(value()));
        let bound = bindings.stored_in(&field.name, value());
        case = case.case(is_it, new(bindings.column(&field.name), bound));
    }
    case.finally(bindings.column(&field.name)).into()
}

/// Returns the conditions that a row is one of `size` and has no later use.
fn are_older(bindings: &mut Bindings<'_>, size: usize) -> Vec<Expr> {
    let ids: Vec<_> = (0..size).map(|_| bindings.expr(value())).collect();
    let mut conditions = vec![bindings.column(column::ID).is_in(ids)];
    if let Some(field) = bindings.table().field_for(Role::LastSeen) {
        let mut is_older = CaseStatement::new();
        for _ in 0..size {
            let is_it = bindings.column(column::ID).eq(bindings.expr(value()));
            let last = bindings.column(&field.name);
            let new = bindings.stored_in(&field.name, value());
            is_older = is_older.case(is_it, last.clone().is_null().or(last.lte(new)));
        }
        conditions.push(is_older.into());
    }
    conditions
}
