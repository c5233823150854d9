//! `column IN (keys)` for any number of keys, in one statement.
//!
//! Every database limits the number of placeholders: SQLite to 32,766, the others to 65,535. So a list is bound as one
//! value, an array or JSON, if its keys are of a kind that allows it.

use std::sync::Arc;

use sea_query::{BinOper, Expr, ExprTrait};

use super::Bindings;
use crate::database::{FieldValue, KeyList, MAX_PLACEHOLDERS, Repr};

impl Bindings<'_> {
    /// Returns the condition that `column` is one of `keys`.
    pub(crate) fn is_among(&mut self, column: Expr, keys: Vec<FieldValue>) -> Expr {
        let prefers_placeholders =
            self.backend().dialect().prefers_placeholders() && keys.len() <= MAX_PLACEHOLDERS;
        match KeyList::new(&keys) {
            Some(list) if !prefers_placeholders => self.in_key_list(column, list),
            _ => {
                let keys = keys.into_iter().map(|key| self.expr(key)).collect::<Vec<_>>();
                column.binary(BinOper::In, Expr::tuple(keys))
            }
        }
    }

    /// Returns the same condition on PostgreSQL, where the list of keys is cast first.
    pub(super) fn is_among_cast(
        &mut self,
        column: Expr,
        keys: Vec<FieldValue>,
        cast: impl FnOnce(Expr) -> Expr,
    ) -> Expr {
        let Some(list) = KeyList::new(&keys) else {
            return self.is_among(column, keys);
        };
        let list = self.expr(FieldValue(Repr::Native(Arc::new(list))));
        Expr::cust_with_exprs("$1 = ANY($2)", [column, cast(list)])
    }

    fn in_key_list(&mut self, column: Expr, list: KeyList) -> Expr {
        let keys = Arc::new(list);
        let list = self.expr(FieldValue(Repr::Native(keys.clone())));
        self.backend().dialect().is_in_list(column, &keys, list)
    }
}
