//! The session table's own migrations: what [`Sessions::migrate`](crate::Sessions::migrate) runs, and the
//! same statements as text, for applications that keep their own.
//!
//! ```
//! use cloakroom::{Backend, SessionTable, migrations};
//!
//! #[derive(Clone, SessionTable)]
//! struct UserSession {
//!     #[session(index)]
//!     user_id: String,
//! }
//!
//! for statement in migrations::up_sql(&UserSession::definition(), Backend::Sqlite)? {
//!     println!("{statement};");
//! }
//! # Ok::<(), cloakroom::ConfigError>(())
//! ```

use std::collections::HashMap;
use std::fmt::Write;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::config::ConfigError;
use crate::database::{Backend, Connection, Database, Exclusive, IndexInfo, Statement};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::field::{ColumnType, FieldValue};
use crate::table::{BUILT_IN_COLUMNS, FieldDefinition, TableDefinition, column};

/// The longest name of an index, on PostgreSQL.
const MAX_INDEX_NAME: usize = 63;

/// One step of the session table's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Migration {
    /// Its number, from 1.
    pub version: u32,
    /// What it does, in a few words.
    pub name: &'static str,
}

const MIGRATIONS: [Migration; 2] = [
    Migration { version: 1, name: "create the table, unique by digest" },
    Migration { version: 2, name: "index expires_at and the fields to look up" },
];

/// The statements that create the table and its indexes, each without its semicolon.
///
/// # Errors
///
/// Where the definition's names are no identifiers.
pub fn up_sql(table: &TableDefinition, backend: Backend) -> Result<Vec<String>, ConfigError> {
    table.validate(backend)?;
    let mut statements: Vec<String> = create_schema(table, backend).into_iter().collect();
    statements.push(create_table(table, backend));
    statements.extend(indexes(table).iter().map(|index| create_index(table, index, backend)));
    Ok(statements)
}

/// The statements that build the indexes of a table that is in use, each without its semicolon: others go on reading and
/// writing it meanwhile.
///
/// To be run one by one, outside of transactions, before [`Sessions::migrate`](crate::Sessions::migrate) adopts a table
/// of many rows, which then finds them. On PostgreSQL they are `CREATE INDEX CONCURRENTLY`; MariaDB and MySQL are asked
/// for `LOCK=NONE` and refuse if they would have to keep writers waiting. SQLite has no such form: it keeps writers
/// waiting until an index is built, and readers not at all in WAL mode. `docs/adopting.md` in the repository says more.
///
/// # Errors
///
/// Where the definition's names are no identifiers.
pub fn index_sql(table: &TableDefinition, backend: Backend) -> Result<Vec<String>, ConfigError> {
    table.validate(backend)?;
    let statement = |index: &Index| match backend {
        Backend::Sqlite => create_index(table, index, backend),
        // Not "if it is not there": one that is there and not valid would be taken for one that is.
        Backend::Postgres => {
            create_index(table, index, backend).replacen("INDEX IF NOT EXISTS", "INDEX CONCURRENTLY", 1)
        }
        Backend::MySql => format!("{} ALGORITHM=INPLACE LOCK=NONE", create_index(table, index, backend)),
    };
    Ok(indexes(table).iter().map(statement).collect())
}

/// The statements that undo [`up_sql`]. They drop the table with all its sessions.
///
/// # Errors
///
/// Where the definition's names are no identifiers.
pub fn down_sql(table: &TableDefinition, backend: Backend) -> Result<Vec<String>, ConfigError> {
    table.validate(backend)?;
    Ok(vec![format!("DROP TABLE IF EXISTS {}", qualified(table, &table.table, backend))])
}

pub(crate) async fn up(
    database: &Database,
    table: &TableDefinition,
    now: OffsetDateTime,
) -> Result<Vec<Migration>> {
    // Most starts find everything in place; they need no lock, and no right to write.
    let plan = Plan::make(&mut Connection::pool(database), table).await;
    match plan {
        Ok(plan) if plan.is_empty() => return Ok(Vec::new()),
        Ok(plan) if plan.is_of_the_record_alone => {}
        Ok(_) => return carry_out(database, table, now).await,
        Err(error) => return Err(error),
    }
    match carry_out(database, table, now).await {
        // The table is as it shall be. Whoever may only use it need not write down that it is.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnly) => {
            tracing::debug!(%table, "the table is in place, and this role may not record that it is");
            Ok(Vec::new())
        }
        done => done,
    }
}

