//! Values in statements, for columns of a type that this library did not choose.

use sea_query::{BinOper, Condition, Expr, ExprTrait};

use super::Bindings;
use crate::database::{ColumnType, FieldValue, MAX_PLACEHOLDERS};
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

    /// Returns the condition that the column `name` of the session table compares so with a value.
    pub(crate) fn compares(&mut self, name: &str, operator: BinOper, value: FieldValue) -> Result<Expr> {
        let (column, value) = (self.column(name), self.compared_with(name, value)?);
        if !self.holds_json(name) {
            return Ok(column.binary(operator, value));
        }
        let dialect = self.backend().dialect();
        Ok(dialect.compared_as_json(column).binary(operator, dialect.compared_as_json(value)))
    }

    /// Returns `true` if the column `name` is compared with a value as both are.
    pub(crate) fn holds_plainly(&self, name: &str) -> bool {
        !self.holds_json(name) && self.table().foreign(name, self.backend()).is_none()
    }

    fn holds_json(&self, name: &str) -> bool {
        let field = self.table().fields.iter().find(|field| field.name == name);
        field.is_some_and(|field| *field.column_type(self.backend()) == ColumnType::Json)
    }

    /// Returns the condition that the column `name` of the session table is one of `values`, each of which is a value of
    /// its own in the statement if their number allows it.
    pub(crate) fn is_field_in(&mut self, name: &str, values: Vec<FieldValue>) -> Result<Expr> {
        if values.len() > MAX_PLACEHOLDERS {
            return self.is_field_among(name, values);
        }
        if !self.can_list(name) {
            return self.is_any_of(name, values);
        }
        let values = values.into_iter().map(|value| self.compared_with(name, value));
        let values = values.collect::<Result<Vec<_>>>()?;
        Ok(self.column(name).binary(BinOper::In, Expr::tuple(values)))
    }

    /// Returns `true` if a list may hold values of the column `name`.
    fn can_list(&self, name: &str) -> bool {
        self.backend().dialect().lists_json() || !self.holds_json(name)
    }

    /// Returns the condition that the column `name` equals one of `values`, without a list.
    fn is_any_of(&mut self, name: &str, values: Vec<FieldValue>) -> Result<Expr> {
        let mut is_any = Condition::any();
        for value in values {
            is_any = is_any.add(self.compares(name, BinOper::Equal, value)?);
        }
        Ok(is_any.into())
    }

    /// Returns the condition that the column `name` of the session table is one of `keys`.
    pub(crate) fn is_field_among(&mut self, name: &str, keys: Vec<FieldValue>) -> Result<Expr> {
        if !self.can_list(name) {
            return self.is_any_of(name, keys);
        }
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
