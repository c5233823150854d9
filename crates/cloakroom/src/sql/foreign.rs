//! Values in statements, for columns of a type that this library did not choose.

use sea_query::{BinOper, Expr, ExprTrait};

use super::Bindings;
use crate::database::{FieldValue, MAX_PLACEHOLDERS};
use crate::error::Result;

impl Bindings<'_> {
    /// Returns a column of the session table as it is selected.
    pub(crate) fn selected(&self, name: &str) -> Expr {
        let column = self.column(name);
        match self.table().foreign(name, self.backend()) {
            Some(foreign) => foreign.selected(column),
            None => column,
        }
    }

    /// Returns an expression for a value that is stored in the column `name`.
    pub(crate) fn stored_in(&mut self, name: &str, value: FieldValue) -> Expr {
        let foreign = self.table().foreign(name, self.backend());
        let value = self.expr(foreign.map_or(value.clone(), |foreign| foreign.bound(value)));
        foreign.map_or(value.clone(), |foreign| foreign.written(value))
    }

    /// Returns an expression for a value that the column `name` is compared with.
    ///
    /// # Errors
    ///
    /// [`InvalidField`](crate::ErrorKind::InvalidField) for text that the database would silently compare as another.
    pub(crate) fn compared_with(&mut self, name: &str, value: FieldValue) -> Result<Expr> {
        if let Some(foreign) = self.table().foreign(name, self.backend()) {
            foreign.check(name, &value)?;
        }
        Ok(self.stored_in(name, value))
    }

    /// Returns the condition that the column `name` of the session table is one of `keys`.
    pub(crate) fn is_field_among(&mut self, name: &str, keys: Vec<FieldValue>) -> Result<Expr> {
        let column = self.column(name);
        let Some(foreign) = self.table().foreign(name, self.backend()) else {
            return Ok(self.is_among(column, keys));
        };
        match (&foreign.write_all, keys.len() > MAX_PLACEHOLDERS) {
            (Some(write_all), true) => {
                let cast = |list| Expr::cust_with_exprs(write_all.clone(), [list]);
                Ok(self.is_among_cast(column, keys, cast))
            }
            (None, true) if foreign.write.is_none() => {
                keys.iter().try_for_each(|key| foreign.check(name, key))?;
                Ok(self.is_among(column, keys))
            }
            _ => {
                let keys =
                    keys.into_iter().map(|key| self.compared_with(name, key)).collect::<Result<Vec<_>>>()?;
                Ok(column.binary(BinOper::In, Expr::tuple(keys)))
            }
        }
    }
}
