use std::fmt;

use sea_query::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{FieldReader, Role, RoleField, SessionFields, TableDefinition};
use crate::clock::to_stored_precision;
use crate::database::{Backend, ColumnType, FieldValue, Repr, Row, RowError};
use crate::error::{Error, ErrorKind, Result};

/// The extra fields of a table that is known only at run time, by their names.
///
/// `Sessions<DynamicFields>` holds these in place of a struct, for tools that work on any session table.
/// [`DynamicFields::definition_from`] reads the columns from the database itself.
#[derive(Clone, Debug, PartialEq)]
pub struct DynamicFields {
    backend: Backend,
    fields: Vec<DynamicField>,
}

#[derive(Clone, Debug, PartialEq)]
struct DynamicField {
    name: String,
    column_type: ColumnType,
    role: Option<Role>,
    value: DynamicValue,
}

impl DynamicFields {
    /// Makes the fields of `table` on a database of this kind, all null.
    pub fn new(table: &TableDefinition, backend: Backend) -> Self {
        let fields = table.fields.iter().map(|field| DynamicField {
            name: field.name().to_owned(),
            column_type: field.column_type(backend).clone(),
            role: field.role(),
            value: DynamicValue::Null,
        });
        Self { backend, fields: fields.collect() }
    }

    /// Sets a field.
    ///
    /// # Errors
    ///
    /// [`UnknownField`](ErrorKind::UnknownField) if the table has no field of this name.
    pub fn set(&mut self, name: &str, value: DynamicValue) -> Result<()> {
        match self.fields.iter_mut().find(|field| field.name == name) {
            Some(field) => {
                field.value = value;
                Ok(())
            }
            None => Err(unknown_field(name, self.fields.iter().map(|field| field.name.as_str()))),
        }
    }

    /// Returns the value of a field, or `None` if the table has no such field.
    pub fn get(&self, name: &str) -> Option<&DynamicValue> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Returns the value of the field with this role.
    pub(crate) fn with_role(&self, role: Role) -> Option<&DynamicValue> {
        self.fields.iter().find(|field| field.role == Some(role)).map(|field| &field.value)
    }

    /// Sets the field with this role, if there is one.
    pub(crate) fn set_role(&mut self, role: Role, value: DynamicValue) {
        if let Some(field) = self.fields.iter_mut().find(|field| field.role == Some(role)) {
            field.value = value;
        }
    }

    /// Returns the fields in the order of the table's definition.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &DynamicValue)> {
        self.fields.iter().map(|field| (field.name.as_str(), &field.value))
    }
}

pub(crate) fn unknown_field<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Error {
    let known: Vec<&str> = known.collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Error::new(ErrorKind::UnknownField, format!("the table has no field {name:?}; its fields: {known}"))
}

impl SessionFields for DynamicFields {
    type Data = serde_json::Value;

    fn truncate_instants(&mut self) {
        for field in &mut self.fields {
            if let DynamicValue::Timestamp(instant) = &mut field.value {
                *instant = to_stored_precision(*instant);
            }
        }
    }

    fn role_mut(&mut self, role: Role) -> Option<RoleField<'_>> {
        let field = self.fields.iter_mut().find(|field| field.role == Some(role))?;
        role.field(&mut field.value)
    }

    fn to_values(&self) -> Vec<FieldValue> {
        let to_value =
            |field: &DynamicField| field.value.to_field_value(&field.name, &field.column_type, self.backend);
        self.fields.iter().map(to_value).collect()
    }

    fn from_row(row: &FieldReader<'_>) -> Result<Self> {
        let mut fields = Self::new(row.table(), row.backend());
        for (index, field) in fields.fields.iter_mut().enumerate() {
            field.value = row.dynamic(index, &field.column_type)?;
        }
        Ok(fields)
    }
}

/// PostgreSQL's names for the instants after and before all others.
const INFINITY: &str = "infinity";
const NEGATIVE_INFINITY: &str = "-infinity";

