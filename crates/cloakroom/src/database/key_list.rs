//! `column IN (keys)` for any number of keys, in one statement.
//!
//! Every database bounds the number of placeholders: SQLite at 32,766, the others at 65,535. So a list goes
//! as one value, an array or JSON, where its keys are of a kind that allows it.

use sea_query::{BinOper, Expr, ExprTrait, Value};
use sqlx::error::BoxDynError;

use super::stored_type::Bind;
use super::{Backend, Bindings};
use crate::field::{FieldValue, Repr};

/// The most keys that are bound one by one.
pub(crate) const MAX_PLACEHOLDERS: usize = 30_000;

impl Bindings<'_> {
    /// The condition that `column` is one of `keys`.
    pub(crate) fn is_among(&mut self, column: Expr, keys: Vec<FieldValue>) -> Expr {
        let prefers_placeholders = self.backend() == Backend::MySql && keys.len() <= MAX_PLACEHOLDERS;
        match KeyList::new(&keys) {
            Some(list) if !prefers_placeholders => self.in_key_list(column, list),
            _ => {
                let keys = keys.into_iter().map(|key| self.expr(key)).collect::<Vec<_>>();
                column.binary(BinOper::In, Expr::tuple(keys))
            }
        }
    }

    /// The same on PostgreSQL, where the list of keys is cast first.
    pub(super) fn is_among_cast(
        &mut self,
        column: Expr,
        keys: Vec<FieldValue>,
        cast: impl FnOnce(Expr) -> Expr,
    ) -> Expr {
        let Some(list) = KeyList::new(&keys) else {
            return self.is_among(column, keys);
        };
        let list = self.expr(FieldValue(Repr::Native(std::sync::Arc::new(list))));
        Expr::cust_with_exprs("$1 = ANY($2)", [column, cast(list)])
    }

    fn in_key_list(&mut self, column: Expr, list: KeyList) -> Expr {
        let is_uuid = matches!(list, KeyList::Uuids(_));
        let is_text = matches!(list, KeyList::Texts(_));
        let list = self.expr(FieldValue(Repr::Native(std::sync::Arc::new(list))));
        let keys = match self.backend() {
            Backend::Postgres => {
                // In parentheses, which an operator would bring, it would no longer be an operand.
                return Expr::cust_with_exprs("$1 = ANY($2)", [column, list]);
            }
            Backend::Sqlite if is_uuid => "(SELECT unhex(value) FROM json_each(?))",
            Backend::Sqlite => "(SELECT value FROM json_each(?))",
            Backend::MySql if is_uuid => {
                "(SELECT UNHEX(k) FROM JSON_TABLE(?, '$[*]' COLUMNS (k char(32) PATH '$')) AS k)"
            }
            // The columns on both sides may have collations that do not mix; an explicit one wins.
            Backend::MySql if is_text => {
                "(SELECT k COLLATE utf8mb4_bin FROM JSON_TABLE(?, '$[*]' COLUMNS (k varchar(255) CHARACTER SET utf8mb4 PATH '$')) AS k)"
            }
            Backend::MySql => "(SELECT k FROM JSON_TABLE(?, '$[*]' COLUMNS (k bigint PATH '$')) AS k)",
        };
        column.binary(BinOper::In, Expr::cust_with_expr(keys, list))
    }
}

/// Keys of one kind, bound as one value.
pub(crate) enum KeyList {
    Texts(Vec<String>),
    Integers(Vec<i64>),
    Uuids(Vec<uuid::Uuid>),
}

impl KeyList {
    fn new(keys: &[FieldValue]) -> Option<Self> {
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
