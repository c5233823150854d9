use cloakroom::{NewSession, SessionTable};

/// The table that `ecto_sessions` makes by default.
#[derive(Clone, Debug, PartialEq, SessionTable)]
pub struct UserSession {
    /// The user of the session.
    #[session(index)]
    pub user_id: String,
}

/// A new session of this user.
pub fn user(user_id: &str) -> NewSession<UserSession> {
    NewSession::new(UserSession { user_id: user_id.to_owned() })
}

/// A second table beside the first, with columns of several types.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "api_keys")]
pub struct ApiKey {
    /// The owner of the key.
    #[session(index)]
    pub user_id: String,
    /// The key's rights: an enum of the application's own.
    pub role: Role,
    /// How often it may be used; `None` if there is no limit.
    pub quota: Option<i32>,
}

/// What an [`ApiKey`] may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Role {
    /// Every action.
    Admin,
    /// Reading only.
    Reader,
}
