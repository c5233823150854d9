//! The columns of a list, and their cells.

use cloakroom::{FieldDefinition, TableDefinition};
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, Table};
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::session::{SessionJson, Shown, ValueJson, text_of};
use super::{Style, timestamp};
use crate::escape::printable;
use crate::failure::Failure;
use crate::path::Path;

/// How many characters of a timestamp lead up to the second.
const SECONDS: usize = "2026-11-23T01:48:09".len();

/// How many characters of a cell a list on a terminal shows.
const SHOWN: usize = 60;

/// Every column that is not a field of the table.
const BUILT_IN: [(&str, Column); 8] = [
    ("id", Column::Id),
    ("data", Column::Data),
    ("status", Column::Status),
    ("expires_at", Column::ExpiresAt),
    ("inserted_at", Column::InsertedAt),
    ("updated_at", Column::UpdatedAt),
    ("sliding_seconds", Column::Sliding),
    ("cursor", Column::Cursor),
];

/// Returns the names of the columns that are not fields of the table.
pub(crate) fn built_in_columns() -> impl Iterator<Item = &'static str> {
    BUILT_IN.into_iter().map(|(name, _)| name)
}

/// The columns of a list, with their names.
pub(crate) struct Columns {
    columns: Vec<(String, Column)>,
    /// Whether the user asked for them; then they are the keys of a JSON object.
    are_chosen: bool,
}

enum Column {
    Id,
    Field(String),
    Data,
    Part(Path),
    Status,
    ExpiresAt,
    InsertedAt,
    UpdatedAt,
    Sliding,
    Cursor,
}

impl Columns {
    /// Returns the columns with these names, or else all that this style shows by default.
    pub(crate) fn new(names: &[String], table: &TableDefinition, style: Style) -> Result<Self, Failure> {
        let mut columns: Vec<(String, Column)> = Vec::new();
        for name in names {
            if columns.iter().any(|(known, _)| known == name) {
                return Err(Failure::usage(format!("the column {name} is asked for twice")));
            }
            columns.push((name.clone(), Column::named(name, table)?));
        }
        if !names.is_empty() {
            return Ok(Self { columns, are_chosen: true });
        }
        let fields = table.fields().iter().map(FieldDefinition::name);
        columns.push(("id".to_owned(), Column::Id));
        columns.extend(fields.map(|name| (name.to_owned(), Column::Field(name.to_owned()))));
        let others: &[&str] = match style {
            Style::Csv => &["status", "expires_at", "inserted_at", "updated_at", "data"],
            _ => &["status", "expires_at", "inserted_at", "data"],
        };
        for name in others {
            // A file with column names has each name once: the table's own column takes precedence.
            if style != Style::Csv || columns.iter().all(|(known, _)| known != name) {
                columns.push(((*name).to_owned(), Column::built_in(name).unwrap_or(Column::Data)));
            }
        }
        Ok(Self { columns, are_chosen: false })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn texts(&self, shown: &Shown<'_>) -> Vec<String> {
        self.columns.iter().map(|(_, column)| column.text(shown)).collect()
    }

    pub(super) fn json(&self, shown: &Shown<'_>) -> Result<String, serde_json::Error> {
        if self.are_chosen {
            return serde_json::to_string(&Chosen { columns: self, shown });
        }
        serde_json::to_string(&SessionJson::new(shown))
    }

    /// Puts a cell on one line, though the stored text may have several.
    pub(super) fn json_line(&self, shown: &Shown<'_>) -> Result<String, serde_json::Error> {
        // Line ends stand only between JSON's values, never within a string.
        self.json(shown).map(|json| json.replace(['\n', '\r'], " "))
    }

    /// Makes an empty table. If there is little room, and no columns were asked for, it has those that distinguish
    /// sessions.
    pub(super) fn table(&self, is_wide: bool) -> Table {
        let mut table = super::table();
        let shown = self.columns.iter().filter(|(_, column)| is_wide || self.is_shown_on_little_room(column));
        table.set_header(shown.map(|(name, _)| Cell::new(printable(name)).add_attribute(Attribute::Bold)));
        if let Some(id) = self.columns.iter().position(|(_, column)| matches!(column, Column::Id))
            && let Some(id) = table.column_mut(id)
        {
            // The user copies it.
            id.set_constraint(ColumnConstraint::ContentWidth);
        }
        table
    }

    fn is_shown_on_little_room(&self, column: &Column) -> bool {
        self.are_chosen || !matches!(column, Column::InsertedAt | Column::Data)
    }

    pub(super) fn cells(&self, shown: &Shown<'_>, is_wide: bool) -> Vec<Cell> {
        let columns = self.columns.iter().map(|(_, column)| column);
        let columns = columns.filter(|column| is_wide || self.is_shown_on_little_room(column));
        columns.map(|column| column.cell(shown, self.are_chosen)).collect()
    }
}

impl Column {
    fn named(name: &str, table: &TableDefinition) -> Result<Self, Failure> {
        let fields = || table.fields().iter().map(FieldDefinition::name);
        if fields().any(|field| field == name) {
            return Ok(Self::Field(name.to_owned()));
        }
        if let Some(keys) = name.strip_prefix("data.") {
            return Path::parse(keys).map(Self::Part);
        }
        Self::built_in(name).ok_or_else(|| {
            let fields = fields().map(str::to_owned);
            let known: Vec<String> = fields.chain(built_in_columns().map(str::to_owned)).collect();
            Failure::usage(format!("there is no column {name:?}; there are {}, data.KEY", known.join(", ")))
        })
    }

