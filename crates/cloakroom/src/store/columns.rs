//! How the columns of a table store values, as the catalogue says. The catalogue is read once for a handle, before the
//! first write.
//!
//! The struct says what the application stores, but another program may have made the table with narrower columns. A
//! value that a column would cut is refused, and the error names the field. A value that a column rounds, or writes in
//! another form, is read again after the write, so that the result is what the row holds. The instant by which one
//! write of a row is told from another must not be rounded.

use std::sync::{Arc, PoisonError, RwLock};

use sea_query::Value;

use crate::database::{Backend, ColumnInfo, ColumnType, Connection, FieldValue, Repr};
use crate::error::{Error, ErrorKind, Result};
use crate::table::{FieldDefinition, TableDefinition, column};

/// The columns of one table, once they are known.
#[derive(Default)]
pub(crate) struct Known(RwLock<Option<Arc<Columns>>>);

pub(crate) struct Columns {
    /// The problem with `updated_at`, if there is one.
    problem: Option<String>,
    /// Whether a value that is read may differ from what was written.
    pub(crate) may_change_values: bool,
    /// One for each field.
    bounds: Vec<Bound>,
}

/// The values that fit into a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    None,
    /// Text of this many characters.
    Characters(usize),
    /// This many bytes.
    Bytes(usize),
    /// Integers from and to.
    Integers(i64, i64),
    /// No values: they would be taken for others.
    Nothing,
}

impl Known {
    /// Returns the columns of `table`, and reads them from the catalogue if they are not known. Returns `None` if there
    /// is no such table.
    pub(crate) async fn columns(
        &self,
        connection: &mut Connection<'_>,
        table: &TableDefinition,
    ) -> Result<Option<Arc<Columns>>> {
        if let Some(columns) = &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Some(Arc::clone(columns)));
        }
        self.ask(connection, table).await
    }

    /// Reads the columns again: a column may have become wider since.
    pub(crate) async fn ask(
        &self,
        connection: &mut Connection<'_>,
        table: &TableDefinition,
    ) -> Result<Option<Arc<Columns>>> {
        let failed = |error| Error::from_sqlx(error, &table.to_string());
        let found = connection.columns(table.schema.as_deref(), &table.table).await.map_err(failed)?;
        if found.is_empty() {
            return Ok(None);
        }
        let columns = Arc::new(Columns::new(table, connection.backend(), &found));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&columns));
        Ok(Some(columns))
    }
}

impl Columns {
    fn new(table: &TableDefinition, backend: Backend, found: &[ColumnInfo]) -> Self {
        let info = |name: &str| found.iter().find(|info| backend.is_same_name(&info.name, name));
        let declared = |name: &str| info(name).map(|info| &*info.declared);
        let rounds = |name| declared(name).is_some_and(|declared| rounds_instants(backend, declared));
        let problem = rounds(column::UPDATED_AT).then(|| {
            let sql_type = backend.sql_type(&ColumnType::Timestamp);
            format!(
                "the column {} of {table} keeps no microseconds, by which one write is told from another; let its \
                 type be {sql_type}, or another with six digits of a second",
                column::UPDATED_AT
            )
        });
        let changes = |field: &FieldDefinition| match declared(&field.name) {
            Some(declared) => changes_values(backend, declared, field.column_type(backend)),
            None => false,
        };
        let rounds_others = rounds(column::EXPIRES_AT) || rounds(column::INSERTED_AT);
        Self {
            problem,
            may_change_values: rounds_others
                || !table.keeps_to_the_letter(backend)
                || table.fields.iter().any(changes),
            bounds: table
                .fields
                .iter()
                .map(|field| match info(&field.name) {
                    Some(info) if is_mistaken(backend, field, info) => Bound::Nothing,
                    Some(info) => bound(backend, &info.declared),
                    None => Bound::None,
                })
                .collect(),
        }
    }

    /// Refuses to write if one write of a row could not be told from another.
    pub(crate) fn check_writes(&self) -> Result<()> {
        match &self.problem {
            Some(problem) => Err(Error::new(ErrorKind::Unsupported, problem.clone())),
            None => Ok(()),
        }
    }

