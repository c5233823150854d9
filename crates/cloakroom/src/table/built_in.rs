//! The columns that every session table has. What selects, writes, migrates and compares them follows from this table.

use time::OffsetDateTime;
use uuid::Uuid;

use super::FieldDefinition;
use crate::database::{ColumnType, FieldValue};

/// The names, which are those of `ecto_sessions`.
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
    /// The type of its values. The digest and the data have types of their own in a table that is made here.
    pub(crate) column_type: ColumnType,
    pub(crate) nullable: bool,
    /// The version of the migration that makes it: 1 together with the table. What comes later is added to tables that
    /// are there, adopted ones among them, so that it must be nullable.
    pub(crate) since: u32,
}

impl BuiltInColumn {
    /// The column as if it were a field of the application's.
    pub(crate) fn as_field(&self) -> FieldDefinition {
        let mut field = FieldDefinition::dynamic(self.name, self.column_type.clone());
        field.nullable = self.nullable;
        field
    }
}

const fn required(name: &'static str, column_type: ColumnType) -> BuiltInColumn {
    BuiltInColumn { name, column_type, nullable: false, since: 1 }
}

/// In the order in which a row's values are written.
pub(crate) static BUILT_IN_COLUMNS: [BuiltInColumn; 6] = [
    required(column::ID, ColumnType::Uuid),
    required(column::DIGEST, ColumnType::Text),
    required(column::DATA, ColumnType::Json),
    BuiltInColumn { name: column::EXPIRES_AT, column_type: ColumnType::Timestamp, nullable: true, since: 1 },
    required(column::INSERTED_AT, ColumnType::Timestamp),
    required(column::UPDATED_AT, ColumnType::Timestamp),
];

/// The built-in columns' values of a row that is to be made.
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