    fn built_in(name: &str) -> Option<Self> {
        BUILT_IN.into_iter().find(|(known, _)| *known == name).map(|(_, column)| column)
    }

    fn text(&self, shown: &Shown<'_>) -> String {
        match self {
            Self::Id => shown.id.to_string(),
            Self::Field(name) => {
                shown.fields.and_then(|fields| fields.get(name)).map(text_of).unwrap_or_default()
            }
            Self::Data => shown.data.unwrap_or_default().to_owned(),
            Self::Part(path) => match shown.data.and_then(|data| path.find(data)).map(RawValue::get) {
                None | Some("null") => String::new(),
                // The text of a JSON string, and other JSON as it is written.
                Some(part) => serde_json::from_str(part).unwrap_or_else(|_| part.to_owned()),
            },
            Self::Status => shown.status().to_owned(),
            Self::ExpiresAt => shown.expiry(),
            Self::InsertedAt => timestamp(shown.inserted_at),
            Self::UpdatedAt => timestamp(shown.updated_at),
            Self::Sliding => shown.sliding_seconds().map(|span| span.to_string()).unwrap_or_default(),
            Self::Cursor => shown.cursor.map(|cursor| cursor.to_string()).unwrap_or_default(),
        }
    }

    /// Returns a cell of a table on a terminal: times to the second, and long text shortened unless it was asked for.
    fn cell(&self, shown: &Shown<'_>, is_chosen: bool) -> Cell {
        let second = |instant: OffsetDateTime| {
            let timestamp = timestamp(instant);
            Cell::new(timestamp.get(..SECONDS).unwrap_or_default().replace('T', " "))
        };
        match self {
            Self::ExpiresAt => shown.expires_at.map_or_else(|| Cell::new("never"), second),
            Self::InsertedAt => second(shown.inserted_at),
            Self::UpdatedAt => second(shown.updated_at),
            Self::Status => {
                Cell::new(shown.status()).fg(if shown.is_valid { Color::Green } else { Color::Red })
            }
            _ => {
                let text = printable(&self.text(shown));
                Cell::new(if is_chosen { text } else { shortened(&text) })
            }
        }
    }
}

/// The requested columns of a session, as an object.
struct Chosen<'s> {
    columns: &'s Columns,
    shown: &'s Shown<'s>,
}

impl Serialize for Chosen<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = self.shown;
        let mut map = serializer.serialize_map(None)?;
        for (name, column) in &self.columns.columns {
            match column {
                Column::Field(field) => {
                    map.serialize_entry(
                        name,
                        &shown.fields.and_then(|fields| fields.get(field)).map(ValueJson),
                    )?;
                }
                Column::Data => {
                    let data = shown.data.map(serde_json::from_str::<&RawValue>).transpose();
                    map.serialize_entry(name, &data.map_err(S::Error::custom)?)?;
                }
                Column::Part(path) => {
                    map.serialize_entry(name, &shown.data.and_then(|data| path.find(data)))?;
                }
                Column::ExpiresAt => map.serialize_entry(name, &shown.expires_at.map(timestamp))?,
                Column::Sliding => map.serialize_entry(name, &shown.sliding_seconds())?,
                other => map.serialize_entry(name, &other.text(shown))?,
            }
        }
        map.end()
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::DIGEST;

    #[test]
    fn a_list_can_show_every_built_in_column_but_the_digest() {
        let columns: Vec<_> = TableDefinition::built_in_columns().collect();
        assert!(columns.len() > 5);
        for column in columns {
            assert_eq!(
                Column::built_in(column.name()).is_some(),
                column.name() != DIGEST,
                "{}",
                column.name()
            );
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shortened(&"é".repeat(61)), "é".repeat(60) + "…");
        assert_eq!(shortened(&"é".repeat(60)), "é".repeat(60));
    }
}
