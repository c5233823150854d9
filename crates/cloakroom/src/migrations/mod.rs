//! The session table's migrations: the statements that [`Sessions::migrate`](crate::Sessions::migrate) runs, and the
//! same statements as text, for applications that keep their own migrations.
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

mod beside;
mod compare;
mod device;
mod introspection;
mod record;
mod sql;
#[cfg(test)]
mod tests;
mod trigger;

use std::time::Duration;

use time::OffsetDateTime;

use beside::Beside;
use compare::{check_columns, check_index, why_refused};
use record::Record;
pub(crate) use sql::has_index;
use sql::{
    Index, add_column, create_history, create_index, create_schema, create_table, history_name, indexes,
    qualified,
};
pub use trigger::trigger_sql;

use crate::config::ConfigError;
use crate::database::{Backend, Connection, Database, Exclusive, FieldValue, Statement, is_overtaken, pause};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::table::{BUILT_IN_COLUMNS, BuiltInColumn, TableDefinition};

/// One step in the history of the session table's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Migration {
    /// The migration's number, from 1.
    pub version: u32,
    /// What it does, in a few words.
    pub name: &'static str,
}

/// The migrations and the built-in columns, in order. A version is never changed once it is released: later changes get
/// a version of their own.
#[derive(Clone, Copy)]
struct Steps<'s> {
    /// First the migration that makes the table with the columns of version 1, then that of its indexes. The migrations
    /// after these add columns.
    migrations: &'s [Migration],
    columns: &'s [BuiltInColumn],
    /// Whether a trigger announces what any SQL revokes.
    has_trigger: bool,
}

const TABLE: Migration = Migration { version: 1, name: "create the table, unique by digest" };
const INDEXES: Migration = Migration { version: 2, name: "index expires_at and the fields to look up" };

const SLIDING: Migration = Migration { version: 3, name: "add the span by which a session slides" };

const STEPS: Steps<'static> =
    Steps { migrations: &[TABLE, INDEXES, SLIDING], columns: &BUILT_IN_COLUMNS, has_trigger: false };

impl Steps<'_> {
    /// Returns the migration that adds this column.
    fn adding(&self, column: &BuiltInColumn) -> Migration {
        let adds = |migration: &&Migration| migration.version == column.since;
        self.migrations.iter().find(adds).copied().unwrap_or(TABLE)
    }
}

/// Returns the statements that create the table and its indexes, each without its semicolon.
///
/// # Errors
///
/// If a name in the definition is empty, too long, or holds a control character.
pub fn up_sql(table: &TableDefinition, backend: Backend) -> Result<Vec<String>, ConfigError> {
    table.validate(backend)?;
    let mut statements: Vec<String> = create_schema(table, backend).into_iter().collect();
    statements.push(create_table(table, backend));
    statements.extend(indexes(table).iter().map(|index| create_index(table, index, backend)));
    statements.extend(Beside::of(table).iter().flat_map(|beside| beside.create(table, backend)));
    Ok(statements)
}

/// Returns the statements that build the indexes of a table that is in use, each without its semicolon. Other
/// transactions can read and write the table meanwhile.
///
/// Run them one by one, outside of transactions, before [`Sessions::migrate`](crate::Sessions::migrate) adopts a table
/// of many rows; it then finds the indexes in place. On PostgreSQL they are `CREATE INDEX CONCURRENTLY`. On MariaDB and
/// MySQL they ask for `LOCK=NONE`, and the server refuses if writers would have to wait. SQLite has no such form:
/// writers wait until an index is built, but readers do not wait in WAL mode. `docs/adopting.md` in the repository says
/// more.
///
/// # Errors
///
/// If a name in the definition is empty, too long, or holds a control character.
pub fn index_sql(table: &TableDefinition, backend: Backend) -> Result<Vec<String>, ConfigError> {
    table.validate(backend)?;
    let statement = |index: &Index| backend.dialect().index_in_use(create_index(table, index, backend));
    Ok(indexes(table).iter().map(statement).collect())
}