/// A value of one of the [`ColumnType`]s.
///
/// A value of an exact type is text, as the database writes it. A column may hold a value of a type other than the
/// declared one, as SQLite allows. Such a value keeps its own type, and is written back with it.
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
    /// Reads a value of the type `column_type` as it is written on a command line: integers and floats in decimal,
    /// `true` or `false`, bytes in hexadecimal, instants in RFC 3339. For an exact type, the text is in the form that
    /// the database reads, such as `{a,b}` for an array of PostgreSQL's; the database checks it later.
    ///
    /// # Errors
    ///
    /// [`InvalidField`](ErrorKind::InvalidField) if the text is no such value. The message says what is expected.
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
                Self::Bytes(base16ct::mixed::decode_vec(text).map_err(|_| expected("bytes in hexadecimal"))?)
            }
            ColumnType::Uuid => Self::Uuid(text.parse().map_err(|_| expected("a UUID"))?),
            ColumnType::Timestamp if matches!(text, INFINITY | NEGATIVE_INFINITY) => {
                Self::Text(text.to_owned())
            }
            ColumnType::Timestamp => {
                let instant = OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
                Self::Timestamp(instant.map_err(|_| expected("a time as in 2026-11-23T01:48:09Z"))?)
            }
            ColumnType::Json => {
                // The text must be JSON that every reader can read: no number is too large, and the nesting is not too
                // deep.
                if !is_json(text) {
                    return Err(expected("JSON"));
                }
                Self::Json(text.trim().to_owned())
            }
        })
    }

    /// Returns the value to bind for the column `name`, in the form of the column's type. A null has that type too.
    ///
    /// The drivers remember the types of a statement's values, and would take a value of another type for one of those.
    /// On SQLite each value carries its own type.
    pub(crate) fn to_field_value(
        &self,
        name: &str,
        column_type: &ColumnType,
        backend: Backend,
    ) -> FieldValue {
        if backend == Backend::Sqlite {
            return self.as_it_is(column_type);
        }
        let has_type = match (self, column_type) {
            (Self::Null, _)
            | (Self::Text(_), ColumnType::Text | ColumnType::Exact(_))
            | (Self::Integer(_), ColumnType::Integer)
            | (Self::Bool(_), ColumnType::Bool)
            | (Self::Float(_), ColumnType::Float)
            | (Self::Bytes(_), ColumnType::Bytes)
            | (Self::Uuid(_), ColumnType::Uuid)
            | (Self::Timestamp(_), ColumnType::Timestamp)
            | (Self::Json(_), ColumnType::Json) => true,
            // On MariaDB and MySQL a `bool` is a number.
            (Self::Integer(_), ColumnType::Bool) => backend == Backend::MySql,
            _ => false,
        };
        if has_type {
            return self.as_it_is(column_type);
        }
        #[cfg(feature = "postgres")]
        if let (Self::Text(text), ColumnType::Timestamp, Backend::Postgres) = (self, column_type, backend)
            && matches!(text.as_str(), INFINITY | NEGATIVE_INFINITY)
        {
            return FieldValue::infinite(text == NEGATIVE_INFINITY);
        }
        let same_bytes = match (self, column_type) {
            (Self::Uuid(uuid), ColumnType::Bytes) => Some(Self::Bytes(uuid.as_bytes().to_vec())),
            (Self::Bytes(bytes), ColumnType::Uuid) => Uuid::from_slice(bytes).ok().map(Self::Uuid),
            _ => None,
        };
        if let Some(same) = same_bytes {
            return same.as_it_is(column_type);
        }
        let text = self.to_string();
        match Self::parse(column_type, &text) {
            Ok(value) if !matches!((&value, column_type), (Self::Text(_), ColumnType::Timestamp)) => {
                value.as_it_is(column_type)
            }
            _ => FieldValue::unfit(format!("{name} takes no value of this type")),
        }
    }

    fn as_it_is(&self, column_type: &ColumnType) -> FieldValue {
        match self {
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
                Err(_) => FieldValue::unfit("a field of JSON takes no other text".to_owned()),
            },
        }
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
    #[cfg(feature = "sqlite")]
    #[allow(irrefutable_let_patterns, reason = "there are others if another database's feature is on")]
    if let Row::Sqlite(sqlite) = row {
        return Ok(as_declared(column_type, crate::database::stored_on_sqlite(sqlite, index)?));
    }
    let value = match column_type {
        ColumnType::Text => row.text(index)?.map(DynamicValue::Text),
        ColumnType::Exact(sql_type) => row.text(index)?.map(|text| as_exact(sql_type, text)),
        ColumnType::Integer => row.integer(index)?.map(DynamicValue::Integer),
        ColumnType::Bool if row.backend() == Backend::MySql => row.integer(index)?.map(as_bool),
        ColumnType::Bool => row.get::<Option<bool>>(index)?.map(DynamicValue::Bool),
        ColumnType::Float => row.float(index)?.map(DynamicValue::Float),
        ColumnType::Bytes => row.get::<Option<Vec<u8>>>(index)?.map(DynamicValue::Bytes),
        ColumnType::Uuid => row.get::<Option<Uuid>>(index)?.map(DynamicValue::Uuid),
        #[cfg(feature = "postgres")]
        ColumnType::Timestamp if row.is_infinite(index)?.is_some() => {
            let is_negative = row.is_infinite(index)? == Some(true);
            let infinity = if is_negative { NEGATIVE_INFINITY } else { INFINITY };
            Some(DynamicValue::Text(infinity.to_owned()))
        }
        ColumnType::Timestamp => row.timestamp(index)?.map(DynamicValue::Timestamp),
        ColumnType::Json => row.json(index)?.map(DynamicValue::Json),
    };
    Ok(value.unwrap_or(DynamicValue::Null))
}

