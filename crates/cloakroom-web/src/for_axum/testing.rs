//! For the tests of applications: requests of a logged in user.

use cloakroom::{CreatedSession, SessionFields};
use http::Request;

use crate::testing::TestCredential;

/// Returns the same request, as though its client held this session's token. The token counts as coming from the first
/// of the layer's sources, with any name, and replaces what the headers say.
///
/// This is for requests that are handed to a service in the same process, as by `tower::ServiceExt::oneshot`. A request
/// that goes over a connection needs the header itself.
///
/// ```
/// # use axum::{Router, body::Body, http::Request, routing::get};
/// # use cloakroom::{Config, Database, NewSession, SessionTable, Sessions};
/// # use cloakroom_web::{CurrentSession, SessionLayer, for_axum::testing};
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
    request.extensions_mut().insert(TestCredential::<T>::of(created));
    request
}
