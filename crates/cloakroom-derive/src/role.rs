//! The roles that a field may have. The list stands in the library too, as `cloakroom::Role`: ARCHITECTURE.md says how to
//! add one.

use syn::Ident;

/// A role, as the derive implements it.
pub(crate) struct Role {
    /// Its attribute, which is also the accessor of its trait.
    pub(crate) name: &'static str,
    /// The variant of `cloakroom::Role`.
    pub(crate) variant: &'static str,
    /// The trait of the tables that have a field with it.
    pub(crate) trait_name: &'static str,
    pub(crate) kind: Kind,
}

/// What the values of a field with a role are.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// `String` or `Option<String>`: `cloakroom::TextField`.
    Text,
}

pub(crate) const ROLES: [Role; 1] =
    [Role { name: "hint", variant: "Hint", trait_name: "HasHint", kind: Kind::Text }];

/// A role that a field is given.
pub(crate) struct Given {
    pub(crate) role: &'static Role,
    /// Its name where the user has written it.
    pub(crate) ident: Ident,
}

pub(crate) fn role(word: &str) -> Option<&'static Role> {
    ROLES.iter().find(|role| role.name == word)
}