async fn carry_out(
    database: &Database,
    table: &TableDefinition,
    now: OffsetDateTime,
) -> Result<Vec<Migration>> {
    let failed = |error| Error::from_sqlx(error, &table.to_string());
    let mut exclusive = Exclusive::acquire(database, table).await?;
    let mut connection = exclusive.connection();
    let plan = Plan::make(&mut connection, table).await?;
    let mut is_begun = false;
    let partly = |error: Error, is_begun| {
        // Each statement of MariaDB's and MySQL's that changes tables commits.
        let is_partly = is_begun && database.backend() == Backend::MySql;
        if is_partly { error.with_outcome(Outcome::Unknown) } else { error }
    };
    for statement in &plan.statements {
        connection.execute_raw(statement).await.map_err(|error| partly(failed(error), is_begun))?;
        is_begun = true;
    }
    for migration in &plan.pending {
        let record = record(table, *migration, database.backend(), now);
        connection.execute(&record).await.map_err(|error| partly(failed(error), is_begun))?;
        is_begun = true;
    }
    exclusive.commit().await.map_err(failed)?;
    let done = plan.done();
    for migration in &done {
        tracing::info!(%table, version = migration.version, "{}", migration.name);
    }
    Ok(done)
}

pub(crate) async fn down(database: &Database, table: &TableDefinition) -> Result<Vec<Migration>> {
    let failed = |error| Error::from_sqlx(error, &table.to_string());
    let backend = database.backend();
    let mut exclusive = Exclusive::acquire(database, table).await?;
    let mut connection = exclusive.connection();
    let mut undone = applied(&mut connection, table).await?;
    let columns = connection.columns(table.schema.as_deref(), &table.table).await.map_err(failed)?;
    if undone.is_empty() && !columns.is_empty() {
        // Somebody else made the table, and it is dropped all the same.
        undone = MIGRATIONS.to_vec();
    }
    let history = format!("DROP TABLE IF EXISTS {}", qualified(table, &history_name(table), backend));
    let statements =
        down_sql(table, backend).map_err(|error| Error::new(ErrorKind::Unsupported, error.to_string()))?;
    for statement in statements.into_iter().chain([history]) {
        connection.execute_raw(&statement).await.map_err(failed)?;
    }
    exclusive.commit().await.map_err(failed)?;
    undone.reverse();
    Ok(undone)
}

pub(crate) async fn status(database: &Database, table: &TableDefinition) -> Result<Vec<(Migration, bool)>> {
    let applied = applied(&mut Connection::pool(database), table).await?;
    Ok(MIGRATIONS.map(|migration| (migration, applied.contains(&migration))).to_vec())
}

/// The types of the fields as they were declared when the table was made. SQLite and MariaDB have fewer
/// types than there are kinds of fields, so the table itself does not tell.
pub(crate) async fn recorded_fields(
    connection: &mut Connection<'_>,
    table: &TableDefinition,
) -> Result<HashMap<String, ColumnType>> {
    let failed = |error| Error::from_sqlx(error, &table.to_string());
    let schema = table.schema.as_deref();
    if connection.columns(schema, &history_name(table)).await.map_err(failed)?.is_empty() {
        return Ok(HashMap::new());
    }
    let history = qualified(table, &history_name(table), connection.backend());
    let statement = Statement::new(format!("SELECT fields FROM {history} WHERE version = 1"), Vec::new());
    let row = connection.fetch_optional(&statement).await.map_err(failed)?;
    let fields = row.map(|row| row.text(0)).transpose().map_err(failed)?.flatten().unwrap_or_default();
    Ok(fields
        .split(',')
        .filter_map(|field| {
            let (name, column_type) = field.split_once(':')?;
            Some((name.to_owned(), column_type.parse().ok()?))
        })
        .collect())
}

