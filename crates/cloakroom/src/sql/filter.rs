use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use sea_query::{BinOper, Condition, Expr, ExprTrait, IntoCondition};

use super::Bindings;
use crate::database::{FieldType, FieldValue};
use crate::error::{Error, ErrorKind, Result};
use crate::table::{Column, SessionFields};

impl<T: SessionFields, V: FieldType> Column<T, V> {
    /// Matches values equal to `value`. Text compares with regard to case and to trailing spaces.
    pub fn eq(self, value: impl Into<V>) -> Filter<T> {
        Filter::compare(self.name(), BinOper::Equal, FieldValue::new(&value.into()))
    }

    /// Matches values not equal to `value`. A null is neither equal nor unequal.
    pub fn ne(self, value: impl Into<V>) -> Filter<T> {
        Filter::compare(self.name(), BinOper::NotEqual, FieldValue::new(&value.into()))
    }

    /// Matches values less than `value`.
    pub fn lt(self, value: impl Into<V>) -> Filter<T> {
        Filter::compare(self.name(), BinOper::SmallerThan, FieldValue::new(&value.into()))
    }

    /// Matches values less than or equal to `value`.
    pub fn le(self, value: impl Into<V>) -> Filter<T> {
        Filter::compare(self.name(), BinOper::SmallerThanOrEqual, FieldValue::new(&value.into()))
    }

    /// Matches values greater than `value`.
    pub fn gt(self, value: impl Into<V>) -> Filter<T> {
        Filter::compare(self.name(), BinOper::GreaterThan, FieldValue::new(&value.into()))
    }

    /// Matches values greater than or equal to `value`.
    pub fn ge(self, value: impl Into<V>) -> Filter<T> {
        Filter::compare(self.name(), BinOper::GreaterThanOrEqual, FieldValue::new(&value.into()))
    }

    /// Matches any of `values`. If there are no values, nothing matches.
    pub fn is_in<I: Into<V>>(self, values: impl IntoIterator<Item = I>) -> Filter<T> {
        Filter::among(self.name(), values.into_iter().map(|value| FieldValue::new(&value.into())).collect())
    }

    /// Matches values that are none of `values`. A null never matches, except if there are no values: then everything
    /// matches, nulls included.
    pub fn is_not_in<I: Into<V>>(self, values: impl IntoIterator<Item = I>) -> Filter<T> {
        self.is_in(values).not()
    }
}

impl<T: SessionFields, V> Column<T, V> {
    /// Matches null.
    pub fn is_null(self) -> Filter<T> {
        let name = self.name();
        Filter::new(move |bindings| Ok(bindings.column(name).is_null().into_condition()))
    }

    /// Matches every value but null.
    pub fn is_not_null(self) -> Filter<T> {
        self.is_null().not()
    }
}

/// How [`DynamicFields::compare`](crate::DynamicFields::compare) compares a field with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(crate) fn operator(self) -> BinOper {
        match self {
            Self::Equal => BinOper::Equal,
            Self::NotEqual => BinOper::NotEqual,
            Self::Less => BinOper::SmallerThan,
            Self::LessOrEqual => BinOper::SmallerThanOrEqual,
            Self::Greater => BinOper::GreaterThan,
            Self::GreaterOrEqual => BinOper::GreaterThanOrEqual,
        }
    }
}

/// A condition on the sessions of `T`, for [`SessionQuery::filter`](crate::SessionQuery::filter).
///
/// A column's comparisons return a filter, and `From` makes one from any sea-query condition or expression. A filter of
/// one table does not compile in a query on another.
pub struct Filter<T> {
    resolve: Arc<Resolve>,
    /// The comparison that it is, if it is no more than one.
    compared: Option<Arc<Compared>>,
    /// Whether it holds an expression of the application's, which may mean something else on another connection: its
    /// connections may have functions and collations of their own.
    has_custom_sql: bool,
    of: PhantomData<fn() -> T>,
}

