use std::fmt;
use std::sync::Arc;

use sea_query::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::clock::to_stored_precision;
use crate::column::{Comparison, Filter};
use crate::database::{Backend, Bind, Connection, Database, Row, RowError};
use crate::error::{Error, ErrorKind, Result};
use crate::field::{ColumnType, FieldReader, FieldValue, Repr};
use crate::table::{BUILT_IN_COLUMNS, FieldDefinition, SessionFields, TableDefinition, column};

/// The extra fields of a table that is known only at run time, by name.
///
/// This is what `Sessions<DynamicFields>` holds in place of a struct: for tools that work on any session
/// table. [`DynamicFields::definition_from`] reads the columns from the database itself.
#[derive(Clone, Debug, PartialEq)]
pub struct DynamicFields(Vec<DynamicField>);

#[derive(Clone, Debug, PartialEq)]
struct DynamicField {
    name: String,
    column_type: ColumnType,
    value: DynamicValue,
}

impl DynamicFields {
    /// The fields of `table` on a database of this kind, all null.
    pub fn new(table: &TableDefinition, backend: Backend) -> Self {
        let fields = table.fields.iter().map(|field| DynamicField {
            name: field.name().to_owned(),
            column_type: field.column_type(backend).clone(),
            value: DynamicValue::Null,
        });
        Self(fields.collect())
    }

    /// Reads the definition of an existing session table from the database; `None` where there is no
    /// such table.
    ///
    /// # Errors
    ///
    /// [`MissingColumn`](ErrorKind::MissingColumn) where the table lacks a built-in column, and so is no
    /// session table.
    pub async fn definition_from(
        database: &Database,
        schema: Option<&str>,
        table: &str,
    ) -> Result<Option<TableDefinition>> {
        let mut definition = TableDefinition::new(table.to_owned());
        definition.schema = schema.map(|schema| schema.to_owned().into());
        let failed = |error| Error::from_sqlx(error, table);
        let mut connection = Connection::pool(database);
        let columns = connection.columns(schema, table).await.map_err(failed)?;
        if columns.is_empty() {
            return Ok(None);
        }
        if let Some(missing) = BUILT_IN_COLUMNS.iter().find(|name| columns.iter().all(|c| c.name != **name)) {
            return Err(Error::new(
                ErrorKind::MissingColumn,
                format!("{definition} is no session table: it has no column {missing}"),
            ));
        }
        let indexes = connection.indexes(schema, table).await.map_err(failed)?;
        // A database that has fewer types than there are kinds of fields does not know what was declared.
        let declared = crate::migrations::recorded_fields(&mut connection, &definition).await?;
        for info in columns.into_iter().filter(|info| !BUILT_IN_COLUMNS.contains(&info.name.as_str())) {
            let column_type = declared.get(&info.name).cloned().unwrap_or(info.column_type);
            let mut field = FieldDefinition::dynamic(info.name, column_type);
            field.nullable = info.nullable;
            field.indexed = crate::migrations::has_index(table, field.name(), &indexes);
            definition = definition.field(field);
        }
        Ok(Some(definition))
    }

    /// Sets a field.
    ///
    /// # Errors
    ///
    /// [`UnknownField`](ErrorKind::UnknownField) where the table has no field of this name.
    pub fn set(&mut self, name: &str, value: DynamicValue) -> Result<()> {
        match self.0.iter_mut().find(|field| field.name == name) {
            Some(field) => {
                field.value = value;
                Ok(())
            }
            None => Err(unknown_field(name, self.0.iter().map(|field| field.name.as_str()))),
        }
    }

    /// The value of a field; `None` where the table has no such field.
    pub fn get(&self, name: &str) -> Option<&DynamicValue> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The fields in the order of the table's definition.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &DynamicValue)> {
        self.0.iter().map(|field| (field.name.as_str(), &field.value))
    }

    /// The condition that the field `name` of `table`, or one of its built-in columns, equals `value`.
    ///
    /// A field that does not exist and a comparison with null are errors of the query that the condition
    /// goes into.
    pub fn equals(table: &TableDefinition, name: &str, value: &DynamicValue) -> Filter<Self> {
        Self::compare(table, name, Comparison::Equal, value)
    }

    /// The condition that the field `name` of `table`, or one of its built-in columns, compares so with `value`. A null
    /// compares with nothing: it is neither equal nor unequal to a value, neither less nor greater.
    ///
    /// What does not exist and what is null is refused as by [`equals`](Self::equals).
    pub fn compare(
        table: &TableDefinition,
        name: &str,
        comparison: Comparison,
        value: &DynamicValue,
    ) -> Filter<Self> {
        let is_queryable = table.has_column(name) && name != column::DIGEST && name != column::DATA;
        if !is_queryable {
            let error = unknown_field(name, table.fields.iter().map(FieldDefinition::name));
            return Filter::refuse(error.kind(), error.to_string());
        }
        if *value == DynamicValue::Null {
            let message = format!("{name} cannot be compared with null");
            return Filter::refuse(ErrorKind::Unsupported, message);
        }
        // A type that is named in SQL alone is the same everywhere.
        let field = table.fields.iter().find(|field| field.name == name);
        let column_type = field.map_or(&ColumnType::Text, |field| field.column_type(Backend::Postgres));
        Filter::compare(name.to_owned(), comparison.operator(), value.to_field_value(column_type))
    }
}