/// What is to be done to bring the table up to date.
struct Plan {
    statements: Vec<String>,
    pending: Vec<Migration>,
    /// Those that are recorded, and of whose work something is missing.
    restored: Vec<Migration>,
    /// The table and its indexes are there, and it is not recorded that they are.
    is_of_the_record_alone: bool,
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.statements.is_empty() && self.pending.is_empty()
    }

    /// What has been done once it is carried out.
    fn done(self) -> Vec<Migration> {
        let mut done = [self.pending, self.restored].concat();
        done.sort_by_key(|migration| migration.version);
        done
    }

    async fn make(connection: &mut Connection<'_>, table: &TableDefinition) -> Result<Self> {
        let failed = |error| Error::from_sqlx(error, &table.to_string());
        let backend = connection.backend();
        let schema = table.schema.as_deref();
        let mut statements = Vec::new();

        if let Some(name) = schema
            && !connection.has_schema(name).await.map_err(failed)?
        {
            let create = create_schema(table, backend).ok_or_else(|| {
                let message = format!("no database is attached as {name}: attach it first");
                Error::new(ErrorKind::Unsupported, message)
            })?;
            statements.push(create);
        }
        let after_schema = statements.len();
        let applied = match applied(connection, table).await {
            // On PostgreSQL every role sees that there is a record, and not every role may read it.
            Err(error) if error.kind() == ErrorKind::PermissionDenied && connection.is_pool() => Vec::new(),
            applied => applied?,
        };
        let columns = connection.columns(schema, &table.table).await.map_err(failed)?;
        let present: Vec<&str> = columns.iter().map(|info| info.name.as_str()).collect();
        let [table_migration, index_migration] = MIGRATIONS;
        let mut touched = Vec::new();
        let existing = if present.is_empty() {
            statements.push(create_table(table, backend));
            touched.push(table_migration);
            Vec::new()
        } else {
            check_columns(table, &present, backend)?;
            connection.indexes(schema, &table.table).await.map_err(failed)?
        };
        for index in &indexes(table) {
            if let Some(info) = existing.iter().find(|info| info.name == index.name) {
                check_index(table, index, info, backend)?;
            } else {
                statements.push(create_index(table, index, backend));
                touched.push(if index.is_unique { table_migration } else { index_migration });
            }
        }
        let is_of_the_record_alone = statements.is_empty();
        if applied.is_empty() {
            statements.insert(after_schema, create_history(table, backend));
        }
        let (recorded, pending): (Vec<_>, Vec<_>) =
            MIGRATIONS.into_iter().partition(|migration| applied.contains(migration));
        let restored = recorded.into_iter().filter(|migration| touched.contains(migration)).collect();
        Ok(Self { statements, pending, restored, is_of_the_record_alone })
    }
}

/// Checks that an index which has the name of ours does what ours does.
fn check_index(table: &TableDefinition, index: &Index, info: &IndexInfo, backend: Backend) -> Result<()> {
    let name = match backend {
        // An index lives where its table does.
        Backend::Postgres => qualified(table, &index.name, backend),
        _ => quoted(&index.name, backend),
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
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Unsupported, problem))
}

async fn applied(connection: &mut Connection<'_>, table: &TableDefinition) -> Result<Vec<Migration>> {
    let failed = |error| Error::from_sqlx(error, &table.to_string());
    let schema = table.schema.as_deref();
    if connection.columns(schema, &history_name(table)).await.map_err(failed)?.is_empty() {
        return Ok(Vec::new());
    }
    let history = qualified(table, &history_name(table), connection.backend());
    let statement = Statement::new(format!("SELECT version FROM {history} ORDER BY version"), Vec::new());
    let rows = connection.fetch_all(&statement).await.map_err(failed)?;
    let versions: Vec<i64> =
        rows.iter().filter_map(|row| row.integer(0).transpose()).collect::<Result<_, _>>().map_err(failed)?;
    Ok(MIGRATIONS.into_iter().filter(|migration| versions.contains(&i64::from(migration.version))).collect())
}

fn record(table: &TableDefinition, migration: Migration, backend: Backend, now: OffsetDateTime) -> Statement {
    let history = qualified(table, &history_name(table), backend);
    let values = if backend == Backend::Postgres { "$1, $2, $3" } else { "?, ?, ?" };
    let fields: Vec<String> = table
        .fields
        .iter()
        .filter(|field| !matches!(field.column_type(backend), ColumnType::Exact(_)))
        .map(|field| format!("{}:{}", field.name, field.column_type(backend)))
        .collect();
    Statement::new(
        format!("INSERT INTO {history} (version, applied_at, fields) VALUES ({values})"),
        vec![
            FieldValue::plain(i64::from(migration.version)),
            FieldValue::plain(now),
            FieldValue::plain(fields.join(",")),
        ],
    )
}