/// Reads a value of an exact type. An unsigned integer becomes an integer if it fits.
fn as_exact(sql_type: &str, text: String) -> DynamicValue {
    match text.parse() {
        Ok(integer) if sql_type.to_ascii_lowercase().starts_with("bigint") => DynamicValue::Integer(integer),
        _ => DynamicValue::Text(text),
    }
}

/// Reads a number from a column for true and false. It may be a number other than 0 and 1.
fn as_bool(integer: i64) -> DynamicValue {
    match integer {
        0 => DynamicValue::Bool(false),
        1 => DynamicValue::Bool(true),
        other => DynamicValue::Integer(other),
    }
}

/// Returns a value that SQLite holds: with the column's declared type if it is a value of that type, and with its own
/// type otherwise.
#[cfg(feature = "sqlite")]
fn as_declared(column_type: &ColumnType, stored: crate::database::StoredOnSqlite) -> DynamicValue {
    use crate::database::StoredOnSqlite as Stored;
    match (stored, column_type) {
        (Stored::Null, _) => DynamicValue::Null,
        (Stored::Integer(integer), ColumnType::Bool) => as_bool(integer),
        (Stored::Integer(integer), _) => DynamicValue::Integer(integer),
        (Stored::Real(float), _) => DynamicValue::Float(float),
        (Stored::Text(text), ColumnType::Timestamp) => match crate::database::instant_of_sqlite(&text) {
            // In any other form it would be written back differently.
            Ok(instant) if crate::database::text_on_sqlite(instant) == text => {
                DynamicValue::Timestamp(instant)
            }
            _ => DynamicValue::Text(text),
        },
        (Stored::Text(text), ColumnType::Json) if is_json(&text) => DynamicValue::Json(text),
        (Stored::Text(text), _) => DynamicValue::Text(text),
        (Stored::Blob(bytes), ColumnType::Uuid) => {
            Uuid::from_slice(&bytes).map_or_else(|_| DynamicValue::Bytes(bytes), DynamicValue::Uuid)
        }
        (Stored::Blob(bytes), _) => DynamicValue::Bytes(bytes),
    }
}

/// Returns `true` if every reader of JSON can read this text.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}

/// Writes the value for people to read: bytes in hexadecimal, null as the empty text.
impl fmt::Display for DynamicValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Text(text) | Self::Json(text) => f.write_str(text),
            Self::Integer(integer) => write!(f, "{integer}"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Float(float) => write!(f, "{float}"),
            Self::Bytes(bytes) => write!(f, "{:x}", base16ct::HexDisplay(bytes)),
            Self::Uuid(uuid) => write!(f, "{uuid}"),
            Self::Timestamp(instant) => {
                let text = instant.format(&time::format_description::well_known::Rfc3339);
                f.write_str(&text.map_err(|_| fmt::Error)?)
            }
        }
    }
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