/// Returns the statements that undo [`up_sql`]. They drop the table with all its sessions.
///
/// # Errors
///
/// If a name in the definition is empty, too long, or holds a control character.
pub fn down_sql(table: &TableDefinition, backend: Backend) -> Result<Vec<String>, ConfigError> {
    table.validate(backend)?;
    let drop = |name: &str| format!("DROP TABLE IF EXISTS {}", qualified(table, name, backend));
    let beside = Beside::of(table);
    Ok(beside.iter().map(|beside| drop(&beside.name)).chain([drop(&table.table)]).collect())
}

pub(crate) async fn up(
    database: &Database,
    table: &TableDefinition,
    has_trigger: bool,
    now: OffsetDateTime,
) -> Result<Vec<Migration>> {
    take(Steps { has_trigger, ..STEPS }, database, table, now).await
}

async fn take(
    steps: Steps<'_>,
    database: &Database,
    table: &TableDefinition,
    now: OffsetDateTime,
) -> Result<Vec<Migration>> {
    // Most starts find everything in place. They need no lock and no right to write.
    match plan_without_lock(steps, database, table).await {
        Ok(plan) if plan.is_empty() => return Ok(Vec::new()),
        Ok(plan) if plan.is_usable_without => {}
        Ok(_) => return until_done(steps, database, table, now).await,
        Err(error) => return Err(error),
    }
    match until_done(steps, database, table, now).await {
        // The table is as it must be. A role that may only use it need not record that it is, and a column of a later
        // version can be added by another role.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnly) => {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(%table, error, "the table can be used as it is, and this role may not bring it up to date");
            Ok(Vec::new())
        }
        done => done,
    }
}

/// Makes the plan on the pool, and anew if another node's change of the table has undone what was read of it.
async fn plan_without_lock(steps: Steps<'_>, database: &Database, table: &TableDefinition) -> Result<Plan> {
    let mut overtaken = 0;
    loop {
        match Plan::make(steps, &mut Connection::of(database), table).await {
            Err(error) if error.kind() == ErrorKind::Contention && overtaken < OVERTAKEN => {
                tokio::time::sleep(pause(overtaken)).await;
                overtaken += 1;
            }
            plan => return plan,
        }
    }
}

/// How often a migration starts anew after another node of a cluster was quicker. Each time it is further on.
const OVERTAKEN: u32 = 20;

/// Carries out what is missing, and starts anew for as long as others do the same at the same time: the lock of MariaDB
/// and MySQL is that of one server, and the other nodes of its cluster have locks of their own.
async fn until_done(
    steps: Steps<'_>,
    database: &Database,
    table: &TableDefinition,
    now: OffsetDateTime,
) -> Result<Vec<Migration>> {
    let (mut overtaken, mut is_begun) = (0, false);
    let mut pauses = pauses();
    let error = loop {
        match carry_out(steps, database, table, now, &mut is_begun).await {
            Err(Stopped::Locked(error)) => {
                let Some(pause) = pauses.next() else {
                    break error;
                };
                tracing::debug!(%table, error = &error as &dyn std::error::Error, "another transaction has the table");
                tokio::time::sleep(pause).await;
            }
            Err(Stopped::Overtaken(error)) if overtaken == OVERTAKEN => break error,
            Err(Stopped::Overtaken(error)) => {
                tracing::debug!(%table, error = &error as &dyn std::error::Error, "another process was quicker");
                tokio::time::sleep(pause(overtaken)).await;
                overtaken += 1;
            }
            Err(Stopped::Failed(error)) => break error,
            Ok(done) => return Ok(done),
        }
    };
    let is_partly_done = is_begun && database.backend().dialect().commits_changes_of_tables();
    Err(if is_partly_done { error.with_outcome(Outcome::Unknown) } else { error })
}

