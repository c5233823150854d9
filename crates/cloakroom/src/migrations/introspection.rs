//! Reads the definition of an existing session table from the database's description of it.

use std::collections::HashMap;

use super::{has_index, recorded_fields};
use crate::database::{Connection, Database};
use crate::error::{Error, ErrorKind, Result};
use crate::table::{BUILT_IN_COLUMNS, DynamicFields, FieldDefinition, TableDefinition};

impl DynamicFields {
    /// Reads the definition of an existing session table from the database. Returns `None` if there is no such table.
    ///
    /// # Errors
    ///
    /// [`MissingColumn`](ErrorKind::MissingColumn) if the table lacks a built-in column, and so is no session table.
    pub async fn definition_from(
        database: &Database,
        schema: Option<&str>,
        table: &str,
    ) -> Result<Option<TableDefinition>> {
        let mut definition = TableDefinition::new(table.to_owned());
        definition.schema = schema.map(|schema| schema.to_owned().into());
        let failed = |error| Error::from_sqlx(error, table);
        let mut connection = Connection::of(database);
        let columns = connection.columns(schema, table).await.map_err(failed)?;
        if columns.is_empty() {
            return Ok(None);
        }
        let is_same = |one: &str, other: &str| database.backend().dialect().is_same_name(one, other);
        if let Some(missing) = BUILT_IN_COLUMNS
            .iter()
            .find(|built_in| built_in.since == 1 && !columns.iter().any(|c| is_same(&c.name, built_in.name)))
        {
            return Err(Error::new(
                ErrorKind::MissingColumn,
                format!("{definition} is no session table: it has no column {}", missing.name),
            ));
        }
        let indexes = connection.indexes(schema, table).await.map_err(failed)?;
        let backend = database.backend();
        // A database with fewer types than there are kinds of fields does not know what was declared, so the record of
        // the migration is used. The column may have become another since.
        let recorded = if backend.dialect().declares_every_kind() {
            HashMap::new()
        } else {
            recorded_fields(&mut connection, &definition).await?
        };
        for info in columns
            .into_iter()
            .filter(|info| !BUILT_IN_COLUMNS.iter().any(|built_in| is_same(built_in.name, &info.name)))
        {
            let recorded = recorded.get(&info.name).filter(|it| backend.dialect().may_be(&info.declared, it));
            let column_type = recorded.cloned().unwrap_or(info.column_type);
            let mut field = FieldDefinition::described(info.name, column_type, backend, info.foreign);
            field.nullable = info.nullable;
            field.indexed = has_index(table, field.name(), &indexes);
            definition = definition.field(field);
        }
        Ok(Some(definition))
    }
}