    /// Refuses a value that does not fit. The error names the field.
    pub(crate) fn check_values(&self, table: &TableDefinition, values: &[Option<FieldValue>]) -> Result<()> {
        for ((field, bound), value) in table.fields.iter().zip(&self.bounds).zip(values) {
            let Some(value) = value else {
                continue;
            };
            let problem = match (bound, &value.0) {
                (Bound::Characters(most), Repr::Plain(Value::String(Some(text))))
                    if text.len() > *most && text.chars().count() > *most =>
                {
                    format!(
                        "a value cannot be stored in {table}: {} is too long: its column holds {most} characters",
                        field.name
                    )
                }
                (Bound::Bytes(most), Repr::Plain(value))
                    if byte_length(value).is_some_and(|length| length > *most) =>
                {
                    format!(
                        "a value cannot be stored in {table}: {} is too long: its column holds {most} bytes",
                        field.name
                    )
                }
                (Bound::Integers(least, greatest), Repr::Plain(value))
                    if integer(value)
                        .is_some_and(|it| !(i128::from(*least)..=i128::from(*greatest)).contains(&it)) =>
                {
                    format!(
                        "a value cannot be stored in {table}: {} is out of range, beyond the integers that its column holds",
                        field.name
                    )
                }
                (Bound::Nothing, _) if value.fingerprint().is_some() => format!(
                    "a value cannot be stored in {table}: the type of {} is made of one whose values are not sent as \
                     text; let the field's sql_type be that one",
                    field.name
                ),
                _ => continue,
            };
            return Err(Error::new(ErrorKind::InvalidField, problem));
        }
        Ok(())
    }
}

/// Returns `true` if PostgreSQL would take the bytes of the field's values for values of a type that the field does not
/// name, because its `sql_type` is a domain.
fn is_mistaken(backend: Backend, field: &FieldDefinition, info: &ColumnInfo) -> bool {
    let foreign = field.foreign[backend as usize].as_ref();
    foreign.zip(info.base.as_deref()).is_some_and(|(foreign, base)| foreign.mistakes(base))
}

