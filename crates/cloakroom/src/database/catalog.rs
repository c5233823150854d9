//! The database's own description of its tables.

use super::{ColumnType, Connection, Foreign};

/// A column as the database describes it.
#[derive(Debug)]
pub(crate) struct ColumnInfo {
    pub(crate) name: String,
    pub(crate) column_type: ColumnType,
    /// How its values are written and read, if not in the driver's way.
    pub(crate) foreign: Option<Foreign>,
    /// The type as the database describes it, with its length or precision.
    pub(crate) declared: String,
    /// On PostgreSQL, the type that a domain is made of, or the type itself if it is no domain.
    pub(crate) base: Option<String>,
    pub(crate) nullable: bool,
}

/// An index as the database describes it.
#[derive(Debug)]
pub(crate) struct IndexInfo {
    pub(crate) name: String,
    /// Whether it is unique over all rows of the table.
    pub(crate) is_unique: bool,
    /// Whether it is complete.
    pub(crate) is_valid: bool,
    /// The columns, expressions, or first characters of a column that it is over, as the database writes them.
    pub(crate) over: String,
}

impl Connection<'_> {
    /// Returns the columns of a table, in their order. There are none if there is no such table.
    pub(crate) async fn columns(
        &mut self,
        schema: Option<&str>,
        table: &str,
    ) -> Result<Vec<ColumnInfo>, sqlx::Error> {
        let dialect = self.backend().dialect();
        let rows = self.fetch_all(&dialect.columns(schema, table)).await?;
        rows.iter()
            .map(|row| {
                let declared = row.text(1)?.unwrap_or_default();
                let base = row.text(3)?;
                let (column_type, foreign) =
                    dialect.column_type(&declared, base.as_deref().unwrap_or_default());
                Ok(ColumnInfo {
                    name: row.text(0)?.unwrap_or_default(),
                    column_type,
                    foreign,
                    declared,
                    base,
                    nullable: row.integer(2)? == Some(1),
                })
            })
            .collect()
    }

    /// Returns a table's indexes.
    pub(crate) async fn indexes(
        &mut self,
        schema: Option<&str>,
        table: &str,
    ) -> Result<Vec<IndexInfo>, sqlx::Error> {
        let rows = self.fetch_all(&self.backend().dialect().indexes(schema, table)).await?;
        rows.iter()
            .map(|row| {
                Ok(IndexInfo {
                    name: row.text(0)?.unwrap_or_default(),
                    is_unique: row.integer(1)? == Some(1),
                    is_valid: row.integer(2)? == Some(1),
                    over: row.text(3)?.unwrap_or_default(),
                })
            })
            .collect()
    }

    /// Returns `true` if a schema of this name exists.
    pub(crate) async fn has_schema(&mut self, schema: &str) -> Result<bool, sqlx::Error> {
        let statement = self.backend().dialect().schema(schema);
        Ok(self.fetch_optional(&statement).await?.is_some())
    }
}
