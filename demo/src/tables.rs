//! The two session tables: browsers by cookie, and API keys by header.

use cloakroom::device::DeviceKey;
use cloakroom::{EndReason, Scope, Scopes, SessionTable};
use time::OffsetDateTime;

/// Why the other sessions of a user end who has changed the password.
pub(crate) const PASSWORD_CHANGED: EndReason = EndReason::from_static("password_changed");

/// The session of a logged in user, on one device.
#[derive(Clone, Debug, SessionTable)]
#[session(table = "user_sessions", audit_log)]
pub(crate) struct UserSession {
    #[session(index, owner)]
    pub(crate) user_id: String,
    /// The browser's name, as the browser gives it.
    pub(crate) user_agent: Option<String>,
    /// The address that it logged in from.
    pub(crate) address: Option<String>,
    /// The name that its user gave the device.
    pub(crate) label: Option<String>,
    #[session(last_seen)]
    pub(crate) last_seen: Option<OffsetDateTime>,
    #[session(last_address)]
    pub(crate) last_address: Option<String>,
    /// When the user last gave the password.
    #[session(authenticated_at)]
    pub(crate) authenticated_at: Option<OffsetDateTime>,
    #[session(ended_because)]
    pub(crate) ended_because: Option<String>,
    /// The key of the device, if the browser has bound the session to it.
    #[session(device_key)]
    pub(crate) device_key: Option<DeviceKey>,
}

impl UserSession {
    /// The layer's hook fills in the device and the address.
    pub(crate) fn of(user_id: &str) -> Self {
        Self {
            user_id: user_id.to_owned(),
            user_agent: None,
            address: None,
            label: None,
            last_seen: None,
            last_address: None,
            authenticated_at: None,
            ended_because: None,
            device_key: None,
        }
    }
}

/// A key for programs. It is a session too, with other columns.
#[derive(Clone, Debug, SessionTable)]
#[session(table = "api_keys", rotation_grace, audit_log)]
pub(crate) struct ApiKey {
    #[session(index, owner)]
    pub(crate) user_id: String,
    /// The name that its owner gave it.
    pub(crate) name: String,
    #[session(scopes)]
    pub(crate) scopes: Scopes<Permission>,
    /// What may be shown of it. A key from before there were hints has none until it is rotated.
    #[session(hint)]
    pub(crate) hint: Option<String>,
    #[session(last_seen)]
    pub(crate) last_seen: Option<OffsetDateTime>,
    #[session(last_address)]
    pub(crate) last_address: Option<String>,
    #[session(ended_because)]
    pub(crate) ended_because: Option<String>,
}

impl ApiKey {
    /// The library fills in the rest.
    pub(crate) fn new(user_id: &str, name: String, scopes: Scopes<Permission>) -> Self {
        Self {
            user_id: user_id.to_owned(),
            name,
            scopes,
            hint: None,
            last_seen: None,
            last_address: None,
            ended_because: None,
        }
    }
}

/// What an API key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Scope)]
pub(crate) enum Permission {
    /// See whose it is.
    Read,
    /// Log browsers out.
    Write,
}
