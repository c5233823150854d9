//! Compares an existing table with the columns and indexes that its definition needs.
//!
//! A column is refused if it cannot work: it does not hold all values of its field, or the field cannot be read from
//! its values. If in doubt, it is accepted: a type of the application's own, a domain of a domain, a type that
//! `sql_type` names. A column may be wider than its field.

use super::sql::{Index, column_definition, drop_index_of, qualified, quoted, sql_type};
use crate::database::{Backend, Described, IndexInfo};
use crate::error::{Error, ErrorKind, Result};
use crate::table::{BUILT_IN_COLUMNS, FieldDefinition, Reference, Role, TableDefinition, column};

mod family;

use family::{Fit, fit};

/// Checks that an index with the expected name does what the expected index does.
pub(super) fn check_index(
    table: &TableDefinition,
    index: &Index,
    info: &IndexInfo,
    backend: Backend,
) -> Result<()> {
    let name = if backend.dialect().names_schema_of_index() {
        qualified(table, &index.name, backend)
    } else {
        quoted(&index.name, backend)
    };
    let problem = if !info.is_valid {
        format!(
            "the index {name} of {table} is not complete: CREATE INDEX CONCURRENTLY is still building it, or has \
             failed. Unless it is being built, drop it with DROP INDEX CONCURRENTLY {name}, and build it again"
        )
    } else if index.is_unique && !info.is_unique {
        format!(
            "the index {name} of {table} is not unique over all rows, as it must be: drop it, and migrate again"
        )
    } else if index.is_unique
        && !index.columns.iter().any(|column| backend.dialect().is_same_name(&info.over, column))
    {
        format!(
            "the index {name} of {table} is over {}, and not over {} alone, as it must be: drop it, and migrate again",
            info.over,
            index.columns.join(", ")
        )
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Unsupported, problem))
}

/// Checks that each column that the definition needs exists and holds what its field does.
pub(super) fn check_columns(table: &TableDefinition, present: &[Described], backend: Backend) -> Result<()> {
    let find =
        |name: &str| present.iter().find(|described| backend.dialect().is_same_name(&described.name, name));
    if let Some(missing) = BUILT_IN_COLUMNS.iter().find(|it| it.since == 1 && find(it.name).is_none()) {
        let other = other_case(table, present, missing.name, backend);
        let message =
            format!("there is a table {table} already, which lacks the column {}{other}", missing.name);
        return Err(Error::new(ErrorKind::MissingColumn, message));
    }
    // The column for keys of devices is added, if the table lacks it.
    let is_added = |field: &FieldDefinition| field.role() == Some(Role::DeviceKey);
    let is_missing = |field: &&FieldDefinition| find(&field.name).is_none() && !is_added(field);
    if let Some(missing) = table.fields.iter().find(is_missing) {
        let other = other_case(table, present, &missing.name, backend);
        let target = qualified(table, &table.table, backend);
        let column = column_definition(missing, backend);
        // A required column needs a value in the existing rows.
        let default = if missing.nullable { "" } else { ", which needs a DEFAULT where the table has rows" };
        let message = format!(
            "the table {table} lacks the column {}{other}{default}; add it with: ALTER TABLE {target} ADD COLUMN \
             {column}",
            missing.name
        );
        return Err(Error::new(ErrorKind::MissingColumn, message));
    }
    for built_in in &BUILT_IN_COLUMNS {
        if let Some(described) = find(built_in.name) {
            check_type(table, &built_in.as_field(), described, backend)?;
            check_place(table, &built_in.as_field(), described, backend)?;
        }
    }
    for field in table.fields.iter().chain(&table.device_columns()) {
        if let Some(described) = find(&field.name) {
            check_type(table, field, described, backend)?;
            check_null(table, field, described, backend)?;
            check_place(table, field, described, backend)?;
        }
    }
    Ok(())
}

/// Names the column that a program may have meant, if the database distinguishes upper and lower case.
fn other_case(table: &TableDefinition, present: &[Described], name: &str, backend: Backend) -> String {
    let Some(other) = present.iter().find(|described| described.name.to_lowercase() == name.to_lowercase())
    else {
        return String::new();
    };
    let (target, from, to) =
        (qualified(table, &table.table, backend), quoted(&other.name, backend), quoted(name, backend));
    format!(
        " (it has {}, which {backend} takes for another: name the field's column so, or rename it with ALTER TABLE \
         {target} RENAME COLUMN {from} TO {to})",
        other.name
    )
}

fn check_type(
    table: &TableDefinition,
    field: &FieldDefinition,
    described: &Described,
    backend: Backend,
) -> Result<()> {
    let Fit::Cannot(why) = fit(field, described, backend) else {
        return Ok(());
    };
    let null = described.nullable.unwrap_or(field.nullable);
    Err(mismatch(
        table,
        field,
        &format!(
            "is of the type {}, {why} (a new table would have {})",
            shown(&described.declared),
            sql_type(field, backend),
        ),
        &change_type(table, field, null, backend),
    ))
}

