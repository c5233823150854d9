//! The table beside a session table for tokens that its sessions had before.

use super::Migration;
use super::sql::{Index, create_index, index_name, qualified, quoted};
use crate::database::{Backend, Connection, null_or_not};
use crate::error::{Error, ErrorKind, Result};
use crate::table::{FieldDefinition, TableDefinition, retired_column};

/// Its migration has a number apart, since it is only of the tables whose definition asks for it. It is not recorded: the
/// table itself tells.
pub(super) const RETIRED: Migration = Migration { version: 101, name: "create the table of retired tokens" };

/// Returns the statements that make the table and its indexes.
pub(super) fn create(table: &TableDefinition, backend: Backend) -> Vec<String> {
    let create_indexes =
        indexes(table).into_iter().map(|index| create_index(&itself(table), &index, backend));
    [create_table(table, backend)].into_iter().chain(create_indexes).collect()
}

fn create_table(table: &TableDefinition, backend: Backend) -> String {
    let dialect = backend.dialect();
    let line = |column: &FieldDefinition| {
        let null = null_or_not(column.is_nullable());
        format!("{} {} {null}", column.name(), dialect.sql_type(column.column_type(backend)))
    };
    let mut lines =
        vec![format!("{} {} NOT NULL PRIMARY KEY", retired_column::DIGEST, dialect.digest_type())];
    lines.extend(TableDefinition::retired_columns().iter().map(line));
    let (name, options) = (qualified(table, &table.retired_name(), backend), dialect.table_options(&[]));
    format!("CREATE TABLE IF NOT EXISTS {name} (\n    {}\n){options}", lines.join(",\n    "))
}

/// Returns the table by itself, as the functions that write indexes take a table.
fn itself(table: &TableDefinition) -> TableDefinition {
    let itself = TableDefinition::new(table.retired_name());
    match table.schema_name() {
        Some(schema) => itself.schema(schema.to_owned()),
        None => itself,
    }
}

fn indexes(table: &TableDefinition) -> [Index; 2] {
    let name = table.retired_name();
    // The first finds the tokens of a session, and those of them that are still good for anything. The second finds what
    // the pruner has to do.
    [&[retired_column::SESSION_ID, retired_column::USABLE_UNTIL][..], &[retired_column::USABLE_UNTIL]].map(
        |columns| Index {
            name: index_name(&name, columns),
            is_unique: false,
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
        },
    )
}

/// Returns `true` if there is such a table.
pub(super) async fn is_there(connection: &mut Connection<'_>, table: &TableDefinition) -> Result<bool> {
    let failed = |error| Error::from_sqlx(error, &table.to_string());
    let columns = connection.columns(table.schema_name(), &table.retired_name()).await.map_err(failed)?;
    Ok(columns.iter().any(|column| column.name == retired_column::DIGEST))
}

/// Returns the statements that make what is missing of the table, if the definition asks for it.
pub(super) async fn missing(connection: &mut Connection<'_>, table: &TableDefinition) -> Result<Vec<String>> {
    if !table.keeps_retired_tokens() {
        return Ok(Vec::new());
    }
    let failed = |error| Error::from_sqlx(error, &table.to_string());
    let (backend, schema, name) = (connection.backend(), table.schema_name(), table.retired_name());
    let is_same = |one: &str, other: &str| backend.dialect().is_same_name(one, other);
    let columns = connection.columns(schema, &name).await.map_err(failed)?;
    if columns.is_empty() {
        return Ok(create(table, backend));
    }
    let names = TableDefinition::retired_columns().map(|column| column.name().to_owned());
    let lacks = |name: &str| !columns.iter().any(|column| is_same(&column.name, name));
    if let Some(missing) =
        [retired_column::DIGEST].into_iter().chain(names.iter().map(|it| &**it)).find(|it| lacks(it))
    {
        let itself = quoted(&name, backend);
        let message = format!(
            "the table {itself} is not one of retired tokens: it has no column {missing}. If it is another's, give \
             the session table another name"
        );
        return Err(Error::new(ErrorKind::MissingColumn, message));
    }
    let existing = connection.indexes(schema, &name).await.map_err(failed)?;
    let is_missing = |index: &Index| !existing.iter().any(|other| is_same(&other.name, &index.name));
    let indexes = indexes(table).into_iter().filter(is_missing);
    Ok(indexes.map(|index| create_index(&itself(table), &index, backend)).collect())
}
