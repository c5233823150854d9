//! The two session tables: browsers by cookie, and API keys by header.

use std::fmt;

use cloakroom::SessionTable;
use serde::{Deserialize, Serialize};

/// Somebody who is logged in, on one device.
#[derive(Clone, Debug, SessionTable)]
#[session(table = "user_sessions")]
pub(crate) struct UserSession {
    #[session(index)]
    pub(crate) user_id: String,
    /// What the browser says it is.
    pub(crate) user_agent: Option<String>,
    /// Where it logged in from.
    pub(crate) address: Option<String>,
}

impl UserSession {
    /// Where it is logged in from is for the layer's hook to fill in.
    pub(crate) fn of(user_id: &str) -> Self {
        Self { user_id: user_id.to_owned(), user_agent: None, address: None }
    }
}

/// A key for programs. It is a session like the other, with other columns, and by default without an end.
#[derive(Clone, Debug, SessionTable)]
#[session(table = "api_keys")]
pub(crate) struct ApiKey {
    #[session(index)]
    pub(crate) user_id: String,
    /// What its owner calls it.
    pub(crate) name: String,
    pub(crate) role: Role,
}

/// What an API key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub(crate) enum Role {
    Admin,
    Reader,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::Reader => "reader",
        })
    }
}
