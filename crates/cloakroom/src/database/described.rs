//! The columns of a table as its database declares them, for comparison with the columns that the fields need.

use super::Connection;

/// A column as it is declared.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what a catalogue says of a column")]
pub(crate) struct Described {
    pub(crate) name: String,
    /// The type in full, as the database writes it.
    pub(crate) declared: String,
    /// The type's name alone, in lower case; for a domain, the name of the type that it is made of.
    pub(crate) base: String,
    /// Whether the type is one of the database's own.
    pub(crate) is_built_in: bool,
    /// Whether it may hold null. This is not known for a view.
    pub(crate) nullable: Option<bool>,
    pub(crate) has_default: bool,
    pub(crate) collation: Option<String>,
    /// Whether SQLite enforces the types of the table's columns.
    pub(crate) is_strict: bool,
    /// Whether a key or a unique index begins with it. A foreign key needs that.
    pub(crate) is_key: bool,
    /// Whether each UPDATE of a row sets it to the present instant, unless it says otherwise.
    pub(crate) moves: bool,
}

impl Connection<'_> {
    /// Returns the columns of a table, in their order. There are none if there is no such table.
    pub(crate) async fn described(
        &mut self,
        schema: Option<&str>,
        table: &str,
    ) -> Result<Vec<Described>, sqlx::Error> {
        let statement = self.backend().dialect().described(schema, table);
        let rows = self.fetch_all(&statement).await?;
        rows.iter()
            .map(|row| {
                let text = |index| Ok::<_, sqlx::Error>(row.text(index)?.unwrap_or_default());
                let flag = |index| Ok::<_, sqlx::Error>(row.integer(index)? == Some(1));
                Ok(Described {
                    name: text(0)?,
                    declared: text(1)?,
                    base: text(2)?.to_lowercase(),
                    is_built_in: flag(3)?,
                    nullable: row.integer(4)?.map(|nullable| nullable != 0),
                    has_default: flag(5)?,
                    collation: row.text(6)?,
                    is_strict: flag(7)?,
                    is_key: flag(8)?,
                    moves: flag(9)?,
                })
            })
            .collect()
    }
}
