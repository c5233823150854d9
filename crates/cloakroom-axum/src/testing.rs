//! For the tests of applications: requests of a logged in user.

use std::fmt;
use std::marker::PhantomData;

use cloakroom::{CreatedSession, SessionFields};
use http::Request;

use crate::credentials::{Credentials, Secret, TokenSource};

/// Returns the same request, as though its client held this session's token. The token counts as coming from the first
/// of the layer's sources, with any name, and replaces what the headers say.
///
/// This is for requests that are handed to a service in the same process, as by `tower::ServiceExt::oneshot`. A request
/// that goes over a connection needs the header itself.
///
/// ```
/// # use axum::{Router, body::Body, http::Request, routing::get};
/// # use cloakroom::{Config, Database, NewSession, SessionTable, Sessions};
/// # use cloakroom_axum::{CurrentSession, SessionLayer, testing};
/// # use tower::ServiceExt;
/// # #[derive(Clone, SessionTable)] struct UserSession { user_id: String }
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sessions = Sessions::<UserSession>::new(Database::connect("sqlite::memory:").await?, Config::default())?;
/// # sessions.migrate().await?;
/// # let app = Router::new()
/// #     .route("/account", get(|session: CurrentSession<UserSession>| async move { session.fields.user_id.clone() }))
/// #     .layer(SessionLayer::new(sessions.clone()));
/// let created = sessions.create(NewSession::new(UserSession { user_id: "1234".into() })).await?;
/// let request = Request::get("/account").body(Body::empty())?;
/// let response = app.oneshot(testing::authenticated(request, &created)).await?;
/// assert_eq!(response.status(), 200);
/// # Ok(())
/// # }
/// ```
pub fn authenticated<B, T: SessionFields>(
    mut request: Request<B>,
    created: &CreatedSession<T>,
) -> Request<B> {
    let token = Secret::new(created.token.expose());
    request.extensions_mut().insert(TestCredential::<T> { token, of: PhantomData });
    request
}

/// Only code of this process can put it into a request.
pub(crate) struct TestCredential<T> {
    token: Secret,
    of: PhantomData<fn() -> T>,
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