fn check_columns(table: &TableDefinition, present: &[&str], backend: Backend) -> Result<()> {
    let is_missing = |name: &str| !present.contains(&name);
    if let Some(missing) = BUILT_IN_COLUMNS.into_iter().find(|name| is_missing(name)) {
        let message = format!("there is a table {table} already, which lacks the column {missing}");
        return Err(Error::new(ErrorKind::MissingColumn, message));
    }
    if let Some(missing) = table.fields.iter().find(|field| is_missing(&field.name)) {
        let target = qualified(table, &table.table, backend);
        let column = column_definition(missing, backend);
        // A required column needs a value in the rows that are there already.
        let default = if missing.nullable { "" } else { ", which needs a DEFAULT where the table has rows" };
        let message = format!(
            "the table {table} lacks the column {}{default}; add it with: ALTER TABLE {target} ADD COLUMN {column}",
            missing.name
        );
        return Err(Error::new(ErrorKind::MissingColumn, message));
    }
    Ok(())
}

fn create_schema(table: &TableDefinition, backend: Backend) -> Option<String> {
    let schema = quoted(table.schema.as_deref()?, backend);
    match backend {
        // A schema is an attached database; only the application can attach it.
        Backend::Sqlite => None,
        Backend::Postgres => Some(format!("CREATE SCHEMA IF NOT EXISTS {schema}")),
        Backend::MySql => Some(format!("CREATE DATABASE IF NOT EXISTS {schema}")),
    }
}

fn create_table(table: &TableDefinition, backend: Backend) -> String {
    let timestamp = backend.sql_type(&ColumnType::Timestamp);
    let (digest, default_data, options) = match backend {
        Backend::Sqlite => ("TEXT", "'{}'", strict(table)),
        Backend::Postgres => ("varchar(255)", "'{}'::jsonb", ""),
        // Neither folds case nor, on MariaDB, ignores trailing spaces. Each server reads its own comment.
        Backend::MySql => (
            "varchar(255) CHARACTER SET ascii COLLATE /*M! ascii_nopad_bin */ /*!80017 ascii_bin */",
            "('{}')",
            "",
        ),
    };
    let mut lines = vec![
        format!("{} {} NOT NULL PRIMARY KEY", column::ID, backend.sql_type(&ColumnType::Uuid)),
        format!("{} {digest} NOT NULL", column::DIGEST),
        format!("{} {} NOT NULL DEFAULT {default_data}", column::DATA, backend.sql_type(&ColumnType::Json)),
        format!("{} {timestamp} NULL", column::EXPIRES_AT),
    ];
    lines.extend(table.fields.iter().map(|field| column_definition(field, backend)));
    lines.push(format!("{} {timestamp} NOT NULL", column::INSERTED_AT));
    lines.push(format!("{} {timestamp} NOT NULL", column::UPDATED_AT));
    for field in &table.fields {
        if let Some(reference) = field.references.as_ref().filter(|reference| reference.cascade) {
            lines.push(format!(
                "FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE CASCADE",
                quoted(&field.name, backend),
                quoted(&reference.table, backend),
                quoted(&reference.column, backend),
            ));
        }
    }
    let name = qualified(table, &table.table, backend);
    format!("CREATE TABLE IF NOT EXISTS {name} (\n    {}\n){options}", lines.join(",\n    "))
}

/// SQLite checks the types of what is stored, unless a type is named that it knows by affinity alone.
fn strict(table: &TableDefinition) -> &'static str {
    const STRICT_TYPES: [&str; 6] = ["INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY"];
    let is_strict = |field: &FieldDefinition| match field.column_type(Backend::Sqlite) {
        ColumnType::Exact(sql) => STRICT_TYPES.iter().any(|strict| sql.eq_ignore_ascii_case(strict)),
        _ => true,
    };
    if table.fields.iter().all(is_strict) { " STRICT" } else { "" }
}

fn column_definition(field: &FieldDefinition, backend: Backend) -> String {
    let null = if field.nullable { "NULL" } else { "NOT NULL" };
    let sql_type = backend.sql_type(field.column_type(backend));
    format!("{} {sql_type} {null}", quoted(&field.name, backend))
}

fn create_history(table: &TableDefinition, backend: Backend) -> String {
    let name = qualified(table, &history_name(table), backend);
    let (timestamp, options) = match backend {
        Backend::Sqlite => ("TEXT", " STRICT"),
        Backend::Postgres => ("timestamptz", ""),
        Backend::MySql => ("datetime(6)", ""),
    };
    let text = if backend == Backend::MySql { "text" } else { "TEXT" };
    let integer = if backend == Backend::Sqlite { "INTEGER" } else { "bigint" };
    format!(
        "CREATE TABLE IF NOT EXISTS {name} (\n    version {integer} NOT NULL PRIMARY KEY,\n    \
         applied_at {timestamp} NOT NULL,\n    fields {text} NOT NULL\n){options}"
    )
}

