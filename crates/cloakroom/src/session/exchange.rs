use std::fmt;

use time::OffsetDateTime;

use super::{CreatedSession, Session};
use crate::table::SessionFields;

/// What became of a token that was presented to [`Sessions::exchange`](crate::Sessions::exchange).
#[derive(Clone)]
pub enum Exchange<T: SessionFields> {
    /// The session and its new token: send the token to the client.
    ///
    /// If the same token was exchanged a moment ago, by another tab or by a call whose answer was lost, this is the token
    /// that was made then.
    Successor(CreatedSession<T>),
    /// The token was exchanged before, and comes again: its owner and a thief both have it, or had it. The session has
    /// been ended, and is returned as it is now. Let the user log in again, and tell them why.
    Reused(Session<T>),
}

impl<T: SessionFields> Exchange<T> {
    /// Returns the session and its new token, or `None` if the session was ended because its token was reused.
    pub fn successor(self) -> Option<CreatedSession<T>> {
        match self {
            Self::Successor(created) => Some(created),
            Self::Reused(_) => None,
        }
    }

    /// Returns `true` if the session was ended because its token was reused.
    pub fn is_reused(&self) -> bool {
        matches!(self, Self::Reused(_))
    }
}

impl<T: SessionFields + fmt::Debug> fmt::Debug for Exchange<T>
where
    T::Data: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Successor(created) => f.debug_tuple("Successor").field(created).finish(),
            Self::Reused(session) => f.debug_tuple("Reused").field(session).finish(),
        }
    }
}

/// A token that a session had before and that is good for a while; see
/// [`Sessions::retired_tokens`](crate::Sessions::retired_tokens).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetiredToken {
    /// When the session got another token.
    pub retired_at: OffsetDateTime,
    /// Until when the old one is good. It is refused from this instant on.
    pub usable_until: OffsetDateTime,
    /// What may be shown of it, if the table has a column with the role [`Hint`](crate::Role::Hint).
    pub hint: Option<String>,
}
