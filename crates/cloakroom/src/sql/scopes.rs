//! Conditions on columns of scopes.

use std::borrow::Cow;

use sea_query::IntoCondition;

use super::Filter;
use crate::database::{Backend, ColumnType, FieldValue};
use crate::error::ErrorKind;
use crate::scopes::{AnyScope, NamesScope, Scopes};
use crate::table::{Column, DynamicFields, FieldDefinition, SessionFields, TableDefinition, unknown_field};

impl<T: SessionFields, E: AnyScope> Column<T, Scopes<E>> {
    /// Matches sets that hold this scope: the whole name, with regard to case, on every database. A null does not match.
    ///
    /// No index serves this condition, so name an indexed field beside it where the table is large. A text that is no
    /// scope matches nothing.
    #[expect(clippy::needless_pass_by_value, reason = "a scope is given as it is, or by reference")]
    pub fn contains(self, scope: impl NamesScope<E>) -> Filter<T> {
        let name = scope.scope_name();
        // With a space in it, the text would match two neighbours.
        match Scopes::<String>::from_names([name]) {
            Ok(_) => Filter::has_scope(self.name(), name),
            Err(_) => Filter::among(self.name(), Vec::new()),
        }
    }
}

impl DynamicFields {
    /// Returns the condition that the field `name` of `table`, which is text, holds this scope: the whole name, with regard
    /// to case. A null does not match.
    ///
    /// If there is no such field, if it is no text, or if `scope` has not the syntax of a scope, the query that uses the
    /// condition fails.
    pub fn contains_scope(table: &TableDefinition, name: &str, scope: &str) -> Filter<Self> {
        let Some(field) = table.fields.iter().find(|field| field.name == name) else {
            let error = unknown_field(name, table.fields.iter().map(FieldDefinition::name));
            return Filter::refuse(error.kind(), error.to_string());
        };
        let is_text = |backend| matches!(field.column_type(backend), ColumnType::Text | ColumnType::Exact(_));
        if !Backend::ALL.into_iter().all(is_text) {
            return Filter::refuse(ErrorKind::Unsupported, format!("{name} is no text, and holds no scopes"));
        }
        match Scopes::<String>::from_names([scope]) {
            Ok(_) => Filter::has_scope(name.to_owned(), scope),
            Err(error) => {
                Filter::refuse(ErrorKind::InvalidField, format!("{name} holds no such scope: {error}"))
            }
        }
    }
}

impl<T> Filter<T> {
    fn has_scope(column: impl Into<Cow<'static, str>>, scope: &str) -> Self {
        let (column, word) = (column.into(), format!(" {scope} "));
        Self::new(move |bindings| {
            let (column, word) = (bindings.column(&column), bindings.expr(FieldValue::plain(word.clone())));
            Ok(bindings.backend().dialect().has_word(column, word).into_condition())
        })
    }
}