fn unknown_field<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Error {
    let known: Vec<&str> = known.collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Error::new(ErrorKind::UnknownField, format!("the table has no field {name:?}; its fields: {known}"))
}

impl SessionFields for DynamicFields {
    type Data = serde_json::Value;

    fn truncate_instants(&mut self) {
        for field in &mut self.0 {
            if let DynamicValue::Timestamp(instant) = &mut field.value {
                *instant = to_stored_precision(*instant);
            }
        }
    }

    fn to_values(&self) -> Vec<FieldValue> {
        self.0.iter().map(|field| field.value.to_field_value(&field.column_type)).collect()
    }

    fn from_row(row: &FieldReader<'_>) -> Result<Self> {
        let mut fields = Self::new(row.table(), row.backend());
        for (index, field) in fields.0.iter_mut().enumerate() {
            field.value = row.dynamic(index, &field.column_type)?;
        }
        Ok(fields)
    }
}

/// A value of one of the [`ColumnType`]s.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DynamicValue {
    /// Null.
    Null,
    /// Text.
    Text(String),
    /// An integer.
    Integer(i64),
    /// True or false.
    Bool(bool),
    /// A float.
    Float(f64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A UUID.
    Uuid(Uuid),
    /// An instant.
    Timestamp(OffsetDateTime),
    /// JSON, as text.
    Json(String),
}

impl DynamicValue {
    /// Reads a value of the type `column_type` as it is written on a command line: integers and floats in
    /// decimal, `true` or `false`, bytes in hexadecimal, instants in RFC 3339.
    ///
    /// # Errors
    ///
    /// [`InvalidField`](ErrorKind::InvalidField), saying what is expected.
    pub fn parse(column_type: &ColumnType, text: &str) -> Result<Self> {
        let expected = |what: &str| Error::new(ErrorKind::InvalidField, format!("{text:?} is not {what}"));
        Ok(match column_type {
            ColumnType::Text | ColumnType::Exact(_) => Self::Text(text.to_owned()),
            ColumnType::Integer => {
                Self::Integer(text.parse().map_err(|_| expected("an integer of 64 bits"))?)
            }
            ColumnType::Bool => Self::Bool(text.parse().map_err(|_| expected("true or false"))?),
            ColumnType::Float => Self::Float(text.parse().map_err(|_| expected("a number"))?),
            ColumnType::Bytes => {
                Self::Bytes(bytes_of_hex(text).ok_or_else(|| expected("bytes in hexadecimal"))?)
            }
            ColumnType::Uuid => Self::Uuid(text.parse().map_err(|_| expected("a UUID"))?),
            ColumnType::Timestamp => {
                let instant = OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
                Self::Timestamp(instant.map_err(|_| expected("a time as in 2026-11-23T01:48:09Z"))?)
            }
            ColumnType::Json => {
                serde_json::from_str::<&RawValue>(text).map_err(|_| expected("JSON"))?;
                Self::Json(text.to_owned())
            }
        })
    }

    /// The value to bind; a null has the type of the column it is for.
    fn to_field_value(&self, column_type: &ColumnType) -> FieldValue {
        match self {
            // Such as an enum of PostgreSQL's, which is not compared with text, only with a literal.
            Self::Null if matches!(column_type, ColumnType::Exact(_)) => Untyped(None).into_field_value(),
            Self::Text(text) if matches!(column_type, ColumnType::Exact(_)) => {
                Untyped(Some(text.clone())).into_field_value()
            }
            Self::Null => FieldValue::plain(typed_null(column_type)),
            Self::Text(text) => FieldValue::plain(text.clone()),
            Self::Integer(integer) => FieldValue::plain(*integer),
            Self::Bool(truth) => FieldValue::plain(*truth),
            Self::Float(float) => FieldValue::plain(*float),
            Self::Bytes(bytes) => FieldValue::plain(bytes.clone()),
            Self::Uuid(uuid) => FieldValue::plain(*uuid),
            Self::Timestamp(instant) => FieldValue::plain(*instant),
            Self::Json(text) => match RawValue::from_string(text.clone()) {
                Ok(raw) => FieldValue(Repr::Json(raw.into())),
                // Checked when it was parsed; text that is no JSON is the database's to refuse.
                Err(_) => FieldValue::plain(text.clone()),
            },
        }
    }
}