/// Returns how long a migration waits before it tries again to get a table that other transactions use. While it waits
/// for the table itself, all others wait behind it.
fn pauses() -> impl Iterator<Item = Duration> {
    const LONGEST: Duration = Duration::from_secs(2);
    const TIMES: usize = 40;
    let doubled = |pause: &Duration| Some((*pause * 2).min(LONGEST));
    std::iter::successors(Some(Duration::from_millis(100)), doubled).take(TIMES)
}

/// Why a migration has stopped.
enum Stopped {
    /// Another process does the same.
    Overtaken(Error),
    /// Other transactions use the table to which a column is to be added.
    Locked(Error),
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Carries out what is missing, and notes whether any of it was done, at this time or an earlier one.
async fn carry_out(
    steps: Steps<'_>,
    database: &Database,
    table: &TableDefinition,
    now: OffsetDateTime,
    is_begun: &mut bool,
) -> Result<Vec<Migration>, Stopped> {
    let dialect = database.backend().dialect();
    let failed = |error| Error::from_sqlx(error, &table.to_string());
    let mut exclusive = Exclusive::acquire(database, table.full_name()).await?;
    let mut connection = exclusive.connection();
    // Another node's change has undone this one, or what was read. Elsewhere the lock leaves no room for that.
    let is_undone =
        |error: &Error| error.kind() == ErrorKind::Contention && dialect.commits_changes_of_tables();
    // The record is unique by its version alone, and reading meets no constraint.
    let stopped = |error: Error| {
        let is_overtaken = error.kind() == ErrorKind::Constraint || is_undone(&error);
        if is_overtaken { Stopped::Overtaken(error) } else { Stopped::Failed(error) }
    };
    let plan = Plan::make(steps, &mut connection, table).await.map_err(stopped)?;
    if plan.changes_table
        && let Some(bound) = dialect.bounds_wait_for_table()
    {
        connection.execute_raw(bound).await.map_err(failed)?;
    }
    for statement in &plan.statements {
        connection.execute_raw(statement).await.map_err(|error| {
            let is_overtaken = is_overtaken(&error);
            let error = failed(error);
            let stopped = match error.kind() {
                _ if is_overtaken || is_undone(&error) => Stopped::Overtaken,
                ErrorKind::LockTimeout if plan.changes_table => Stopped::Locked,
                _ => Stopped::Failed,
            };
            stopped(plan.explained(error, statement))
        })?;
        *is_begun = true;
    }
    for migration in &plan.pending {
        let record = record(table, *migration, database.backend(), now);
        connection.execute(&record).await.map_err(|error| stopped(failed(error)))?;
        *is_begun = true;
    }
    if let Some(record) = &plan.record {
        let replaced = record::replace(table, record, database.backend());
        connection.execute(&replaced).await.map_err(|error| stopped(failed(error)))?;
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
    let mut exclusive = Exclusive::acquire(database, table.full_name()).await?;
    let mut connection = exclusive.connection();
    let mut undone = applied(STEPS, &mut connection, table).await?;
    for beside in Beside::of(table) {
        if beside.is_there(&mut connection, table).await? {
            undone.push(beside.migration);
        }
    }
    if table.binds_devices() && device::are_there(&mut connection, table).await? {
        undone.push(device::DEVICES);
    }
    let columns = connection.columns(table.schema.as_deref(), &table.table).await.map_err(failed)?;
    if !columns.is_empty() && !undone.contains(&TABLE) {
        // Another program made the table, and it is dropped all the same.
        undone = STEPS.migrations.iter().copied().chain(undone).collect();
    }
    let history = format!("DROP TABLE IF EXISTS {}", qualified(table, &history_name(table), backend));
    let statements =
        down_sql(table, backend).map_err(|error| Error::new(ErrorKind::Unsupported, error.to_string()))?;
    let function = backend.dialect().notifies().then(|| trigger::drop_function(table, backend));
    for statement in statements.into_iter().chain([history]).chain(function) {
        connection.execute_raw(&statement).await.map_err(failed)?;
    }
    exclusive.commit().await.map_err(failed)?;
    undone.reverse();
    Ok(undone)
}

pub(crate) async fn status(database: &Database, table: &TableDefinition) -> Result<Vec<(Migration, bool)>> {
    let mut connection = Connection::of(database);
    let applied = applied(STEPS, &mut connection, table).await?;
    let mut status: Vec<_> =
        STEPS.migrations.iter().map(|migration| (*migration, applied.contains(migration))).collect();
    for beside in Beside::of(table) {
        status.push((beside.migration, beside.is_there(&mut connection, table).await?));
    }
    if table.binds_devices() {
        status.push((device::DEVICES, device::are_there(&mut connection, table).await?));
    }
    Ok(status)
}

pub(crate) async fn plan(
    database: &Database,
    table: &TableDefinition,
    has_trigger: bool,
) -> Result<Vec<String>> {
    Ok(Plan::make(Steps { has_trigger, ..STEPS }, &mut Connection::of(database), table).await?.statements)
}

/// The statements and records that bring the table up to date.
struct Plan {
    statements: Vec<String>,
    pending: Vec<Migration>,
    /// What is to be recorded of the fields from now on, if it differs from what was recorded.
    record: Option<Record>,
    /// Migrations that are recorded, but of which a part is missing in the table.
    restored: Vec<Migration>,
    /// Whether a table that exists gets columns or a trigger.
    changes_table: bool,
    /// Whether the table and its indexes exist, and only the record of them is missing, or a column of a later version.
    is_usable_without: bool,
    /// The possible reasons if the server refuses to make the table.
    refusals: Vec<String>,
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.statements.is_empty() && self.pending.is_empty() && self.record.is_none()
    }

    /// Returns the error of a statement, with the known reasons for it.
    fn explained(&self, error: Error, statement: &str) -> Error {
        use ErrorKind::{Constraint, Database, MissingColumn, MissingTable};
        let is_of_the_table = statement.starts_with("CREATE TABLE");
        let may_be_a_key = matches!(error.kind(), Constraint | Database | MissingColumn | MissingTable);
        if self.refusals.is_empty() || !is_of_the_table || !may_be_a_key {
            return error;
        }
        let outcome = error.outcome();
        Error::new(ErrorKind::ColumnMismatch, self.refusals.join("; and "))
            .with_source(error)
            .with_outcome(outcome)
    }

    /// Returns the migrations that the plan has applied once it is carried out.
    fn done(self) -> Vec<Migration> {
        let mut done = [self.pending, self.restored].concat();
        done.sort_by_key(|migration| migration.version);
        done
    }

    async fn make(
        steps: Steps<'_>,
        connection: &mut Connection<'_>,
        table: &TableDefinition,
    ) -> Result<Self> {
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
        let applied = match applied(steps, connection, table).await {
            // On PostgreSQL every role sees that the record exists, but not every role may read it.
            Err(error) if error.kind() == ErrorKind::PermissionDenied && connection.is_pool() => Vec::new(),
            applied => applied?,
        };
        let present = connection.described(schema, &table.table).await.map_err(failed)?;
        let mut refusals = Vec::new();
        let mut touched = Vec::new();
        let (mut added, mut for_devices) = (0, Vec::new());
        let existing = if present.is_empty() {
            statements.push(create_table(table, backend));
            touched.push(TABLE);
            touched.extend(table.binds_devices().then_some(device::DEVICES));
            refusals = foreign_keys_that_may_be_refused(connection, table).await?;
            Vec::new()
        } else {
            check_columns(table, &present, backend)?;
            let is_missing = |column: &&BuiltInColumn| {
                !present.iter().any(|described| backend.dialect().is_same_name(&described.name, column.name))
            };
            for column in steps.columns.iter().filter(is_missing) {
                statements.push(add_column(table, column, backend));
                touched.push(steps.adding(column));
                added = statements.len();
            }
            for_devices = device::missing(table, &present, backend);
            connection.indexes(schema, &table.table).await.map_err(failed)?
        };
        for index in &indexes(table) {
            if let Some(info) =
                existing.iter().find(|info| backend.dialect().is_same_name(&info.name, &index.name))
            {
                check_index(table, index, info, backend)?;
            } else {
                statements.push(create_index(table, index, backend));
                touched.push(if index.is_unique { TABLE } else { INDEXES });
            }
        }
        let mut is_usable_without = statements.len() == added && for_devices.is_empty();
        let mut changes_table = added > 0 || !for_devices.is_empty();
        if !for_devices.is_empty() {
            statements.extend(for_devices);
            touched.push(device::DEVICES);
        }
        let beside = Beside::of(table);
        for beside in &beside {
            let missing = beside.missing(connection, table).await?;
            if !missing.is_empty() {
                statements.extend(missing);
                touched.push(beside.migration);
                is_usable_without = false;
            }
        }
        if steps.has_trigger && backend.dialect().notifies() {
            let missing = trigger::missing(connection, table).await?;
            is_usable_without &= missing.is_empty();
            changes_table |= !missing.is_empty() && !present.is_empty();
            statements.extend(missing);
        }
        if applied.is_empty() {
            statements.insert(after_schema, create_history(table, backend));
        }
        let (recorded, pending): (Vec<_>, Vec<_>) =
            steps.migrations.iter().copied().partition(|migration| applied.contains(migration));
        // The tables beside, and the columns of devices, are not recorded: they are there or not.
        let beside = beside.iter().map(|beside| beside.migration).chain([device::DEVICES]);
        let recorded = recorded.into_iter().chain(beside);
        let restored = recorded.filter(|migration| touched.contains(migration)).collect();
        // A migration that is pending records the fields as they are.
        let record = if pending.contains(&TABLE) {
            None
        } else {
            let recorded = record::recorded(connection, table).await?;
            recorded.and_then(|recorded| recorded.completed(&Record::of(table, backend)))
        };
        Ok(Self { statements, pending, record, restored, changes_table, is_usable_without, refusals })
    }
}

/// Returns reasons why the server may refuse a foreign key.
async fn foreign_keys_that_may_be_refused(
    connection: &mut Connection<'_>,
    table: &TableDefinition,
) -> Result<Vec<String>> {
    let failed = |error| Error::from_sqlx(error, &table.to_string());
    let backend = connection.backend();
    let dialect = backend.dialect();
    let mut refusals = Vec::new();
    for field in &table.fields {
        let reference = field.references.as_ref().filter(|reference| reference.cascade);
        let Some(reference) = reference.filter(|_| dialect.needs_for_references().is_some()) else {
            continue;
        };
        // Otherwise the database looks along its search path.
        let schema = table.schema.as_deref().filter(|_| dialect.refers_within_schema());
        let target = connection.described(schema, &reference.table).await.map_err(failed)?;
        refusals.extend(why_refused(field, reference, &target, backend));
    }
    Ok(refusals)
}

async fn applied(
    steps: Steps<'_>,
    connection: &mut Connection<'_>,
    table: &TableDefinition,
) -> Result<Vec<Migration>> {
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
    let is_applied = |migration: &Migration| versions.contains(&i64::from(migration.version));
    Ok(steps.migrations.iter().copied().filter(is_applied).collect())
}

fn record(table: &TableDefinition, migration: Migration, backend: Backend, now: OffsetDateTime) -> Statement {
    let history = qualified(table, &history_name(table), backend);
    let values = if backend.dialect().numbers_placeholders() { "$1, $2, $3" } else { "?, ?, ?" };
    let fields = Record::of(table, backend).to_string();
    Statement::new(
        format!("INSERT INTO {history} (version, applied_at, fields) VALUES ({values})"),
        vec![
            FieldValue::plain(i64::from(migration.version)),
            FieldValue::plain(now),
            FieldValue::plain(fields),
        ],
    )
}
