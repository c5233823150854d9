use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sea_query::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Backend, Bind, KeyList, StoredType};
use crate::clock::to_stored_precision;
use crate::error::{Error, ErrorKind, Result};

/// A type that an extra field may have: every type that sqlx can store and read on the databases with their features
/// enabled.
///
/// These are strings, integers, floats, `bool`, `Vec<u8>`, `Uuid`, `OffsetDateTime`, `serde_json::Value`, `Option` of
/// these, and your own newtypes and enums that derive [`sqlx::Type`]. There is nothing to implement.
///
/// Instants are stored in UTC to the microsecond. A newtype over `OffsetDateTime` is stored as sqlx stores it. On
/// SQLite that is text of varying width, which does not sort; use `OffsetDateTime` itself there.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a column",
    label = "not a type that sqlx can store and read on the enabled databases",
    note = "use a string, an integer, a float, `bool`, `Vec<u8>`, `Uuid`, `OffsetDateTime`, `serde_json::Value`, an `Option` of these, or a newtype or enum of your own with `#[derive(sqlx::Type)]`"
)]
pub trait FieldType: StoredType + Clone + Send + Sync + 'static {}

// Without this attribute the errors are sqlx's, a dozen for each field.
#[diagnostic::do_not_recommend]
impl<V: StoredType + Clone + Send + Sync + 'static> FieldType for V {}

/// The value of one extra field, ready to be bound on any of the enabled databases.
#[derive(Clone)]
pub struct FieldValue(pub(crate) Repr);

#[derive(Clone)]
pub(crate) enum Repr {
    /// A value that sea-query has a form for, and that a statement for further composing can hold.
    Plain(Value),
    /// JSON text, stored to the letter.
    Json(Arc<RawValue>),
    /// Any other type, bound as sqlx binds it.
    Native(Arc<dyn Bind>),
}

impl FieldValue {
    /// Makes the value of a field.
    pub fn new<V: FieldType>(value: &V) -> Self {
        match plain(value) {
            Some(plain) => Self(Repr::Plain(plain)),
            None => Self(Repr::Native(Arc::new(value.clone()))),
        }
    }

    /// See [`SessionFields::truncate_instants`](crate::SessionFields::truncate_instants), which the derive implements
    /// with this function.
    #[doc(hidden)]
    pub fn truncate_instants<V: 'static>(value: &mut V) {
        let value: &mut dyn Any = value;
        if let Some(instant) = value.downcast_mut::<OffsetDateTime>() {
            *instant = to_stored_precision(*instant);
        } else if let Some(Some(instant)) = value.downcast_mut::<Option<OffsetDateTime>>() {
            *instant = to_stored_precision(*instant);
        }
    }

    pub(crate) fn plain(value: impl Into<Value>) -> Self {
        Self(Repr::Plain(value.into()))
    }

    /// Returns the value in sea-query's form, if it has one.
    pub(crate) fn as_plain(&self) -> Option<&Value> {
        match &self.0 {
            Repr::Plain(value) => Some(value),
            Repr::Json(_) | Repr::Native(_) => None,
        }
    }

    /// Returns bytes that two values share if and only if they are equal, or `None` for null. Only values of one Rust
    /// type can be compared in this way.
    pub(crate) fn fingerprint(&self) -> Option<Vec<u8>> {
        match &self.0 {
            Repr::Plain(value) => (*value != value.as_null()).then(|| format!("{value:?}").into_bytes()),
            Repr::Json(raw) => Some(raw.get().into()),
            Repr::Native(value) => value.fingerprint(),
        }
    }

    /// Returns the value as a person reads it, if it is text, an integer, true or false, or a UUID.
    pub(crate) fn shown(&self) -> Option<String> {
        match &self.0 {
            Repr::Plain(Value::String(text)) => text.clone(),
            Repr::Plain(Value::SmallInt(number)) => number.map(|number| number.to_string()),
            Repr::Plain(Value::Int(number)) => number.map(|number| number.to_string()),
            Repr::Plain(Value::BigInt(number)) => number.map(|number| number.to_string()),
            Repr::Plain(Value::Bool(is_true)) => is_true.map(|is_true| is_true.to_string()),
            Repr::Plain(Value::Uuid(uuid)) => uuid.map(|uuid| uuid.to_string()),
            Repr::Plain(_) | Repr::Json(_) => None,
            Repr::Native(value) => value.shown(),
        }
    }

    /// Returns `true` if both values store the same bits: a float's sign counts, and NaN equals itself. Only values of
    /// one Rust type can be compared in this way.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Plain(Value::Double(Some(one))), Repr::Plain(Value::Double(Some(other)))) => {
                one.to_bits() == other.to_bits()
            }
            (Repr::Plain(Value::Float(Some(one))), Repr::Plain(Value::Float(Some(other)))) => {
                one.to_bits() == other.to_bits()
            }
            (Repr::Plain(one), Repr::Plain(other)) => one == other,
            (Repr::Json(one), Repr::Json(other)) => one.get() == other.get(),
            (Repr::Native(one), Repr::Native(other)) => match (one.fingerprint(), other.fingerprint()) {
                // Both are null. A value that cannot be encoded is not null: it counts as changed, so that writing it
                // reports the error.
                (None, None) => one.is_blank() && other.is_blank(),
                (one, other) => one == other,
            },
            _ => false,
        }
    }

    /// Returns the approximate size of the value in a statement, in bytes.
    pub(crate) fn size(&self) -> usize {
        match &self.0 {
            Repr::Plain(Value::String(Some(text))) => text.len(),
            Repr::Plain(Value::Bytes(Some(bytes))) => bytes.len(),
            Repr::Plain(_) => size_of::<Uuid>(),
            Repr::Json(raw) => raw.get().len(),
            Repr::Native(value) => value.fingerprint().map_or(0, |bytes| bytes.len()),
        }
    }

    /// Makes a value of many texts, for a statement that looks for any of them; see [`Bindings::is_among`].
    ///
    /// [`Bindings::is_among`]: crate::sql::Bindings::is_among
    pub(crate) fn texts(texts: Vec<String>) -> Self {
        Self(Repr::Native(Arc::new(KeyList::Texts(texts))))
    }

    /// Makes a value that stands for one of a type that the column does not take. Binding it fails with `problem`.
    pub(crate) fn unfit(problem: String) -> Self {
        Self(Repr::Native(Arc::new(Unfit(problem))))
    }

    /// Makes the instant before or after all others, on PostgreSQL.
    #[cfg(feature = "postgres")]
    pub(crate) fn infinite(is_negative: bool) -> Self {
        Self(Repr::Native(Arc::new(super::Infinite { is_negative })))
    }

    /// Refuses the values that a required column must not hold: null, and blank text unless it is allowed.
    pub(crate) fn check_required(&self, column: &str, allows_blank: bool) -> Result<()> {
        let is_blank = match &self.0 {
            Repr::Plain(Value::String(Some(_))) if allows_blank => false,
            Repr::Native(value) if allows_blank => value.is_blank() && value.fingerprint().is_none(),
            Repr::Plain(Value::String(Some(text))) => text.trim().is_empty(),
            Repr::Plain(value) => *value == value.as_null(),
            Repr::Native(value) => value.is_blank(),
            Repr::Json(_) => false,
        };
        if is_blank {
            return Err(Error::new(ErrorKind::InvalidField, format!("{column} can't be blank")));
        }
        Ok(())
    }
}