/// A comparison of a column with one value.
pub(crate) struct Compared {
    pub(crate) column: Cow<'static, str>,
    pub(crate) operator: BinOper,
    pub(crate) value: FieldValue,
}

/// Builds a filter's condition once the database is known.
type Resolve = dyn Fn(&mut Bindings<'_>) -> Result<Condition> + Send + Sync;

impl<T> Filter<T> {
    /// Returns a filter that matches if both this filter and `other` do.
    #[must_use]
    pub fn and(self, other: impl Into<Self>) -> Self {
        self.with(other.into(), Condition::all)
    }

    /// Returns a filter that matches if this filter or `other` does, or both do.
    #[must_use]
    pub fn or(self, other: impl Into<Self>) -> Self {
        self.with(other.into(), Condition::any)
    }

    /// Returns the opposite of this filter, as SQL's `NOT` has it.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "`!filter` would read badly at the end of a chain")]
    pub fn not(self) -> Self {
        let Self { resolve, has_custom_sql, .. } = self;
        Self { has_custom_sql, ..Self::new(move |bindings| Ok(resolve(bindings)?.not())) }
    }

    fn with(self, other: Self, joined: fn() -> Condition) -> Self {
        let has_custom_sql = self.has_custom_sql || other.has_custom_sql;
        let (one, other) = (self.resolve, other.resolve);
        let both = Self::new(move |bindings| Ok(joined().add(one(bindings)?).add(other(bindings)?)));
        Self { has_custom_sql, ..both }
    }

    pub(crate) fn compare(
        column: impl Into<Cow<'static, str>>,
        operator: BinOper,
        value: FieldValue,
    ) -> Self {
        let compared = Arc::new(Compared { column: column.into(), operator, value });
        let whole = Self::new({
            let compared = Arc::clone(&compared);
            move |bindings| {
                let Compared { column, operator, value } = &*compared;
                Ok(bindings.compares(column, *operator, value.clone())?.into_condition())
            }
        });
        Self { compared: Some(compared), ..whole }
    }

    pub(crate) fn among(column: impl Into<Cow<'static, str>>, values: Vec<FieldValue>) -> Self {
        let column = column.into();
        Self::new(move |bindings| {
            // No database accepts an empty list.
            if values.is_empty() {
                return Ok(Expr::cust("1 = 0").into_condition());
            }
            Ok(bindings.is_field_in(&column, values.clone())?.into_condition())
        })
    }

    pub(crate) fn refuse(kind: ErrorKind, message: String) -> Self {
        Self::new(move |_| Err(Error::new(kind, message.clone())))
    }

    pub(crate) fn new(
        resolve: impl Fn(&mut Bindings<'_>) -> Result<Condition> + Send + Sync + 'static,
    ) -> Self {
        Self { resolve: Arc::new(resolve), compared: None, has_custom_sql: false, of: PhantomData }
    }

    /// Returns the comparison that it is, if it is no more than one.
    pub(crate) fn compared(&self) -> Option<&Compared> {
        self.compared.as_deref()
    }

    /// Returns `true` if it holds an expression of the application's.
    #[cfg(feature = "sqlite")]
    pub(crate) fn has_custom_sql(&self) -> bool {
        self.has_custom_sql
    }

    pub(crate) fn resolve(&self, bindings: &mut Bindings<'_>) -> Result<Condition> {
        (self.resolve)(bindings)
    }
}

impl<T> Clone for Filter<T> {
    fn clone(&self) -> Self {
        let Self { resolve, compared, .. } = self;
        Self { resolve: Arc::clone(resolve), compared: compared.clone(), ..*self }
    }
}

impl<T> fmt::Debug for Filter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter")
    }
}

impl<T> From<Condition> for Filter<T> {
    fn from(condition: Condition) -> Self {
        Self { has_custom_sql: true, ..Self::new(move |_| Ok(condition.clone())) }
    }
}

impl<T> From<Expr> for Filter<T> {
    fn from(expr: Expr) -> Self {
        Self { has_custom_sql: true, ..Self::new(move |_| Ok(expr.clone().into_condition())) }
    }
}
