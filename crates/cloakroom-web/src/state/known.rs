use std::sync::Arc;

use cloakroom::{Error, Session, SessionFields};

use crate::credentials::Secret;

/// What is known of the request's session.
pub(crate) struct Known<T: SessionFields> {
    pub(crate) held: Option<Held<T>>,
    /// Tokens of sessions that the request presents but cannot use, and that are to be ended.
    pub(crate) leftovers: Vec<Secret>,
    /// The token of a session that is bound to the browser's device, if it is good for nothing but a renewal.
    pub(crate) awaits_renewal: Option<Secret>,
    /// The error that an API client gets if its session does not decode. A browser is logged out instead.
    pub(crate) unreadable: Option<Arc<Error>>,
    /// Whether the database said so, and not a cache.
    pub(crate) is_fresh: bool,
    /// Whether the leftovers have been ended, as far as that was possible.
    pub(crate) is_settled: bool,
}

impl<T: SessionFields> Default for Known<T> {
    fn default() -> Self {
        Self {
            held: None,
            leftovers: Vec::new(),
            awaits_renewal: None,
            unreadable: None,
            is_fresh: true,
            is_settled: false,
        }
    }
}

/// The session that this request has, and its current token.
pub(crate) struct Held<T: SessionFields> {
    pub(crate) session: Session<T>,
    pub(crate) token: Secret,
}