/// Checks whether only one of a column and its field may be null. A view does not say. In the columns that every table
/// has, a null is refused, or read with its meaning.
fn check_null(
    table: &TableDefinition,
    field: &FieldDefinition,
    described: &Described,
    backend: Backend,
) -> Result<()> {
    let (problem, null) = match (field.nullable, described.nullable) {
        (true, Some(false)) => ("is NOT NULL, and its field may be null", true),
        (false, Some(true)) => ("may be null, and its field may not", false),
        _ => return Ok(()),
    };
    Err(mismatch(table, field, problem, &change_null(table, field, described, null, backend)))
}

/// Checks that no write of another column moves an instant that a session is judged by. A session that is never older than
/// its last write would outlive `max_lifetime`.
fn check_place(
    table: &TableDefinition,
    field: &FieldDefinition,
    described: &Described,
    backend: Backend,
) -> Result<()> {
    // These may be later than the library wrote them, and fields without a role are the application's.
    let may_move = match field.role() {
        Some(role) => role == Role::LastSeen,
        None => field.name == column::UPDATED_AT || table.fields.iter().any(|own| own.name == field.name),
    };
    if may_move || !described.moves {
        return Ok(());
    }
    let (target, name) = (qualified(table, &table.table, backend), quoted(&field.name, backend));
    let remedy = backend.dialect().keep_in_place(&target, &name, described).unwrap_or_default();
    Err(mismatch(
        table,
        field,
        "is declared ON UPDATE CURRENT_TIMESTAMP, so that writes of other columns move it",
        &remedy,
    ))
}

fn shown(declared: &str) -> &str {
    if declared.is_empty() { "of no name" } else { declared }
}

fn mismatch(table: &TableDefinition, field: &FieldDefinition, problem: &str, remedy: &str) -> Error {
    let message = format!(
        "the column {} of {table} {problem}; change the field, or the column with: {remedy}",
        field.name
    );
    Error::new(ErrorKind::ColumnMismatch, message)
}

fn change_type(table: &TableDefinition, field: &FieldDefinition, null: bool, backend: Backend) -> String {
    let (target, name) = (qualified(table, &table.table, backend), quoted(&field.name, backend));
    let sql_type = sql_type(field, backend);
    let change = backend.dialect().change_type(&target, &name, sql_type, null);
    change.unwrap_or_else(|| make_anew(table, field, sql_type, null, &format!("CAST({name} AS {sql_type})")))
}

fn change_null(
    table: &TableDefinition,
    field: &FieldDefinition,
    described: &Described,
    null: bool,
    backend: Backend,
) -> String {
    let (target, name) = (qualified(table, &table.table, backend), quoted(&field.name, backend));
    let change = backend.dialect().change_null(&target, &name, described, null);
    change.unwrap_or_else(|| make_anew(table, field, &described.declared, null, &name))
}

/// Returns the statements that replace a column on SQLite, which cannot change one. The next migration makes its index.
fn make_anew(
    table: &TableDefinition,
    field: &FieldDefinition,
    sql_type: &str,
    null: bool,
    from: &str,
) -> String {
    let backend = Backend::Sqlite;
    let target = qualified(table, &table.table, backend);
    let (old, new) = (quoted(&field.name, backend), quoted(&format!("{}_new", field.name), backend));
    let nothing =
        if null { " NULL".to_owned() } else { format!(" NOT NULL DEFAULT {}", empty_value(sql_type)) };
    let index = drop_index_of(table, field);
    format!(
        "{index}ALTER TABLE {target} ADD COLUMN {new} {sql_type}{nothing}; UPDATE {target} SET {new} = {from}; ALTER \
         TABLE {target} DROP COLUMN {old}; ALTER TABLE {target} RENAME COLUMN {new} TO {old}"
    )
}

/// Returns the value with which a required column of a type is added.
fn empty_value(sql_type: &str) -> &'static str {
    let sql_type = sql_type.to_ascii_uppercase();
    if sql_type.contains("BLOB") {
        "x''"
    } else if sql_type.contains("INT") || sql_type.contains("REAL") {
        "0"
    } else {
        "''"
    }
}

/// Returns why a server may refuse the foreign key of `field`, as far as the column that it refers to tells.
pub(super) fn why_refused(
    field: &FieldDefinition,
    reference: &Reference,
    target: &[Described],
    backend: Backend,
) -> Option<String> {
    let (table, key) = (&reference.table, &reference.column);
    let own = sql_type(field, backend);
    let of = format!("the foreign key of {} to {table}.{key}", field.name);
    if target.is_empty() {
        return Some(format!("{of} cannot be made: there is no table {table}; make it first"));
    }
    let Some(found) = target.iter().find(|described| backend.dialect().is_same_name(&described.name, key))
    else {
        return Some(format!("{of} cannot be made: {table} has no column {key}"));
    };
    let differ = |difference: &str, theirs: &str| {
        format!(
            "{of} cannot be made: {} would be {own}, and {table}.{key} is {theirs}; the two must agree in \
             {difference}. Give the field a type that is the same, or name it with sql_type = \"{theirs}\"",
            field.name
        )
    };
    if let Some(difference) = family::difference(own, found, backend) {
        return Some(differ(difference, &found.declared));
    }
    if !found.is_key {
        let needed = backend.dialect().needs_for_references()?;
        return Some(format!("{of} cannot be made: {table}.{key} has no {needed}"));
    }
    let collation = found.collation.as_ref().filter(|_| family::differs_in_collation(own, found, backend))?;
    Some(differ("character set and collation", &format!("{} COLLATE {collation}", found.declared)))
}
