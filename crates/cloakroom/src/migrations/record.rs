//! The record of the fields beside the migrations: the types and roles that were declared, as far as the table itself does
//! not tell them.
//!
//! It is the text `name:type:role` for each field, with commas between them. The type is left out if it is one of the
//! database's own, and the role if there is none.

use std::collections::HashMap;

use super::sql::{history_name, qualified};
use crate::database::{Backend, ColumnType, Connection, FieldValue, Statement};
use crate::error::{Error, ErrorKind, Result};
use crate::table::{FieldDefinition, Role, TableDefinition};

/// What is recorded of a field.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RecordedField {
    pub(super) column_type: Option<ColumnType>,
    pub(super) role: Option<Role>,
}

/// The fields' names, and what is recorded of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Record(Vec<(String, RecordedField)>);

impl Record {
    /// Returns what is to be recorded of the table's fields.
    pub(super) fn of(table: &TableDefinition, backend: Backend) -> Self {
        let field = |field: &FieldDefinition| {
            let column_type = field.column_type(backend);
            let column_type = (!matches!(column_type, ColumnType::Exact(_))).then(|| column_type.clone());
            let recorded = RecordedField { column_type, role: field.role() };
            (recorded != RecordedField::default()).then(|| (field.name().to_owned(), recorded))
        };
        Self(table.fields.iter().filter_map(field).collect())
    }

    pub(super) fn parse(text: &str) -> Self {
        let field = |field: &str| {
            let mut parts = field.split(':');
            let (name, column_type, role) = (parts.next()?, parts.next()?, parts.next());
            // A later version may record what this one does not know.
            let column_type = column_type.parse().ok();
            let role = role.and_then(|role| role.parse().ok());
            Some((unescaped(name), RecordedField { column_type, role }))
        };
        Self(text.split(',').filter_map(field).collect())
    }

    /// Returns the record with what the program that has made it did not know: fields that were added since, and roles.
    /// Returns `None` if it has all of that.
    ///
    /// Types stay as they were first recorded. Fields that `newer` does not have may be those of another version of the
    /// application, and stay too.
    pub(super) fn completed(&self, newer: &Self) -> Option<Self> {
        let mut completed = self.clone();
        for (name, field) in &newer.0 {
            // A role that has moved to another column.
            for (_, other) in completed.0.iter_mut().filter(|(other, _)| other != name) {
                if other.role == field.role {
                    other.role = None;
                }
            }
            match completed.0.iter_mut().find(|(other, _)| other == name) {
                Some((_, recorded)) => recorded.role = field.role,
                None => completed.0.push((name.clone(), field.clone())),
            }
        }
        (completed != *self).then_some(completed)
    }

    pub(super) fn into_fields(self) -> HashMap<String, RecordedField> {
        self.0.into_iter().collect()
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, (name, field)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{}:", escaped(name))?;
            if let Some(column_type) = &field.column_type {
                write!(f, "{column_type}")?;
            }
            if let Some(role) = field.role {
                write!(f, ":{role}")?;
            }
        }
        Ok(())
    }
}

/// Returns what was recorded of the fields. On PostgreSQL every role sees that there is a record, but not every role may
/// read it.
pub(super) async fn recorded(
    connection: &mut Connection<'_>,
    table: &TableDefinition,
) -> Result<Option<Record>> {
    let failed = |error| Error::from_sqlx(error, &table.to_string());
    let schema = table.schema.as_deref();
    if connection.columns(schema, &history_name(table)).await.map_err(failed)?.is_empty() {
        return Ok(None);
    }
    let history = qualified(table, &history_name(table), connection.backend());
    let statement = Statement::new(format!("SELECT fields FROM {history} WHERE version = 1"), Vec::new());
    let row = match connection.fetch_optional(&statement).await.map_err(failed) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied && connection.is_pool() => return Ok(None),
        row => row?,
    };
    let fields = row.map(|row| row.text(0)).transpose().map_err(failed)?;
    Ok(fields.map(|fields| Record::parse(&fields.unwrap_or_default())))
}

