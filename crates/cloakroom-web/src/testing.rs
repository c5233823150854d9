use std::fmt;
use std::marker::PhantomData;

use cloakroom::{CreatedSession, SessionFields};

use crate::credentials::{Credentials, Secret, TokenSource};

/// The session that a test of an application gives its request.
///
/// Only code of this process can put it into a request.
pub(crate) struct TestCredential<T> {
    token: Secret,
    of: PhantomData<fn() -> T>,
}

impl<T: SessionFields> TestCredential<T> {
    pub(crate) fn of(created: &CreatedSession<T>) -> Self {
        Self { token: Secret::new(created.token.expose()), of: PhantomData }
    }
}

impl<T> TestCredential<T> {
    pub(crate) fn into_credentials(self, source: Option<&TokenSource>) -> Credentials {
        match source {
            Some(TokenSource::Cookie) => {
                Credentials { from_cookies: vec![self.token], cookies: 1, ..Credentials::default() }
            }
            _ => Credentials { from_api: Some(self.token), is_from_api: true, ..Credentials::default() },
        }
    }
}

impl<T> Clone for TestCredential<T> {
    fn clone(&self) -> Self {
        Self { token: self.token.clone(), of: PhantomData }
    }
}

impl<T> fmt::Debug for TestCredential<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestCredential(redacted)")
    }
}
