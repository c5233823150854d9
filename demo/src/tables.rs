//! The two session tables: browsers by cookie, and API keys by header.

use std::fmt;

use cloakroom::SessionTable;
use cloakroom::device::DeviceKey;
use serde::{Deserialize, Serialize};

/// The session of a logged in user, on one device.
#[derive(Clone, Debug, SessionTable)]
#[session(table = "user_sessions")]
pub(crate) struct UserSession {
    #[session(index)]
    pub(crate) user_id: String,
    /// The browser's name, as the browser gives it.
    pub(crate) user_agent: Option<String>,
    /// The address that it logged in from.
    pub(crate) address: Option<String>,
    /// The key of the device, if the browser has bound the session to it.
    #[session(device_key)]
    pub(crate) device_key: Option<DeviceKey>,
}

impl UserSession {
    /// The layer's hook fills in the device and the address.
    pub(crate) fn of(user_id: &str) -> Self {
        Self { user_id: user_id.to_owned(), user_agent: None, address: None, device_key: None }
    }
}

/// A key for programs. It is a session too, with other columns, and by default it never expires.
#[derive(Clone, Debug, SessionTable)]
#[session(table = "api_keys")]
pub(crate) struct ApiKey {
    #[session(index)]
    pub(crate) user_id: String,
    /// The name that its owner gave it.
    pub(crate) name: String,
    pub(crate) role: Role,
}

/// The rights of an API key.
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
