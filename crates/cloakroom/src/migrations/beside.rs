//! The tables beside a session table, for definitions that ask for them: the tokens that its sessions had before, and its
//! audit log.

use super::Migration;
use super::sql::{Index, create_index, index_name, qualified, quoted};
use crate::database::{Backend, Connection, null_or_not};
use crate::error::{Error, ErrorKind, Result};
use crate::table::{FieldDefinition, TableDefinition, audit_column, retired_column};

/// Their migrations have numbers apart, since each is only of the tables whose definition asks for it. They are not
/// recorded: the table itself tells.
const RETIRED: Migration = Migration { version: 101, name: "create the table of retired tokens" };
const AUDIT_LOG: Migration = Migration { version: 102, name: "create the audit log" };

/// A table beside a session table.
pub(super) struct Beside {
    pub(super) migration: Migration,
    /// What its rows are, in a message.
    rows: &'static str,
    /// Its name, without its schema.
    pub(super) name: String,
    key: (&'static str, Key),
    columns: Vec<FieldDefinition>,
    indexes: &'static [&'static [&'static str]],
}

/// What kind of column the primary key is.
enum Key {
    Digest,
    Id,
}

impl Beside {
    /// Returns the tables that the definition asks for.
    pub(super) fn of(table: &TableDefinition) -> Vec<Self> {
        let retired = table.keeps_retired_tokens().then(|| Self::retired(table));
        let audit_log = table.keeps_audit_log().then(|| Self::audit_log(table));
        retired.into_iter().chain(audit_log).collect()
    }

    pub(super) fn retired(table: &TableDefinition) -> Self {
        Self {
            migration: RETIRED,
            rows: "retired tokens",
            name: table.retired_name(),
            key: (retired_column::DIGEST, Key::Digest),
            columns: TableDefinition::retired_columns().into(),
            // The first finds the tokens of a session, and those of them that are still good for anything. The second
            // finds what the pruner has to do.
            indexes: &[
                &[retired_column::SESSION_ID, retired_column::USABLE_UNTIL],
                &[retired_column::USABLE_UNTIL],
            ],
        }
    }

    pub(super) fn audit_log(table: &TableDefinition) -> Self {
        Self {
            migration: AUDIT_LOG,
            rows: "an audit log",
            name: table.audit_name(),
            key: (audit_column::ID, Key::Id),
            columns: TableDefinition::audit_columns().into(),
            indexes: &[
                &[audit_column::SESSION_ID],
                &[audit_column::OWNER, audit_column::RECORDED_AT],
                &[audit_column::RECORDED_AT],
            ],
        }
    }

    /// Returns the statements that make the table and its indexes.
    pub(super) fn create(&self, table: &TableDefinition, backend: Backend) -> Vec<String> {
        let itself = self.itself(table);
        let create_indexes = self.indexes().map(|index| create_index(&itself, &index, backend));
        [self.create_table(table, backend)].into_iter().chain(create_indexes).collect()
    }

    fn create_table(&self, table: &TableDefinition, backend: Backend) -> String {
        let dialect = backend.dialect();
        let line = |column: &FieldDefinition| {
            let null = null_or_not(column.is_nullable());
            format!("{} {} {null}", column.name(), dialect.sql_type(column.column_type(backend)))
        };
        let (key, kind) = &self.key;
        let key_type = match kind {
            Key::Digest => dialect.digest_type(),
            Key::Id => dialect.sql_type(&crate::database::ColumnType::Uuid),
        };
        let mut lines = vec![format!("{key} {key_type} NOT NULL PRIMARY KEY")];
        lines.extend(self.columns.iter().map(line));
        let (name, options) = (qualified(table, &self.name, backend), dialect.table_options(&[]));
        format!("CREATE TABLE IF NOT EXISTS {name} (\n    {}\n){options}", lines.join(",\n    "))
    }

    /// Returns the table by itself, as the functions that write indexes take a table.
    fn itself(&self, table: &TableDefinition) -> TableDefinition {
        let itself = TableDefinition::new(self.name.clone());
        match table.schema_name() {
            Some(schema) => itself.schema(schema.to_owned()),
            None => itself,
        }
    }

    fn indexes(&self) -> impl Iterator<Item = Index> {
        self.indexes.iter().map(|columns| Index {
            name: index_name(&self.name, columns),
            is_unique: false,
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
        })
    }

    /// Returns `true` if there is such a table.
    pub(super) async fn is_there(
        &self,
        connection: &mut Connection<'_>,
        table: &TableDefinition,
    ) -> Result<bool> {
        let failed = |error| Error::from_sqlx(error, &table.to_string());
        let columns = connection.columns(table.schema_name(), &self.name).await.map_err(failed)?;
        // Each of its names is looked for: an application may have a table of this name.
        let has = |name: &str| columns.iter().any(|column| column.name == name);
        Ok(self.names().all(has))
    }

    /// Returns the statements that make what is missing of the table.
    pub(super) async fn missing(
        &self,
        connection: &mut Connection<'_>,
        table: &TableDefinition,
    ) -> Result<Vec<String>> {
        let failed = |error| Error::from_sqlx(error, &table.to_string());
        let (backend, schema) = (connection.backend(), table.schema_name());
        let is_same = |one: &str, other: &str| backend.dialect().is_same_name(one, other);
        let columns = connection.columns(schema, &self.name).await.map_err(failed)?;
        if columns.is_empty() {
            return Ok(self.create(table, backend));
        }
        let lacks = |name: &&str| !columns.iter().any(|column| is_same(&column.name, name));
        if let Some(missing) = self.names().find(lacks) {
            let message = format!(
                "the table {} is not one of {}: it has no column {missing}. If it is another's, give the session \
                 table another name",
                quoted(&self.name, backend),
                self.rows,
            );
            return Err(Error::new(ErrorKind::MissingColumn, message));
        }
        let existing = connection.indexes(schema, &self.name).await.map_err(failed)?;
        let is_missing = |index: &Index| !existing.iter().any(|other| is_same(&other.name, &index.name));
        let itself = self.itself(table);
        Ok(self.indexes().filter(is_missing).map(|index| create_index(&itself, &index, backend)).collect())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        [self.key.0].into_iter().chain(self.columns.iter().map(FieldDefinition::name))
    }
}
