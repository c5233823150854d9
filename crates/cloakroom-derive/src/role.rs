//! The roles that a field may have. The list stands in the library too, as `cloakroom::Role`: ARCHITECTURE.md says how to
//! add one.

use proc_macro2::{Span, TokenStream};
use quote::quote;
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
    /// `OffsetDateTime` or `Option<OffsetDateTime>`: `cloakroom::InstantField`.
    Instant,
}

impl Kind {
    /// Returns the library's trait for the types that may hold such values, and its function that reads one, as words of
    /// the type of a field.
    pub(crate) fn field_trait(self, type_span: Span) -> (Ident, Ident) {
        let (field_trait, read) = match self {
            Self::Text => ("TextField", "text"),
            Self::Instant => ("InstantField", "instant"),
        };
        (Ident::new(field_trait, type_span), Ident::new(read, type_span))
    }

    /// Returns what the accessor of a role's trait returns.
    pub(crate) fn value(self, library: &TokenStream) -> TokenStream {
        let value = match self {
            Self::Text => quote!(&str),
            Self::Instant => quote!(#library::time::OffsetDateTime),
        };
        quote!(::std::option::Option<#value>)
    }
}

pub(crate) const ROLES: [Role; 3] = [
    Role { name: "hint", variant: "Hint", trait_name: "HasHint", kind: Kind::Text },
    Role {
        name: "authenticated_at",
        variant: "AuthenticatedAt",
        trait_name: "HasAuthenticatedAt",
        kind: Kind::Instant,
    },
    Role { name: "last_seen", variant: "LastSeen", trait_name: "HasLastSeen", kind: Kind::Instant },
];

/// A role that a field is given.
pub(crate) struct Given {
    pub(crate) role: &'static Role,
    /// Its name where the user has written it.
    pub(crate) ident: Ident,
}

pub(crate) fn role(word: &str) -> Option<&'static Role> {
    ROLES.iter().find(|role| role.name == word)
}
