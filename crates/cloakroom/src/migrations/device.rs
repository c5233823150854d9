//! The columns of tables whose sessions can be bound to a device.

use super::Migration;
use super::sql::{column_definition, qualified};
use crate::database::{Backend, Connection, Described};
use crate::error::{Error, Result};
use crate::table::{FieldDefinition, Role, TableDefinition};

/// Its migration has a number apart, since it is only of the tables that have the role. It is not recorded: the table itself
/// tells.
pub(super) const DEVICES: Migration = Migration { version: 103, name: "add the columns for keys of devices" };

/// Returns the columns that the migration adds to a table that exists: that with the role, and those beside it.
fn columns(table: &TableDefinition) -> impl Iterator<Item = FieldDefinition> {
    table.field_for(Role::DeviceKey).cloned().into_iter().chain(table.device_columns())
}

/// Returns the lines of the columns beside the one with the role, for the statement that creates the table.
pub(super) fn lines(table: &TableDefinition, backend: Backend) -> Vec<String> {
    table.device_columns().iter().map(|column| column_definition(column, backend)).collect()
}

/// Returns the statements that add what an existing table lacks. No database rewrites the table for them, since each column
/// may be null.
pub(super) fn missing(table: &TableDefinition, present: &[Described], backend: Backend) -> Vec<String> {
    let is_there = |name: &str| present.iter().any(|it| backend.dialect().is_same_name(&it.name, name));
    let name = qualified(table, &table.table, backend);
    let missing = columns(table).filter(|column| !is_there(column.name()));
    missing
        .map(|column| format!("ALTER TABLE {name} ADD COLUMN {}", column_definition(&column, backend)))
        .collect()
}

/// Returns `true` if the table has all of them.
pub(super) async fn are_there(connection: &mut Connection<'_>, table: &TableDefinition) -> Result<bool> {
    let failed = |error| Error::from_sqlx(error, &table.to_string());
    let present = connection.described(table.schema_name(), table.table_name()).await.map_err(failed)?;
    Ok(!present.is_empty() && missing(table, &present, connection.backend()).is_empty())
}
