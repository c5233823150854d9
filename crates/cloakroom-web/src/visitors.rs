//! What becomes of a visitor's session at the log-in.

use std::any::TypeId;

use cloakroom::{CreatedSession, NewSession, Session, SessionFields};

use crate::manager::{ATTEMPTS, SessionManager, is_overtaken};
use crate::rejection::SessionRejection;

impl<T: SessionFields> SessionManager<T> {
    /// Logs a visitor in: what the visitor's session holds becomes the user's. `make` gets that session, if the request has
    /// one, and returns the session of the user. It runs again if another request has written the visitor's session
    /// meanwhile.
    ///
    /// The new session is one of [`log_in`](Self::log_in)'s in everything: it has a new token, hooks and limits hold for it,
    /// and the sessions that the request came with are ended. The visitor's session is ended too, in the state in which
    /// `make` has seen it, and its cookie is cleared. So a visitor's token that was known before is worth nothing after it,
    /// and nothing that another request has put in is lost: it is there, or that request is told
    /// [`LoggedOut`](SessionRejection::LoggedOut). If others write it ten times over meanwhile, it is ended as it is, so that they
    /// keep no user from logging in. Its end is a write of its expiry: an observer and the audit log have it as `updated`.
    ///
    /// What a visitor's session holds may be the work of another: a cookie can be planted, and its session filled. Take over
    /// what belongs to any visitor, such as a basket or a language, and nothing that says who the user is.
    ///
    /// ```
    /// # use cloakroom::{NewSession, SessionTable};
    /// # use cloakroom_web::{SessionManager, SessionRejection};
    /// # #[derive(Clone, SessionTable)] struct UserSession { user_id: String }
    /// # #[derive(Clone, SessionTable)] #[session(table = "visitors")] struct Visitor { language: Option<String> }
    /// # fn user() -> UserSession { UserSession { user_id: "1234".into() } }
    /// async fn log_in(
    ///     manager: SessionManager<UserSession>,
    ///     visitors: SessionManager<Visitor>,
    /// ) -> Result<(), SessionRejection> {
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
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`log_in`](Self::log_in) and of [`Sessions::update`](cloakroom::Sessions::update). After an error no user is
    /// logged in anew, and the visitor's session stays.
    ///
    /// # Panics
    ///
    /// If visitors and users are of one table. There, [`log_in`](Self::log_in) ends the visitor's session; read what it holds
    /// beforehand.
    pub async fn log_in_from<V: SessionFields>(
        &self,
        visitors: &SessionManager<V>,
        mut make: impl FnMut(Option<&Session<V>>) -> NewSession<T> + Send,
    ) -> Result<CreatedSession<T>, SessionRejection> {
        let one_table = TypeId::of::<T>() == TypeId::of::<V>();
        assert!(!one_table, "visitors and users are of one table: log_in keeps no visitor's session");
        let mut visiting = visitors.state().lock_afresh(false).await?;
        let mut attempts = 0;
        loop {
            let new = make(visiting.held().map(|held| &held.session));
            let mut created = match Box::pin(self.log_in(new)).await {
                Ok(created) => created,
                Err(error) if attempts > 0 => return Err(self.given_up(error).await),
                Err(error) => return Err(error),
            };
            let Some(held) = visiting.held() else { return Ok(created) };
            let ended = match end_as_read(visitors, &mut held.session).await {
                // Who keeps writing keeps no user from logging in.
                Err(error) if is_overtaken(error.kind()) && attempts == ATTEMPTS => {
                    visitors.sessions().expire(&mut held.session).await.map(drop)
                }
                ended => ended,
            };
            match ended {
                Ok(()) => {
                    visiting.clear();
                    return Ok(created);
                }
                Err(error) if is_overtaken(error.kind()) => {}
                Err(error) => return Err(self.given_up(error.into()).await),
            }
            attempts += 1;
            // No client ever gets this one's token. It ends before the next begins, so that a limit counts one of them.
            if let Err(error) = self.sessions().expire(&mut created.session).await {
                return Err(self.given_up(error.into()).await);
            }
            match visitors.sessions().authenticate_fresh(held.token.expose()).await {
                Ok(Some(session)) => held.session = session,
                // Another log-in has taken it over first.
                Ok(None) => visiting.clear(),
                Err(error) => return Err(self.given_up(error.into()).await),
            }
        }
    }

    /// Ends the session that was begun for a log-in which fails. No client ever gets its token.
    async fn given_up(&self, error: SessionRejection) -> SessionRejection {
        let _ = self.log_out().await;
        error
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
