//! Reads the definition of an existing session table from the database's description of it.

use super::beside::Beside;
use super::has_index;
use super::record::{Record, RecordedField, recorded};
use crate::database::{Connection, Database};
use crate::error::{Error, ErrorKind, Result};
use crate::table::{BUILT_IN_COLUMNS, DynamicFields, FieldDefinition, Role, TableDefinition};

impl DynamicFields {
    /// Reads the definition of an existing session table from the database. Returns `None` if there is no such table.
    ///
    /// The fields' [roles](crate::Role) are those that [`migrate`](crate::Sessions::migrate) has recorded.
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
        let record = recorded(&mut connection, &definition).await?;
        let mut record = record.map(Record::into_fields).unwrap_or_default();
        for info in columns
            .into_iter()
            .filter(|info| !BUILT_IN_COLUMNS.iter().any(|built_in| is_same(built_in.name, &info.name)))
        {
            let RecordedField { column_type, role } = record.remove(&info.name).unwrap_or_default();
            // A database with fewer types than there are kinds of fields does not know what was declared. The column may
            // have become another since.
            let column_type = column_type
                .filter(|_| !backend.dialect().declares_every_kind())
                .filter(|recorded| backend.dialect().may_be(&info.declared, recorded))
                .unwrap_or(info.column_type);
            let mut field = FieldDefinition::described(info.name, column_type, backend, info.foreign);
            field.nullable = info.nullable;
            field.indexed = has_index(table, field.name(), &indexes);
            let is_taken = |role: &Role| definition.field_for(*role).is_some();
            field.role = role.filter(|role| {
                !is_taken(role) && role.objection(field.column_type(backend), field.nullable).is_none()
            });
            definition = definition.field(field);
        }
        if Beside::retired(&definition).is_there(&mut connection, &definition).await? {
            // Which of its uses the application makes is not known, and this one asks for the least.
            definition = definition.rotation_grace();
        }
        let beside = definition.device_columns();
        definition.fields.retain(|field| !beside.iter().any(|it| is_same(it.name(), field.name())));
        if Beside::audit_log(&definition).is_there(&mut connection, &definition).await? {
            definition = definition.audit_log();
        }
        Ok(Some(definition))
    }
}