/// Text for a column of whatever type.
struct Untyped(Option<String>);

impl Untyped {
    fn into_field_value(self) -> FieldValue {
        FieldValue(Repr::Native(Arc::new(self)))
    }
}

impl Bind for Untyped {
    fn is_blank(&self) -> bool {
        self.0.as_ref().is_none_or(|text| text.trim().is_empty())
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        self.0.as_ref().map(|text| text.clone().into_bytes())
    }

    #[cfg(feature = "sqlite")]
    fn bind_sqlite(&self, to: &mut sqlx::sqlite::SqliteArguments) -> Result<(), sqlx::error::BoxDynError> {
        sqlx::Arguments::add(to, self.0.as_deref())
    }

    #[cfg(feature = "postgres")]
    fn bind_postgres(&self, to: &mut sqlx::postgres::PgArguments) -> Result<(), sqlx::error::BoxDynError> {
        crate::database::bind_untyped(to, self.0.as_deref())
    }

    #[cfg(feature = "mysql")]
    fn bind_mysql(&self, to: &mut sqlx::mysql::MySqlArguments) -> Result<(), sqlx::error::BoxDynError> {
        sqlx::Arguments::add(to, self.0.as_deref())
    }
}

fn typed_null(column_type: &ColumnType) -> Value {
    match column_type {
        ColumnType::Integer => Value::BigInt(None),
        ColumnType::Bool => Value::Bool(None),
        ColumnType::Float => Value::Double(None),
        ColumnType::Bytes => Value::Bytes(None),
        ColumnType::Uuid => Value::Uuid(None),
        ColumnType::Timestamp => Value::TimeDateTimeWithTimeZone(None),
        ColumnType::Json => Value::Json(None),
        ColumnType::Text | ColumnType::Exact(_) => Value::String(None),
    }
}

pub(crate) fn read(row: &Row, index: usize, column_type: &ColumnType) -> Result<DynamicValue, RowError> {
    let value = match column_type {
        // An exact type is an enum of PostgreSQL's, whose values are text.
        ColumnType::Text | ColumnType::Exact(_) => row.text(index)?.map(DynamicValue::Text),
        ColumnType::Integer => row.integer(index)?.map(DynamicValue::Integer),
        ColumnType::Bool => row.get::<Option<bool>>(index)?.map(DynamicValue::Bool),
        ColumnType::Float => row.float(index)?.map(DynamicValue::Float),
        ColumnType::Bytes => row.get::<Option<Vec<u8>>>(index)?.map(DynamicValue::Bytes),
        ColumnType::Uuid => row.get::<Option<Uuid>>(index)?.map(DynamicValue::Uuid),
        ColumnType::Timestamp => row.timestamp(index)?.map(DynamicValue::Timestamp),
        ColumnType::Json => row.json(index)?.map(DynamicValue::Json),
    };
    Ok(value.unwrap_or(DynamicValue::Null))
}

/// As people read it; bytes in hexadecimal, null as nothing.
impl fmt::Display for DynamicValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Text(text) | Self::Json(text) => f.write_str(text),
            Self::Integer(integer) => write!(f, "{integer}"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Float(float) => write!(f, "{float}"),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::Uuid(uuid) => write!(f, "{uuid}"),
            Self::Timestamp(instant) => {
                let text = instant.format(&time::format_description::well_known::Rfc3339);
                f.write_str(&text.map_err(|_| fmt::Error)?)
            }
        }
    }
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    // `from_str_radix` alone would let a sign pass.
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_their_type_writes_them() {
        for (column_type, text) in [
            (ColumnType::Text, " kept "),
            (ColumnType::Integer, "-42"),
            (ColumnType::Bool, "true"),
            (ColumnType::Float, "1.5"),
            (ColumnType::Bytes, "00ff"),
            (ColumnType::Uuid, "a55ee49b-f592-4941-abde-ff497e5b951f"),
            (ColumnType::Timestamp, "2026-11-23T01:48:09.123456Z"),
            (ColumnType::Json, "{\"a\": 1e20}"),
        ] {
            assert_eq!(DynamicValue::parse(&column_type, text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_value_of_another_type_is_an_error_that_says_what_is_expected() {
        for (column_type, text, expected) in [
            (ColumnType::Integer, "12x", "an integer"),
            (ColumnType::Bool, "yes", "true or false"),
            (ColumnType::Bytes, "+1+1", "hexadecimal"),
            (ColumnType::Bytes, "é", "hexadecimal"),
            (ColumnType::Timestamp, "tomorrow", "2026-11-23T01:48:09Z"),
            (ColumnType::Json, "{", "JSON"),
        ] {
            let error = DynamicValue::parse(&column_type, text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidField);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
