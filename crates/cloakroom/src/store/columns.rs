//! How the columns of a table store values, as the catalogue says. The catalogue is read once for a handle, before the
//! first write.
//!
//! The struct says what the application stores, but another program may have made the table with narrower columns. A
//! value that a column would cut is refused, and the error names the field. A value that a column rounds, or writes in
//! another form, is read again after the write, so that the result is what the row holds. The instant by which one
//! write of a row is told from another must not be rounded.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use sea_query::Value;

use crate::database::{Backend, Bound, ColumnInfo, ColumnType, Connection, FieldValue, Repr};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::table::{FieldDefinition, TableDefinition, column};

/// The columns of one table, once they are known.
#[derive(Default)]
pub(crate) struct Known {
    columns: RwLock<Option<Arc<Columns>>>,
    sliding: AtomicU8,
}

/// What is known of the column `sliding_seconds`, which a table lacks that was not migrated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HasSliding {
    Unknown,
    No,
    Yes,
}

pub(crate) struct Columns {
    /// The problem with `updated_at`, if there is one.
    problem: Option<String>,
    /// Whether a value that is read may differ from what was written.
    pub(crate) may_change_values: bool,
    has_sliding: bool,
    /// One for each field.
    bounds: Vec<Bound>,
}

impl Known {
    /// Returns the columns of `table`, and reads them from the catalogue if they are not known. Returns `None` if there
    /// is no such table.
    pub(crate) async fn columns(
        &self,
        connection: &mut Connection<'_>,
        table: &TableDefinition,
    ) -> Result<Option<Arc<Columns>>> {
        if let Some(columns) = &*self.columns.read().unwrap_or_else(PoisonError::into_inner) {
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
        // Nothing is written before the columns are known.
        let failed = |error| Error::from_sqlx(error, &table.to_string()).with_outcome(Outcome::NotDone);
        let found = connection.columns(table.schema.as_deref(), &table.table).await.map_err(failed)?;
        if found.is_empty() {
            return Ok(None);
        }
        let columns = Arc::new(Columns::new(table, connection.backend(), &found));
        *self.columns.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&columns));
        let has_sliding = if columns.has_sliding { HasSliding::Yes } else { HasSliding::No };
        self.sliding.store(has_sliding as u8, Ordering::Relaxed);
        Ok(Some(columns))
    }

    /// Forgets the columns, since the table has been made or changed.
    pub(crate) fn forget(&self) {
        *self.columns.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.sliding.store(HasSliding::Unknown as u8, Ordering::Relaxed);
    }

    pub(crate) fn has_sliding(&self) -> HasSliding {
        match self.sliding.load(Ordering::Relaxed) {
            0 => HasSliding::Unknown,
            1 => HasSliding::No,
            _ => HasSliding::Yes,
        }
    }
}

impl Columns {
    fn new(table: &TableDefinition, backend: Backend, found: &[ColumnInfo]) -> Self {
        let info = |name: &str| found.iter().find(|info| backend.dialect().is_same_name(&info.name, name));
        let declared = |name: &str| info(name).map(|info| &*info.declared);
        let dialect = backend.dialect();
        let rounds = |name| declared(name).is_some_and(|declared| dialect.rounds_instants(declared));
        let problem = rounds(column::UPDATED_AT).then(|| {
            let sql_type = backend.dialect().sql_type(&ColumnType::Timestamp);
            format!(
                "the column {} of {table} keeps no microseconds, by which one write is told from another; let its \
                 type be {sql_type}, or another with six digits of a second",
                column::UPDATED_AT
            )
        });
        let changes = |field: &FieldDefinition| match declared(&field.name) {
            Some(declared) => dialect.changes_values(declared, field.column_type(backend)),
            None => false,
        };
        let rounds_others = rounds(column::EXPIRES_AT) || rounds(column::INSERTED_AT);
        let changes_data = declared(column::DATA)
            .is_some_and(|declared| dialect.changes_values(declared, &ColumnType::Json));
        Self {
            problem,
            has_sliding: declared(column::SLIDING).is_some(),
            may_change_values: rounds_others
                || changes_data
                || !table.keeps_to_the_letter(backend)
                || table.fields.iter().any(changes),
            bounds: table
                .fields
                .iter()
                .map(|field| match info(&field.name) {
                    Some(info) if is_mistaken(backend, field, info) => Bound::Nothing,
                    Some(info) => dialect.bound(&info.declared),
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

    /// Returns as much of a text as the field's column holds, or `None` if it cannot hold one.
    pub(crate) fn cut<'t>(&self, field: usize, text: &'t str) -> Option<&'t str> {
        match self.bounds.get(field) {
            Some(Bound::Characters(most)) => {
                let end = text.char_indices().nth(*most).map_or(text.len(), |(end, _)| end);
                Some(&text[..end])
            }
            Some(Bound::Bytes(most)) => Some(&text[..text.floor_char_boundary(*most)]),
            Some(Bound::None) => Some(text),
            Some(Bound::Integers(..) | Bound::Nothing) | None => None,
        }
    }

    /// Refuses a value that does not fit. The error names the field.
    pub(crate) fn check_values(&self, table: &TableDefinition, values: &[Option<FieldValue>]) -> Result<()> {
        for ((field, bound), value) in table.fields.iter().zip(&self.bounds).zip(values) {
            let Some(value) = value else {
                continue;
            };
            let problem = match (bound, &value.0) {
                (Bound::Characters(most), value)
                    if text(value).is_some_and(|text| text.len() > *most && text.chars().count() > *most) =>
                {
                    format!(
                        "a value cannot be stored in {table}: {} is too long: its column holds {most} characters",
                        field.name
                    )
                }
                (Bound::Bytes(most), value) if byte_length(value).is_some_and(|length| length > *most) => {
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

/// Returns the text of a value, also of one of the application's own types.
fn text(value: &Repr) -> Option<Cow<'_, str>> {
    match value {
        Repr::Plain(Value::String(text)) => text.as_deref().map(Cow::Borrowed),
        Repr::Native(value) => value.text().map(Cow::Owned),
        _ => None,
    }
}

fn byte_length(value: &Repr) -> Option<usize> {
    match value {
        Repr::Plain(Value::Bytes(bytes)) => bytes.as_ref().map(Vec::len),
        value => text(value).map(|text| text.len()),
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
