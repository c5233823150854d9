use std::fmt;
use std::ops::{Deref, DerefMut};

use cloakroom::{Session, SessionFields};

/// The request's session, if it has one, as an extractor for handlers that serve visitors too.
///
/// Take it, and not `Option<CurrentSession<T>>`. actix-web makes an extractor of every `Option`, which gives `None` for any
/// error of the extractor within: while the database is away, each user would look like a visitor, and a request with a
/// malformed API key like one without. This one gives `None` for what is "logged out", and rejects with all else. The table of
/// [`CurrentSession`](crate::CurrentSession) has it in the column of `Option`.
#[derive(Clone)]
pub struct OptionalSession<T: SessionFields>(pub Option<Session<T>>);

impl<T: SessionFields> Deref for OptionalSession<T> {
    type Target = Option<Session<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: SessionFields> DerefMut for OptionalSession<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T> fmt::Debug for OptionalSession<T>
where
    T: SessionFields + fmt::Debug,
    T::Data: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OptionalSession").field(&self.0).finish()
    }
}