fn byte_length(value: &Value) -> Option<usize> {
    match value {
        Value::Bytes(bytes) => bytes.as_ref().map(Vec::len),
        Value::String(text) => text.as_ref().map(String::len),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i128> {
    match *value {
        Value::SmallInt(integer) => integer.map(i128::from),
        Value::Int(integer) => integer.map(i128::from),
        Value::BigInt(integer) => integer.map(i128::from),
        Value::SmallUnsigned(integer) => integer.map(i128::from),
        Value::Unsigned(integer) => integer.map(i128::from),
        Value::BigUnsigned(integer) => integer.map(i128::from),
        _ => None,
    }
}

/// Returns `true` if a column keeps instants with fewer than six digits of a second.
fn rounds_instants(backend: Backend, declared: &str) -> bool {
    match backend {
        // SQLite keeps the text.
        Backend::Sqlite => false,
        Backend::Postgres => {
            declared.starts_with("timestamp(") && !declared.starts_with("timestamp(6)") || declared == "date"
        }
        Backend::MySql => {
            let declared = declared.to_ascii_lowercase();
            ["datetime", "timestamp", "date"].iter().any(|word| declared.starts_with(word))
                && !declared.contains("(6)")
        }
    }
}

/// Returns `true` if a value that is stored in a column may be read as another value.
fn changes_values(backend: Backend, declared: &str, column_type: &ColumnType) -> bool {
    let declared = declared.to_ascii_lowercase();
    let word = declared.split(['(', ' ']).next().unwrap_or_default();
    match backend {
        // By the affinity of the column: <https://www.sqlite.org/datatype3.html>.
        Backend::Sqlite => {
            let has = |part: &str| declared.contains(part);
            let is_of_text = !has("int") && (has("char") || has("clob") || has("text"));
            let is_of_none = !has("int") && has("blob") || declared.is_empty();
            match column_type {
                ColumnType::Text | ColumnType::Json | ColumnType::Exact(_) => !is_of_text && !is_of_none,
                ColumnType::Integer | ColumnType::Bool => {
                    !has("int") && !is_of_none && word != "bool" && word != "boolean"
                }
                ColumnType::Float => is_of_text || has("int"),
                ColumnType::Bytes | ColumnType::Uuid | ColumnType::Timestamp => false,
            }
        }
        Backend::Postgres => match word {
            "real" | "bpchar" => true,
            "character" => !declared.starts_with("character varying") || declared.ends_with("[]"),
            // A type with a precision keeps no more than that.
            _ => declared.contains('(') && !declared.starts_with("timestamp(6)"),
        },
        Backend::MySql => match word {
            "varchar" | "text" | "tinytext" | "mediumtext" | "longtext" | "json" | "bigint" | "int"
            | "mediumint" | "smallint" | "tinyint" | "double" | "blob" | "tinyblob" | "mediumblob"
            | "longblob" | "varbinary" => false,
            "datetime" | "timestamp" => !declared.contains("(6)"),
            "binary" => *column_type != ColumnType::Uuid,
            _ => true,
        },
    }
}

fn bound(backend: Backend, declared: &str) -> Bound {
    let declared = declared.to_ascii_lowercase();
    let length = || declared.split(['(', ')']).nth(1).and_then(|length| length.parse().ok());
    let is_unsigned = declared.contains("unsigned");
    let integers = |bits: u32| {
        if is_unsigned {
            Bound::Integers(0, (1 << bits) - 1)
        } else {
            Bound::Integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
        }
    };
    let word = declared.split(['(', ' ']).next().unwrap_or_default();
    match (backend, word) {
        // SQLite has no lengths, and one width of integers.
        (Backend::Sqlite, _) => Bound::None,
        (Backend::Postgres, "character") if declared.ends_with("[]") => Bound::None,
        (Backend::Postgres, "character") | (Backend::MySql, "varchar" | "char") => {
            length().map_or(Bound::None, Bound::Characters)
        }
        // MySQL has no way to be strict for one statement, and would cut what is longer in a lenient mode.
        (Backend::MySql, "varbinary" | "binary") => length().map_or(Bound::None, Bound::Bytes),
        (Backend::MySql, "tinyblob" | "tinytext") => Bound::Bytes(255),
        (Backend::MySql, "blob" | "text") => Bound::Bytes(65_535),
        (Backend::MySql, "mediumblob" | "mediumtext") => Bound::Bytes(16_777_215),
        (_, "smallint") => integers(16),
        (Backend::Postgres, "integer") | (Backend::MySql, "int") => integers(32),
        (Backend::MySql, "mediumint") => integers(24),
        (Backend::MySql, "tinyint") => integers(8),
        (Backend::MySql, "bigint") if is_unsigned => Bound::Integers(0, i64::MAX),
        _ => Bound::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_column_cannot_keep_is_known_by_its_type() {
        use Backend::{MySql, Postgres, Sqlite};
        for (backend, declared, bounded, changes, rounds) in [
            (Postgres, "character varying(255)", Bound::Characters(255), false, false),
            (Postgres, "character varying(3)[]", Bound::None, true, false),
            (Postgres, "character(4)", Bound::Characters(4), true, false),
            (Postgres, "text", Bound::None, false, false),
            (Postgres, "integer", Bound::Integers(-2_147_483_648, 2_147_483_647), false, false),
            (Postgres, "timestamp(0) without time zone", Bound::None, true, true),
            (Postgres, "timestamp without time zone", Bound::None, false, false),
            (Postgres, "numeric(10,2)", Bound::None, true, false),
            (MySql, "varchar(30)", Bound::Characters(30), false, false),
            (MySql, "varbinary(255)", Bound::Bytes(255), false, false),
            (MySql, "blob", Bound::Bytes(65_535), false, false),
            (MySql, "tinytext", Bound::Bytes(255), false, false),
            (MySql, "tinyint(3) unsigned", Bound::Integers(0, 255), false, false),
            (MySql, "datetime", Bound::None, true, true),
            (MySql, "datetime(6)", Bound::None, false, false),
            (MySql, "decimal(10,2)", Bound::None, true, false),
            (Sqlite, "TEXT", Bound::None, false, false),
            (Sqlite, "INTEGER", Bound::None, true, false),
        ] {
            assert_eq!(bound(backend, declared), bounded, "{declared}");
            assert_eq!(changes_values(backend, declared, &ColumnType::Text), changes, "{declared}");
            assert_eq!(rounds_instants(backend, declared), rounds, "{declared}");
        }
    }
}
