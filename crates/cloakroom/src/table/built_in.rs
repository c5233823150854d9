//! The columns that every session table has. The code that selects, writes, migrates and compares them uses this table.

use time::OffsetDateTime;
use uuid::Uuid;

use super::FieldDefinition;
use crate::database::{ColumnType, FieldValue};

/// The names of the columns, which are those of `ecto_sessions`.
pub(crate) mod column {
    pub(crate) const ID: &str = "id";
    pub(crate) const DIGEST: &str = "auth_token_digest";
    pub(crate) const DATA: &str = "data";
    pub(crate) const EXPIRES_AT: &str = "expires_at";
    pub(crate) const INSERTED_AT: &str = "inserted_at";
    pub(crate) const UPDATED_AT: &str = "updated_at";
}

/// A column that every session table has.
#[derive(Clone, Debug)]
pub(crate) struct BuiltInColumn {
    pub(crate) name: &'static str,
    /// The type of the column's values. In a table that is made here, the digest and the data have types of their own.
    pub(crate) column_type: ColumnType,
    pub(crate) nullable: bool,
    /// The version of the migration that makes the column; 1 is that of the table. A later column is added to existing
    /// tables, adopted ones among them, so it must be nullable.
    pub(crate) since: u32,
}

impl BuiltInColumn {
    /// Returns the column in the form of a field of the application's.
    pub(crate) fn as_field(&self) -> FieldDefinition {
        let mut field = FieldDefinition::dynamic(self.name, self.column_type.clone());
        field.nullable = self.nullable;
        field
    }
}

const fn required(name: &'static str, column_type: ColumnType) -> BuiltInColumn {
    BuiltInColumn { name, column_type, nullable: false, since: 1 }
}

/// The columns, in the order in which a row's values are written.
pub(crate) static BUILT_IN_COLUMNS: [BuiltInColumn; 6] = [
    required(column::ID, ColumnType::Uuid),
    required(column::DIGEST, ColumnType::Text),
    required(column::DATA, ColumnType::Json),
    BuiltInColumn { name: column::EXPIRES_AT, column_type: ColumnType::Timestamp, nullable: true, since: 1 },
    required(column::INSERTED_AT, ColumnType::Timestamp),
    required(column::UPDATED_AT, ColumnType::Timestamp),
];

/// The built-in columns' values of a new row.
pub(crate) struct NewRow<'r> {
    pub(crate) id: Uuid,
    pub(crate) digest: &'r str,
    pub(crate) data: FieldValue,
    pub(crate) expires_at: Option<OffsetDateTime>,
    pub(crate) inserted_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
}

impl NewRow<'_> {
    /// Returns the values in the order of [`BUILT_IN_COLUMNS`], followed by those of the fields.
    pub(crate) fn values(self, fields: Vec<FieldValue>) -> Vec<FieldValue> {
        let mut data = Some(self.data);
        let mut values: Vec<_> = BUILT_IN_COLUMNS
            .iter()
            .map(|built_in| match built_in.name {
                column::ID => FieldValue::plain(self.id),
                column::DIGEST => FieldValue::plain(self.digest),
                column::DATA => data.take().unwrap_or_else(|| FieldValue::plain(None::<String>)),
                column::EXPIRES_AT => FieldValue::plain(self.expires_at),
                column::INSERTED_AT => FieldValue::plain(self.inserted_at),
                _ => FieldValue::plain(self.updated_at),
            })
            .collect();
        values.extend(fields);
        values
    }
}
