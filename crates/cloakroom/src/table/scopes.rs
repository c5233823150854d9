//! The types that a field with the role `scopes` may have.

use std::borrow::Cow;

use super::DynamicValue;
use crate::scopes::{AnyScope, Scopes};

/// A type that a field with the role `scopes` may have.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold the scopes of a session",
    label = "the library reads scopes here",
    note = "use `Scopes<Permission>` with an enum that derives `Scope`, or `Scopes<String>`; an `Option` of it if the column may be null"
)]
pub trait ScopesField {
    type Scope: AnyScope;

    fn scopes(&self) -> Option<Cow<'_, Scopes<Self::Scope>>>;
}

impl<E: AnyScope> ScopesField for Scopes<E> {
    type Scope = E;

    fn scopes(&self) -> Option<Cow<'_, Self>> {
        Some(Cow::Borrowed(self))
    }
}

impl<E: AnyScope> ScopesField for Option<Scopes<E>> {
    type Scope = E;

    fn scopes(&self) -> Option<Cow<'_, Scopes<E>>> {
        self.as_ref().map(Cow::Borrowed)
    }
}

#[diagnostic::do_not_recommend]
impl ScopesField for DynamicValue {
    type Scope = String;

    fn scopes(&self) -> Option<Cow<'_, Scopes<String>>> {
        match self {
            Self::Text(text) => Some(Cow::Owned(Scopes::from_stored(text))),
            _ => None,
        }
    }
}
