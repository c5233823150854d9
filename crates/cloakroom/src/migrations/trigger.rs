//! The trigger that announces revocations by any SQL, on PostgreSQL.

use super::sql::{announcing_function_name, qualified, quoted};
use crate::config::ConfigError;
use crate::database::{AnnounceTrigger, Backend, Connection, FieldValue, Statement};
use crate::error::{Error, Result};
use crate::table::{BUILT_IN_COLUMNS, FieldDefinition, Role, TableDefinition, column};

/// Returns the statements that make the trigger which announces revocations by any SQL, each without its semicolon; see
/// [`announce_by_trigger`](crate::ConfigBuilder::announce_by_trigger). There are none for databases other than
/// PostgreSQL.
///
/// # Errors
///
/// If a name in the definition is empty, too long, or holds a control character.
pub fn trigger_sql(table: &TableDefinition, backend: Backend) -> Result<Vec<String>, ConfigError> {
    table.validate(backend)?;
    Ok(if backend.dialect().notifies() { trigger(table, backend).statements() } else { Vec::new() })
}

/// Returns the statements that are missing, or that make anew what is of another version or was switched off.
pub(super) async fn missing(connection: &mut Connection<'_>, table: &TableDefinition) -> Result<Vec<String>> {
    let backend = connection.backend();
    let trigger = trigger(table, backend);
    let name = FieldValue::plain(qualified(table, &table.table, backend));
    let installed = Statement::new(AnnounceTrigger::INSTALLED, vec![name]);
    let failed = |error| Error::from_sqlx(error, &table.to_string());
    let rows = connection.fetch_all(&installed).await.map_err(failed)?;
    let mut bodies = Vec::with_capacity(rows.len());
    for row in rows {
        bodies.push(row.text(0).map_err(failed)?.unwrap_or_default());
    }
    let is_there =
        bodies.len() == AnnounceTrigger::COUNT && bodies.iter().all(|body| *body == trigger.body());
    Ok(if is_there { Vec::new() } else { trigger.statements() })
}

/// Returns the statement that drops the trigger's function. The triggers themselves go with their table.
pub(super) fn drop_function(table: &TableDefinition, backend: Backend) -> String {
    format!("DROP FUNCTION IF EXISTS {}()", trigger(table, backend).function)
}

fn trigger(table: &TableDefinition, backend: Backend) -> AnnounceTrigger<'_> {
    // The expiry is looked at by itself, and a write of these alone leaves a session as it was.
    let others = [column::ID, column::EXPIRES_AT, column::UPDATED_AT];
    let built_in =
        BUILT_IN_COLUMNS.iter().filter(|it| it.since == 1 && !others.contains(&it.name)).map(|it| it.name);
    let of_devices = table.binds_devices().then_some(column::DEVICE_TOKEN_UNTIL);
    let is_read = |role: Option<Role>| !role.is_some_and(Role::is_written_behind);
    let fields = table.fields.iter().filter(|field| is_read(field.role())).map(FieldDefinition::name);
    AnnounceTrigger {
        table: qualified(table, &table.table, backend),
        function: qualified(table, &announcing_function_name(table), backend),
        announced: table.table_name(),
        columns: built_in.chain(of_devices).chain(fields).map(|name| quoted(name, backend)).collect(),
    }
}
