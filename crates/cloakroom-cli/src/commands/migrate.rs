use cloakroom::{ColumnType, FieldDefinition, Migration, TableDefinition, migrations};
use serde_json::json;

use crate::args::{Fields, Migrate};
use crate::confirm;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, command: Migrate) -> Result<(), Failure> {
    match command {
        Migrate::Up { fields } => up(context, fields).await,
        Migrate::Down { yes } => down(context, yes).await,
        Migrate::Status => status(context).await,
        Migrate::Sql { fields, down, indexes } => sql(context, fields, down, indexes),
    }
}

async fn up(context: &Context, fields: Fields) -> Result<(), Failure> {
    let declared = declared(context, fields);
    // Names are checked before a file is made for them.
    let definition = declared.clone().unwrap_or_else(|| by_default(context));
    migrations::up_sql(&definition, context.backend())?;

    let database = context.connect_or_make().await?;
    let definition = match declared {
        Some(definition) => definition,
        None => context.existing(&database).await?.unwrap_or(definition),
    };
    let applied = context.sessions_of(database, definition)?.migrate().await?;
    report(context, "applied", &applied)
}

async fn down(context: &Context, yes: bool) -> Result<(), Failure> {
    let database = context.connect().await?;
    let sessions = context.sessions_of(database, context.definition())?;
    confirm::ask(&format!("Drop the table {} with all its sessions?", context.definition()), yes)?;
    let undone = sessions.migrate_down().await?;
    report(context, "undone", &undone)
}

async fn status(context: &Context) -> Result<(), Failure> {
    let database = context.connect().await?;
    let definition = context.existing(&database).await?;
    let exists = definition.is_some();
    let sessions = context.sessions_of(database, definition.unwrap_or_else(|| context.definition()))?;
    let status = sessions.migration_status().await?;
    let fields = sessions.definition().fields();
    let json = json!({
        "table": sessions.definition().to_string(),
        "exists": exists,
        "fields": fields.iter().map(|field| {
            let mut json = json!({
                "name": field.name(),
                "type": field.column_type(context.backend()).to_string(),
                "nullable": field.is_nullable(),
            });
            if let Some(role) = field.role() {
                json["role"] = json!(role.name());
            }
            json
        }).collect::<Vec<_>>(),
        "migrations": status.iter().map(|(migration, is_applied)| json!({
            "version": migration.version,
            "name": migration.name,
            "applied": is_applied,
        })).collect::<Vec<_>>(),
    });
    let rows = status.into_iter().map(|(migration, is_applied)| {
        let state = if is_applied { "applied" } else { "pending" };
        [migration.version.to_string(), state.to_owned(), migration.name.to_owned()]
    });
    context.output.rows(&json, rows)
}

fn sql(context: &Context, fields: Fields, down: bool, indexes: bool) -> Result<(), Failure> {
    let definition = declared(context, fields).unwrap_or_else(|| by_default(context));
    let backend = context.backend();
    let statements = if down {
        migrations::down_sql(&definition, backend)?
    } else if indexes {
        migrations::index_sql(&definition, backend)?
    } else {
        migrations::up_sql(&definition, backend)?
    };
    let text: Vec<String> = statements.iter().map(|statement| format!("{statement};")).collect();
    context.output.answer(&json!({"statements": statements}), text.join("\n"))
}

/// Returns the table with the fields of the command line, if there are any.
fn declared(context: &Context, fields: Fields) -> Option<TableDefinition> {
    let fields = fields.fields;
    (!fields.is_empty())
        .then(|| fields.into_iter().fold(context.definition(), |table, field| table.field(field.0)))
}

/// Returns the table if no fields are given: as `ecto_sessions` makes it.
fn by_default(context: &Context) -> TableDefinition {
    context.definition().field(FieldDefinition::dynamic("user_id", ColumnType::Text).indexed())
}

fn report(context: &Context, done: &str, migrations: &[Migration]) -> Result<(), Failure> {
    let json: Vec<_> = migrations
        .iter()
        .map(|migration| json!({"version": migration.version, "name": migration.name}))
        .collect();
    if migrations.is_empty() && !context.output.is_json() {
        return context.output.answer(&(), "nothing was to be done");
    }
    let rows = migrations
        .iter()
        .map(|migration| [migration.version.to_string(), done.to_owned(), migration.name.to_owned()]);
    context.output.rows(&json!({ done: json }), rows)
}
