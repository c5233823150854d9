//! Values that are to be written, checked against what the table's columns hold.

use std::sync::Arc;

use super::Operations;
use crate::database::FieldValue;
use crate::error::Result;
use crate::store::Columns;
use crate::table::{Role, SessionFields};

impl<T: SessionFields> Operations<'_, T> {
    /// Returns how the table's columns store values, before any is written, or `None` if there is no such table.
    pub(crate) async fn columns(&mut self) -> Result<Option<Arc<Columns>>> {
        let sessions = Arc::clone(self.handle());
        sessions.store().known.columns(self.connection(), sessions.definition()).await
    }

    /// Returns the fields' values, checked against what their columns hold, and `true` if a value that is read back may
    /// differ from what was written.
    pub(crate) async fn fitting_values(&mut self, fields: &T) -> Result<(Vec<FieldValue>, bool)> {
        let values: Vec<_> = self.checked_values(fields)?.into_iter().map(Some).collect();
        let may_change = self.fit(&values).await?;
        Ok((values.into_iter().flatten().collect(), may_change))
    }

    /// Checks the fields' values that are to be written against what their columns hold. Returns `true` if a value that
    /// is read back may differ from what was written.
    pub(crate) async fn fit(&mut self, values: &[Option<FieldValue>]) -> Result<bool> {
        let Some(mut columns) = self.columns().await? else {
            return Ok(false);
        };
        let sessions = Arc::clone(self.handle());
        let table = sessions.definition();
        let is_doubtful = columns.check_writes().is_err() || columns.check_values(table, values).is_err();
        if is_doubtful && let Some(anew) = sessions.store().known.ask(self.connection(), table).await? {
            columns = anew;
        }
        columns.check_writes()?;
        columns.check_values(table, values)?;
        Ok(columns.may_change_values)
    }

    /// Checks the value that the column with this role is to be set to. Returns `true` if what is read back may differ.
    pub(crate) async fn fit_role(&mut self, role: Role, value: Option<FieldValue>) -> Result<bool> {
        let Some(place) = self.table().place_for(role) else {
            return Ok(false);
        };
        let mut written = vec![None; self.table().fields.len()];
        written[place] = value;
        self.fit(&written).await
    }

    /// Refuses to write if one write of a row could not be told from another.
    pub(crate) async fn check_writes(&mut self) -> Result<()> {
        match self.columns().await? {
            Some(columns) if columns.check_writes().is_err() => {
                let sessions = Arc::clone(self.handle());
                match sessions.store().known.ask(self.connection(), sessions.definition()).await? {
                    Some(columns) => columns.check_writes(),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
