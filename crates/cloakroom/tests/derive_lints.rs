//! The expansion passes the strictest lints of its user's crate.

#![forbid(unsafe_code, dead_code, unused, unreachable_pub, missing_docs)]
#![deny(warnings, deprecated, unused_qualifications, missing_debug_implementations)]
#![deny(unnameable_types, private_interfaces, single_use_lifetimes, elided_lifetimes_in_paths)]

use cloakroom::{HasScopes, Scope, Scopes, SessionTable};

/// Sessions of users.
#[derive(Clone, Debug, SessionTable)]
#[session(table = "user_sessions")]
pub struct UserSession {
    /// Whose.
    pub user_id: String,
    pub(crate) role: Option<String>,
    #[deprecated]
    seen: i64,
}

mod keys {
    #[derive(Clone, Debug, cloakroom::SessionTable)]
    #[session(table = "api_keys")]
    pub(crate) struct ApiKey {
        pub(crate) label: Option<String>,
    }

    #[derive(Clone, Debug, cloakroom::SessionTable)]
    #[session(table = "private_keys")]
    struct Private {
        pub label: Option<String>,
    }

    pub(crate) fn make() -> (ApiKey, impl Sized) {
        (ApiKey { label: None }, Private { label: None })
    }
}

/// Nothing more than the built-in columns.
#[derive(Clone, Debug, SessionTable)]
pub struct Ticket {}

/// What a key may do.
#[derive(Clone, Debug, Scope)]
pub enum Permission {
    /// To read.
    Read,
    #[deprecated]
    #[scope(rename = "write:all")]
    /// To write, formerly.
    Write,
}

/// Keys.
#[derive(Clone, Debug, SessionTable)]
#[session(table = "scoped_keys")]
pub struct ScopedKey {
    #[session(scopes)]
    pub(crate) may: Scopes<Permission>,
}

#[test]
fn the_expansion_passes_the_strictest_lints() {
    let _ = (keys::make(), Ticket {});
    assert_eq!(ScopedKey { may: Scopes::all() }.scopes().unwrap().to_string(), "read write:all");
    #[expect(deprecated)]
    let session = UserSession { user_id: String::new(), role: None, seen: 0 };
    assert_eq!(session.clone().user_id, "");
}
