//! Keys that are bound as one value.

use sea_query::Value;
use sqlx::error::BoxDynError;

use super::FieldValue;
use super::stored_type::Bind;

/// The most keys that are bound one by one.
pub(crate) const MAX_PLACEHOLDERS: usize = 30_000;

/// Keys of one kind, bound as one value.
pub(crate) enum KeyList {
    Texts(Vec<String>),
    Integers(Vec<i64>),
    Uuids(Vec<uuid::Uuid>),
}

impl KeyList {
    pub(crate) fn new(keys: &[FieldValue]) -> Option<Self> {
        let values: Vec<&Value> = keys.iter().map(FieldValue::as_plain).collect::<Option<_>>()?;
        match values.first()? {
            Value::String(_) => values.into_iter().map(text).collect::<Option<_>>().map(Self::Texts),
            Value::Uuid(_) => values.into_iter().map(uuid).collect::<Option<_>>().map(Self::Uuids),
            _ => values.into_iter().map(integer).collect::<Option<_>>().map(Self::Integers),
        }
    }

    #[cfg(any(feature = "sqlite", feature = "mysql"))]
    fn to_json(&self) -> String {
        let json = match self {
            Self::Texts(texts) => serde_json::to_string(texts),
            Self::Integers(integers) => serde_json::to_string(integers),
            Self::Uuids(uuids) => {
                serde_json::to_string(&uuids.iter().map(|uuid| uuid.simple().to_string()).collect::<Vec<_>>())
            }
        };
        // Neither text nor numbers can fail to be JSON.
        json.unwrap_or_default()
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.clone(),
        _ => None,
    }
}

fn uuid(value: &Value) -> Option<uuid::Uuid> {
    match value {
        Value::Uuid(uuid) => *uuid,
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match *value {
        Value::TinyInt(integer) => integer.map(i64::from),
        Value::SmallInt(integer) => integer.map(i64::from),
        Value::Int(integer) => integer.map(i64::from),
        Value::BigInt(integer) => integer,
        Value::TinyUnsigned(integer) => integer.map(i64::from),
        Value::SmallUnsigned(integer) => integer.map(i64::from),
        Value::Unsigned(integer) => integer.map(i64::from),
        Value::BigUnsigned(integer) => integer.and_then(|integer| integer.try_into().ok()),
        _ => None,
    }
}

impl Bind for KeyList {
    fn is_blank(&self) -> bool {
        false
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        None
    }

    #[cfg(feature = "sqlite")]
    fn bind_sqlite(&self, to: &mut sqlx::sqlite::SqliteArguments) -> Result<(), BoxDynError> {
        sqlx::Arguments::add(to, self.to_json())
    }

    #[cfg(feature = "postgres")]
    fn bind_postgres(&self, to: &mut sqlx::postgres::PgArguments) -> Result<(), BoxDynError> {
        use sqlx::Arguments;
        match self {
            Self::Texts(texts) => to.add(texts),
            Self::Integers(integers) => to.add(integers),
            Self::Uuids(uuids) => to.add(uuids),
        }
    }

    #[cfg(feature = "mysql")]
    fn bind_mysql(&self, to: &mut sqlx::mysql::MySqlArguments) -> Result<(), BoxDynError> {
        sqlx::Arguments::add(to, self.to_json())
    }
}
