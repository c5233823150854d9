//! For the tests of applications: requests of a logged in user.

use actix_web::HttpMessage;
use cloakroom::{CreatedSession, SessionFields};

use crate::testing::TestCredential;

/// Returns the same request, as though its client held this session's token. The token counts as coming from the first
/// of the layer's sources, with any name, and replaces what the headers say.
///
/// This is for requests that are handed to a service in the same process, as by `actix_web::test::call_service`. A request
/// that goes over a connection needs the header itself.
///
/// ```
/// # use actix_web::{App, test, web};
/// # use cloakroom::{Config, Database, NewSession, SessionTable, Sessions};
/// # use cloakroom_web::{CurrentSession, SessionLayer, for_actix::testing};
/// # #[derive(Clone, SessionTable)] struct UserSession { user_id: String }
/// # #[actix_web::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sessions = Sessions::<UserSession>::new(Database::connect("sqlite::memory:").await?, Config::default())?;
/// # sessions.migrate().await?;
/// # let account = async |session: CurrentSession<UserSession>| session.fields.user_id.clone();
/// # let app = App::new().route("/account", web::get().to(account)).wrap(SessionLayer::new(sessions.clone()));
/// let app = test::init_service(app).await;
/// let created = sessions.create(NewSession::new(UserSession { user_id: "1234".into() })).await?;
/// let request = test::TestRequest::get().uri("/account").to_request();
/// let response = test::call_service(&app, testing::authenticated(request, &created)).await;
/// assert_eq!(response.status(), 200);
/// # Ok(())
/// # }
/// ```
pub fn authenticated<R: HttpMessage, T: SessionFields>(request: R, created: &CreatedSession<T>) -> R {
    request.extensions_mut().insert(TestCredential::<T>::of(created));
    request
}