struct Index {
    name: String,
    is_unique: bool,
    columns: Vec<String>,
}

fn indexes(table: &TableDefinition) -> Vec<Index> {
    let index = |columns: &[&str], is_unique| Index {
        name: index_name(&table.table, columns),
        is_unique,
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
    };
    let mut indexes = vec![index(&[column::DIGEST], true), index(&[column::EXPIRES_AT], false)];
    let fields = table.fields.iter().filter(|field| field.indexed);
    indexes.extend(fields.map(|field| index(&[&field.name, column::INSERTED_AT], false)));
    indexes
}

/// As Ecto names an index: `sessions_auth_token_digest_index`, which also finds those that it made.
fn index_name(table: &str, columns: &[&str]) -> String {
    let name = format!("{table}_{}_index", columns.join("_"));
    if name.len() <= MAX_INDEX_NAME {
        return name;
    }
    // Shortened by the server, two long names could become one.
    let hash = Sha256::digest(name.as_bytes());
    let mut short: String = name.chars().take(MAX_INDEX_NAME - 9).collect();
    short.push('_');
    for byte in hash.iter().take(4) {
        // Writing to a string cannot fail.
        let _ = write!(short, "{byte:02x}");
    }
    short
}

/// Whether one of `indexes`, by its name, is a field's own: ours, or the one that `ecto_sessions` makes.
pub(crate) fn has_index(table: &str, field: &str, indexes: &[IndexInfo]) -> bool {
    let ours = index_name(table, &[field, column::INSERTED_AT]);
    let ectos = index_name(table, &[field]);
    indexes.iter().any(|index| index.name == ours || index.name == ectos)
}

fn create_index(table: &TableDefinition, index: &Index, backend: Backend) -> String {
    let unique = if index.is_unique { "UNIQUE " } else { "" };
    // MySQL does not know the words, and MariaDB needs none: `migrate` asks first which indexes there are.
    let if_not_exists = if backend == Backend::MySql { "" } else { "IF NOT EXISTS " };
    let name = quoted(&index.name, backend);
    // An index of SQLite's names the schema itself; elsewhere it lives where its table does.
    let (name, target) = match (backend, &table.schema) {
        (Backend::Sqlite, Some(schema)) => {
            (format!("{}.{name}", quoted(schema, backend)), quoted(&table.table, backend))
        }
        _ => (name, qualified(table, &table.table, backend)),
    };
    let columns: Vec<String> = index.columns.iter().map(|column| quoted(column, backend)).collect();
    format!("CREATE {unique}INDEX {if_not_exists}{name} ON {target} ({})", columns.join(", "))
}

fn history_name(table: &TableDefinition) -> String {
    format!("{}_cloakroom_migrations", table.table)
}

fn qualified(table: &TableDefinition, name: &str, backend: Backend) -> String {
    match &table.schema {
        Some(schema) => format!("{}.{}", quoted(schema, backend), quoted(name, backend)),
        None => quoted(name, backend),
    }
}

/// Names are identifiers, which `TableDefinition::validate` has made sure of; the quotes keep them from
/// being keywords.
fn quoted(name: &str, backend: Backend) -> String {
    let quote = if backend == Backend::MySql { '`' } else { '"' };
    format!("{quote}{name}{quote}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_named_as_ecto_names_it_and_never_too_long() {
        assert_eq!(index_name("sessions", &["auth_token_digest"]), "sessions_auth_token_digest_index");
        let long = "x".repeat(60);
        let name = index_name("sessions", &[&long, "inserted_at"]);
        assert_eq!(name.len(), MAX_INDEX_NAME);
        assert_ne!(name, index_name("sessions", &[&long, "updated_at"]));
    }

    #[test]
    fn no_name_becomes_sql() {
        let table = TableDefinition::new("; drop table users; --");
        for backend in Backend::ALL {
            assert!(matches!(up_sql(&table, backend), Err(ConfigError::Identifier { .. })));
            assert!(matches!(down_sql(&table, backend), Err(ConfigError::Identifier { .. })));
        }
    }
}
