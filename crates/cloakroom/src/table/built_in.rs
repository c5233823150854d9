//! The columns that every session table has. What inserts, creates, adds and compares them follows from this table.

use time::OffsetDateTime;
use uuid::Uuid;

use super::FieldDefinition;
use crate::database::{ColumnType, FieldValue};

/// The names of the columns. Those of version 1 are those of `ecto_sessions`.
pub(crate) mod column {
    pub(crate) const ID: &str = "id";
    pub(crate) const DIGEST: &str = "auth_token_digest";
    pub(crate) const DATA: &str = "data";
    pub(crate) const EXPIRES_AT: &str = "expires_at";
    pub(crate) const SLIDING: &str = "sliding_seconds";
    pub(crate) const INSERTED_AT: &str = "inserted_at";
    pub(crate) const UPDATED_AT: &str = "updated_at";
    /// Of tables with the role `device_key`: what the device is to sign next.
    pub(crate) const DEVICE_CHALLENGE: &str = "device_challenge";
    /// Of tables with the role `device_key`: until when the present token of a bound session is good.
    pub(crate) const DEVICE_TOKEN_UNTIL: &str = "device_token_until";
}

/// A column that every session table has.
#[derive(Clone)]
pub(crate) struct BuiltInColumn {
    pub(crate) name: &'static str,
    /// The type of the column's values. In a table that is made here, the digest and the data have types of their own.
    pub(crate) column_type: ColumnType,
    pub(crate) nullable: bool,
    /// The version of the migration that makes the column. Version 1 creates the table; the column of a later version is
    /// added to existing tables, adopted ones among them, so it must be nullable.
    pub(crate) since: u32,
    /// The column's value in a new row.
    pub(crate) value: fn(&NewRow<'_>) -> FieldValue,
}

impl BuiltInColumn {
    /// Returns the column in the form of a field of the application's.
    pub(crate) fn as_field(&self) -> FieldDefinition {
        let mut field = FieldDefinition::dynamic(self.name, self.column_type.clone());
        field.nullable = self.nullable;
        field
    }
}

const fn required(
    name: &'static str,
    column_type: ColumnType,
    value: fn(&NewRow<'_>) -> FieldValue,
) -> BuiltInColumn {
    BuiltInColumn { name, column_type, nullable: false, since: 1, value }
}

/// The columns, in the order in which a row's values are written.
pub(crate) static BUILT_IN_COLUMNS: [BuiltInColumn; 7] = [
    required(column::ID, ColumnType::Uuid, |row| FieldValue::plain(row.id)),
    required(column::DIGEST, ColumnType::Text, |row| FieldValue::plain(row.digest)),
    required(column::DATA, ColumnType::Json, |row| row.data.clone()),
    BuiltInColumn {
        name: column::EXPIRES_AT,
        column_type: ColumnType::Timestamp,
        nullable: true,
        since: 1,
        value: |row| FieldValue::plain(row.expires_at),
    },
    required(column::INSERTED_AT, ColumnType::Timestamp, |row| FieldValue::plain(row.inserted_at)),
    required(column::UPDATED_AT, ColumnType::Timestamp, |row| FieldValue::plain(row.updated_at)),
    BuiltInColumn {
        name: column::SLIDING,
        column_type: ColumnType::Integer,
        nullable: true,
        since: 3,
        value: |row| FieldValue::plain(row.sliding),
    },
];

/// The place of the column that a table may lack, if it was made elsewhere or by an earlier version.
pub(crate) const PLACE_OF_SLIDING: usize = BUILT_IN_COLUMNS.len() - 1;

/// The built-in columns' values of a new row.
pub(crate) struct NewRow<'r> {
    pub(crate) id: Uuid,
    pub(crate) digest: &'r str,
    pub(crate) data: FieldValue,
    pub(crate) expires_at: Option<OffsetDateTime>,
    pub(crate) inserted_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
    /// See [`Sliding`](crate::Sliding).
    pub(crate) sliding: Option<i64>,
}

impl NewRow<'_> {
    /// Returns the values in the order of [`BUILT_IN_COLUMNS`], followed by those of the fields.
    pub(crate) fn values(&self, fields: Vec<FieldValue>) -> Vec<FieldValue> {
        BUILT_IN_COLUMNS.iter().map(|built_in| (built_in.value)(self)).chain(fields).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_that_a_table_may_lack_is_in_its_place() {
        assert_eq!(BUILT_IN_COLUMNS[PLACE_OF_SLIDING].name, column::SLIDING);
    }
}