/// Returns the statement that replaces the record.
pub(super) fn replace(table: &TableDefinition, record: &Record, backend: Backend) -> Statement {
    let history = qualified(table, &history_name(table), backend);
    let value = if backend.dialect().numbers_placeholders() { "$1" } else { "?" };
    let sql = format!("UPDATE {history} SET fields = {value} WHERE version = 1");
    Statement::new(sql, vec![FieldValue::plain(record.to_string())])
}

/// The escapes for characters of a field's name that separate the parts of the record.
const ESCAPES: [(&str, &str); 3] = [("%", "%25"), (",", "%2C"), (":", "%3A")];

fn escaped(name: &str) -> String {
    ESCAPES.iter().fold(name.to_owned(), |name, (divider, escape)| name.replace(divider, escape))
}

fn unescaped(name: &str) -> String {
    ESCAPES.iter().rev().fold(name.to_owned(), |name, (divider, escape)| name.replace(escape, divider))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dynamic(name: &'static str, column_type: ColumnType) -> FieldDefinition {
        FieldDefinition::dynamic(name, column_type)
    }

    fn of(fields: impl IntoIterator<Item = FieldDefinition>) -> Record {
        let table = fields.into_iter().fold(TableDefinition::new("t"), TableDefinition::field);
        Record::of(&table, Backend::Sqlite)
    }

    #[test]
    fn a_name_with_the_records_own_dividers_is_read_back() {
        for name in ["a,b", "a:b", "100%", "%2C", "%25,:%3A", "plain"] {
            let escaped = escaped(name);
            assert!(!escaped.contains([',', ':']), "{escaped}");
            assert_eq!(unescaped(&escaped), name);
        }
    }

    #[test]
    fn a_record_is_read_as_it_is_written_with_types_and_roles() {
        let exact = || ColumnType::Exact("varchar(64)".into());
        let record = of([
            dynamic("a,b", ColumnType::Bool),
            dynamic("c:d", ColumnType::Text).for_role(Role::Hint),
            dynamic("left_out", exact()),
        ]);
        assert_eq!(record.to_string(), "a%2Cb:bool,c%3Ad:text:hint");
        assert_eq!(Record::parse(&record.to_string()), record);
        let exact = of([dynamic("hint", exact()).for_role(Role::Hint)]);
        assert_eq!(exact.to_string(), "hint::hint");
        assert_eq!(Record::parse(&exact.to_string()), exact);
        assert_eq!(Record::parse(""), Record::default());
        // What a later version may write.
        let later = Record::parse("a:money:of_later:more,b:text:of_later").into_fields();
        assert_eq!(later["a"], RecordedField::default());
        assert_eq!(later["b"].column_type, Some(ColumnType::Text));
    }

    #[test]
    fn a_record_is_completed_and_otherwise_stays() {
        let text = |name| dynamic(name, ColumnType::Text);
        let first = of([text("user_id"), text("shown"), dynamic("old", ColumnType::Bool)]);
        assert_eq!(first.completed(&of([text("user_id"), dynamic("old", ColumnType::Integer)])), None);
        let with_role = first.completed(&of([text("user_id"), text("shown").for_role(Role::Hint)])).unwrap();
        assert_eq!(with_role.to_string(), "user_id:text,shown:text:hint,old:bool");
        let added = with_role.completed(&of([text("user_id"), dynamic("added", ColumnType::Bool)])).unwrap();
        assert_eq!(added.to_string(), "user_id:text,shown:text:hint,old:bool,added:bool");
        let moved = with_role.completed(&of([text("other").for_role(Role::Hint)])).unwrap();
        assert_eq!(moved.to_string(), "user_id:text,shown:text,old:bool,other:text:hint");
        let taken_back = with_role.completed(&of([text("shown")])).unwrap();
        assert_eq!(taken_back, first);
    }
}
