//! A row that was read without the driver.

use std::fmt;

use rusqlite::types::ValueRef;

use crate::database::row::RowError;
use crate::database::sqlite::row::Held;

/// The values of a row. All text is in one place, and so are all bytes: a row has some ten values.
pub struct DirectRow {
    cells: Vec<Cell>,
    text: String,
    bytes: Vec<u8>,
}

/// How many bytes of text most rows have at most.
const USUAL: usize = 512;

enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    /// From where to where it is in the text.
    Text(usize, usize),
    /// From where to where it is in the bytes.
    Blob(usize, usize),
}

impl DirectRow {
    pub(super) fn read(row: &rusqlite::Row<'_>, width: usize) -> rusqlite::Result<Self> {
        let mut read =
            Self { cells: Vec::with_capacity(width), text: String::with_capacity(USUAL), bytes: Vec::new() };
        for place in 0..width {
            let cell = Cell::of(row.get_ref(place)?, &mut read.text, &mut read.bytes);
            read.cells.push(cell);
        }
        Ok(read)
    }

    /// Returns how many columns the row has.
    pub(in crate::database::sqlite) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Returns how many bytes its text and blobs have.
    pub(super) fn size(&self) -> usize {
        self.text.len() + self.bytes.len()
    }

    pub(in crate::database::sqlite) fn value(&self, index: usize) -> Result<Held<'_>, RowError> {
        let len = self.cells.len();
        let cell = self.cells.get(index).ok_or(RowError::ColumnIndexOutOfBounds { index, len })?;
        Ok(match *cell {
            Cell::Null => Held::Null,
            Cell::Integer(integer) => Held::Integer(integer),
            Cell::Real(float) => Held::Real(float),
            Cell::Text(from, to) => Held::Text(&self.text[from..to]),
            Cell::Blob(from, to) => Held::Blob(&self.bytes[from..to]),
        })
    }
}

impl Cell {
    fn of(value: ValueRef<'_>, text: &mut String, bytes: &mut Vec<u8>) -> Self {
        let (found, is_text) = match value {
            ValueRef::Null => return Self::Null,
            ValueRef::Integer(integer) => return Self::Integer(integer),
            ValueRef::Real(float) => return Self::Real(float),
            ValueRef::Text(found) => (found, true),
            ValueRef::Blob(found) => (found, false),
        };
        // As the driver does, which refuses other text when it is decoded.
        match str::from_utf8(found) {
            Ok(found) if is_text => {
                let from = text.len();
                text.push_str(found);
                Self::Text(from, text.len())
            }
            _ => {
                let from = bytes.len();
                bytes.extend_from_slice(found);
                Self::Blob(from, bytes.len())
            }
        }
    }
}

/// A row holds a digest; nothing of it is shown.
impl fmt::Debug for DirectRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DirectRow")
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn each_value_is_read_as_it_is_held() {
        let connection = Connection::open_in_memory().unwrap();
        let mut find = connection
            .prepare("SELECT NULL, 7, 0.5, 'first', x'00ff', 'é', x'01', CAST(x'ff' AS TEXT), ''")
            .unwrap();
        let row = find.query_row([], |row| DirectRow::read(row, 9)).unwrap();
        assert_eq!((row.len(), row.size()), (9, 11));
        let held = |index| row.value(index).unwrap();
        assert!(matches!(held(0), Held::Null));
        assert!(matches!(held(1), Held::Integer(7)));
        assert!(matches!(held(2), Held::Real(0.5)));
        assert!(matches!(held(3), Held::Text("first")));
        assert!(matches!(held(4), Held::Blob([0, 255])));
        assert!(matches!(held(5), Held::Text("é")));
        assert!(matches!(held(6), Held::Blob([1])));
        // Text that is none is refused as text.
        assert!(matches!(held(7), Held::Blob([255])));
        assert!(matches!(held(8), Held::Text("")));
        assert!(row.value(9).is_err());
    }
}
