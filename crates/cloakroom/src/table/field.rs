use super::{DynamicValue, TableDefinition};
use crate::database::{Backend, ColumnType, FieldType, Row, RowError};
use crate::error::{Error, ErrorKind, Result};

/// Reads the fields of one row of a session table: the application's own columns, in the definition's order.
#[derive(Debug)]
pub struct FieldReader<'r> {
    row: &'r Row,
    table: &'r TableDefinition,
    first: usize,
}

impl<'r> FieldReader<'r> {
    pub(crate) fn new(row: &'r Row, table: &'r TableDefinition, first: usize) -> Self {
        Self { row, table, first }
    }

    /// Returns the value of the field at `index` in the definition.
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode) if the row holds something else. The message names the column.
    pub fn get<V: FieldType>(&self, index: usize) -> Result<V> {
        self.row.get(self.first + index).map_err(|error| self.undecodable(index, error))
    }

    pub(crate) fn dynamic(&self, index: usize, column_type: &ColumnType) -> Result<DynamicValue> {
        super::dynamic::read(self.row, self.first + index, column_type)
            .map_err(|error| self.undecodable(index, error))
    }

    pub(crate) fn table(&self) -> &'r TableDefinition {
        self.table
    }

    pub(crate) fn backend(&self) -> Backend {
        self.row.backend()
    }

    fn undecodable(&self, index: usize, error: RowError) -> Error {
        let column = self.table.fields.get(index).map_or("?", |field| field.name());
        let message = format!("the column {column} of {} does not hold what is declared", self.table);
        Error::new(ErrorKind::Decode, message).with_source(error)
    }
}
