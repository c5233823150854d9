//! The roles that a field may have. The list stands in the library too, as `cloakroom::Role`: ARCHITECTURE.md says how to
//! add one.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
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
    /// `Option<String>`: `cloakroom::OptionalTextField`.
    OptionalText,
    /// `OffsetDateTime` or `Option<OffsetDateTime>`: `cloakroom::InstantField`.
    Instant,
    /// `Scopes<E>` or `Option<Scopes<E>>`: `cloakroom::ScopesField`.
    Scopes,
    /// `Option<DeviceKey>`: `cloakroom::DeviceKeyField`.
    DeviceKey,
    /// Any type of a field.
    Owner,
    /// Any type of a field.
    Assurance,
}

impl Kind {
    /// Returns `true` if the library fills in such fields.
    pub(crate) fn is_filled_in(self) -> bool {
        !matches!(self, Self::Scopes | Self::DeviceKey | Self::Owner | Self::Assurance)
    }

    /// Returns the library's trait for the types that may hold such values, and its function that reads one, as words of
    /// the type of a field; `None` if the library neither fills the field in nor reads it as one of its own types.
    pub(crate) fn field_trait(self, type_span: Span) -> Option<(Ident, Ident)> {
        let (field_trait, read) = match self {
            Self::Text => ("TextField", "text"),
            Self::OptionalText => ("OptionalTextField", "text"),
            Self::Instant => ("InstantField", "instant"),
            Self::Scopes => ("ScopesField", "scopes"),
            Self::DeviceKey => ("DeviceKeyField", "device_key"),
            Self::Owner | Self::Assurance => return None,
        };
        Some((Ident::new(field_trait, type_span), Ident::new(read, type_span)))
    }

    /// Returns what the accessor of a role's trait returns, as words of the type of a field, so that an error about that
    /// type is one error.
    pub(crate) fn value(self, library: &TokenStream, type_span: Span) -> TokenStream {
        let value = match self {
            Self::Text | Self::OptionalText => quote_spanned!(type_span=> &str),
            Self::Instant => quote_spanned!(type_span=> #library::time::OffsetDateTime),
            Self::Scopes => {
                quote_spanned!(type_span=> ::std::borrow::Cow<'_, #library::Scopes<Self::Scope>>)
            }
            Self::DeviceKey => {
                quote_spanned!(type_span=> ::std::borrow::Cow<'_, #library::device::DeviceKey>)
            }
            Self::Owner => quote_spanned!(type_span=> &Self::Owner),
            Self::Assurance => quote_spanned!(type_span=> &Self::Assurance),
        };
        quote_spanned!(type_span=> ::std::option::Option<#value>)
    }
}

pub(crate) const ROLES: [Role; 10] = [
    Role { name: "hint", variant: "Hint", trait_name: "HasHint", kind: Kind::Text },
    Role {
        name: "authenticated_at",
        variant: "AuthenticatedAt",
        trait_name: "HasAuthenticatedAt",
        kind: Kind::Instant,
    },
    Role { name: "assurance", variant: "Assurance", trait_name: "HasAssurance", kind: Kind::Assurance },
    Role { name: "last_seen", variant: "LastSeen", trait_name: "HasLastSeen", kind: Kind::Instant },
    Role { name: "scopes", variant: "Scopes", trait_name: "HasScopes", kind: Kind::Scopes },
    Role { name: "owner", variant: "Owner", trait_name: "HasOwner", kind: Kind::Owner },
    Role {
        name: "ended_because",
        variant: "EndedBecause",
        trait_name: "HasEndedBecause",
        kind: Kind::OptionalText,
    },
    Role { name: "last_address", variant: "LastAddress", trait_name: "HasLastAddress", kind: Kind::Text },
    Role {
        name: "last_user_agent",
        variant: "LastUserAgent",
        trait_name: "HasLastUserAgent",
        kind: Kind::Text,
    },
    Role { name: "device_key", variant: "DeviceKey", trait_name: "HasDeviceKey", kind: Kind::DeviceKey },
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
