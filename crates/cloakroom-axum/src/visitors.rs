//! What becomes of a visitor's session at the log-in.

use cloakroom::{CreatedSession, ErrorKind, NewSession, Session, SessionFields};

use crate::manager::SessionManager;
use crate::rejection::SessionRejection;

/// How often a log-in starts anew while other requests keep writing the visitor's session.
const ATTEMPTS: usize = 10;

impl<T: SessionFields> SessionManager<T> {
    /// Logs a visitor in: what the visitor's session holds becomes the user's. `make` gets that session, if the request has
    /// one, and returns the session of the user. It runs again if another request has written the visitor's session
    /// meanwhile.
    ///
    /// The new session is one of [`log_in`](Self::log_in)'s in everything: it has a new token, hooks and limits hold for it,
    /// and the sessions that the request came with are ended. The visitor's session is ended too, in the state in which
    /// `make` has seen it, and its cookie is cleared. So a visitor's token that was known before is worth nothing after it,
    /// and nothing that another request has put in is lost: it is there, or that request is told
    /// [`LoggedOut`](SessionRejection::LoggedOut).
    ///
    /// What a visitor's session holds may be the work of another: a cookie can be planted, and its session filled. Take over
    /// what belongs to any visitor, such as a basket or a language, and nothing that says who the user is.
    ///
    /// ```
    /// # use axum::response::Redirect;
    /// # use cloakroom::{NewSession, SessionTable};
    /// # use cloakroom_axum::{SessionManager, SessionRejection};
    /// # #[derive(Clone, SessionTable)] struct UserSession { user_id: String }
    /// # #[derive(Clone, SessionTable)] #[session(table = "visitors")] struct Visitor { language: Option<String> }
    /// # fn user() -> UserSession { UserSession { user_id: "1234".into() } }
    /// async fn log_in(
    ///     manager: SessionManager<UserSession>,
    ///     visitors: SessionManager<Visitor>,
    /// ) -> Result<Redirect, SessionRejection> {
    ///     // After the password was checked:
    ///     manager
    ///         .log_in_from(&visitors, |visitor| {
    ///             let new = NewSession::new(user());
    ///             match visitor {
    ///                 Some(visitor) => new.data(visitor.data.clone()),
    ///                 None => new,
    ///             }
    ///         })
    ///         .await?;
    ///     Ok(Redirect::to("/"))
    /// }
    /// # axum::Router::<()>::new().route("/", axum::routing::post(log_in));
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`log_in`](Self::log_in) and of [`Sessions::update`](cloakroom::Sessions::update). After an error no user is
    /// logged in anew, and the visitor's session stays.
    pub async fn log_in_from<V: SessionFields>(
        &self,
        visitors: &SessionManager<V>,
        mut make: impl FnMut(Option<&Session<V>>) -> NewSession<T> + Send,
    ) -> Result<CreatedSession<T>, SessionRejection> {
        let mut visiting = visitors.state().lock_afresh(false).await?;
        let mut attempts = 0;
        loop {
            let Some(held) = visiting.held() else {
                return Box::pin(self.log_in(make(None))).await;
            };
            let created = Box::pin(self.log_in(make(Some(&held.session)))).await?;
            let Err(error) = end_as_read(visitors, &mut held.session).await else {
                visiting.clear();
                return Ok(created);
            };
            if !is_overtaken(error.kind()) || attempts == ATTEMPTS {
                // No client ever gets its token.
                let _ = self.log_out().await;
                return Err(error.into());
            }
            attempts += 1;
            match visitors.sessions().authenticate_fresh(held.token.expose()).await {
                Ok(Some(session)) => held.session = session,
                // Another log-in has taken it over first.
                Ok(None) => visiting.clear(),
                Err(error) => {
                    let _ = self.log_out().await;
                    return Err(error.into());
                }
            }
        }
    }
}

/// Ends the session if its row is as it was read.
async fn end_as_read<V: SessionFields>(
    visitors: &SessionManager<V>,
    session: &mut Session<V>,
) -> cloakroom::Result<()> {
    let mut ended = session.clone();
    ended.expires_at = Some(visitors.sessions().config().now());
    visitors.sessions().update(&mut ended).await
}

/// Another request wrote or ended the session meanwhile.
fn is_overtaken(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict | ErrorKind::NotFound | ErrorKind::Expired)
}