/// A value may be private to the application, so only its presence is shown.
impl fmt::Debug for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FieldValue")
    }
}

/// See [`FieldValue::unfit`].
struct Unfit(String);

impl Bind for Unfit {
    fn is_blank(&self) -> bool {
        false
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        None
    }

    #[cfg(feature = "sqlite")]
    fn bind_sqlite(&self, _: &mut sqlx::sqlite::SqliteArguments) -> Result<(), sqlx::error::BoxDynError> {
        Err(self.0.clone().into())
    }

    #[cfg(feature = "postgres")]
    fn bind_postgres(&self, _: &mut sqlx::postgres::PgArguments) -> Result<(), sqlx::error::BoxDynError> {
        Err(self.0.clone().into())
    }

    #[cfg(feature = "mysql")]
    fn bind_mysql(&self, _: &mut sqlx::mysql::MySqlArguments) -> Result<(), sqlx::error::BoxDynError> {
        Err(self.0.clone().into())
    }
}

/// Returns the value in sea-query's form, if its type has one.
fn plain<V: Any>(value: &V) -> Option<Value> {
    let value: &dyn Any = value;
    macro_rules! first_of {
        ($($known:ty),* $(,)?) => {
            $(
                if let Some(value) = value.downcast_ref::<$known>() {
                    return Some(value.clone().into());
                }
                if let Some(value) = value.downcast_ref::<Option<$known>>() {
                    return Some(value.clone().into());
                }
            )*
        };
    }
    first_of!(String, i64, i32, i16, i8, u64, u32, u16, u8, bool, f64, f32, Vec<u8>, Uuid, OffsetDateTime);
    None
}

/// The type of a column, with the names of the `cloakroom` command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnType {
    /// Text of up to 255 characters (SQLite: of any length).
    Text,
    /// A signed integer of 64 bits.
    Integer,
    /// True or false.
    Bool,
    /// A float of 64 bits.
    Float,
    /// Bytes.
    Bytes,
    /// A UUID.
    Uuid,
    /// An instant, in UTC, to the microsecond.
    Timestamp,
    /// JSON.
    Json,
    /// A type by its name in SQL.
    Exact(Cow<'static, str>),
}

/// Writes the name that the `cloakroom` command uses. An exact type is written as it is in SQL.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Bool => "bool",
            Self::Float => "float",
            Self::Bytes => "bytes",
            Self::Uuid => "uuid",
            Self::Timestamp => "timestamp",
            Self::Json => "json",
            Self::Exact(sql) => sql,
        })
    }
}

/// Reads the names that `Display` writes, except for exact types.
impl FromStr for ColumnType {
    type Err = ParseColumnTypeError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(match name {
            "text" => Self::Text,
            "integer" => Self::Integer,
            "bool" => Self::Bool,
            "float" => Self::Float,
            "bytes" => Self::Bytes,
            "uuid" => Self::Uuid,
            "timestamp" => Self::Timestamp,
            "json" => Self::Json,
            _ => return Err(ParseColumnTypeError(())),
        })
    }
}

/// A name that is not the name of a [`ColumnType`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseColumnTypeError(());

impl fmt::Display for ParseColumnTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a type; the types are text, integer, bool, float, bytes, uuid, timestamp and json")
    }
}

impl std::error::Error for ParseColumnTypeError {}

/// A column's type on each database. Rust types map to SQL types differently on each.
#[derive(Clone, Debug)]
pub(crate) struct ColumnTypes([ColumnType; 3]);

impl ColumnTypes {
    pub(crate) fn of<V: FieldType>() -> Self {
        Self(Backend::ALL.map(|backend| V::column_type(backend)))
    }

    pub(crate) fn same(column_type: ColumnType) -> Self {
        Self([column_type.clone(), column_type.clone(), column_type])
    }

    pub(crate) fn on(&self, backend: Backend) -> &ColumnType {
        &self.0[backend as usize]
    }
}
