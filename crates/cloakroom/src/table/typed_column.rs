use std::fmt;
use std::marker::PhantomData;

#[expect(unused_imports, reason = "the documentation names it")]
use super::SessionFields;

/// A column of the session table of `T`, with values of the type `V`.
///
/// The derive makes a constant for each field: `UserSession::USER_ID`. The built-in columns are
/// [`ID`](SessionFields::ID), [`EXPIRES_AT`](SessionFields::EXPIRES_AT), [`INSERTED_AT`](SessionFields::INSERTED_AT)
/// and [`UPDATED_AT`](SessionFields::UPDATED_AT). A column cannot be compared with null; use
/// [`is_null`](Column::is_null).
pub struct Column<T, V> {
    name: &'static str,
    of: PhantomData<fn() -> (T, V)>,
}

impl<T, V> Column<T, V> {
    /// Makes a column with this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, of: PhantomData }
    }

    /// Returns the column's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T, V> Clone for Column<T, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, V> Copy for Column<T, V> {}

impl<T, V> fmt::Debug for Column<T, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Column").field(&self.name).finish()
    }
}
