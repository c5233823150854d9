//! What is done to one of the user's devices.

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use cloakroom::{Session, SessionFields, Status};
use cloakroom_axum::SessionManager;
use serde::Deserialize;
use uuid::Uuid;

use super::{LoggedIn, Moved};
use crate::app::App;
use crate::error::PageError;
use crate::notice::Notice;
use crate::tables::UserSession;

/// The longest name of a device, in characters.
const LONGEST_LABEL: usize = 60;

#[derive(Deserialize)]
pub(crate) struct Label {
    label: String,
}

/// Gives a device another name. Without one it is called by its browser again.
pub(crate) async fn rename(
    State(app): State<App>,
    LoggedIn { user, .. }: LoggedIn,
    Path(id): Path<String>,
    form: Result<Form<Label>, FormRejection>,
) -> Moved {
    let Form(Label { label }) = form?;
    let label = label.trim();
    // The field itself takes no more.
    if label.chars().count() > LONGEST_LABEL || label.chars().any(char::is_control) {
        return Err(PageError::BadRequest);
    }
    let mut session = of_user(&app, &user.id, &id).await?;
    // Also one that another request has written meanwhile, as the one that extends it does.
    let label = (!label.is_empty()).then(|| label.to_owned());
    app.sessions.update_with(&mut session, |session| session.fields.label.clone_from(&label)).await?;
    Ok(Notice::Renamed.at("/account"))
}

/// Ends one session. If it is the current one, the manager clears the cookie too.
pub(crate) async fn expire(
    State(app): State<App>,
    LoggedIn { user, .. }: LoggedIn,
    manager: SessionManager<UserSession>,
    Path(id): Path<String>,
) -> Moved {
    let session = of_user(&app, &user.id, &id).await?;
    let this_one = UserSession::USER_ID.eq(user.id).and(UserSession::ID.eq(session.id));
    manager.log_out_everywhere(this_one).await?;
    Ok(Notice::Ended.at("/account"))
}

/// Removes a session's row, whether it has expired or not.
pub(crate) async fn delete(
    State(app): State<App>,
    LoggedIn { session: here, user }: LoggedIn,
    manager: SessionManager<UserSession>,
    Path(id): Path<String>,
) -> Moved {
    let session = of_user(&app, &user.id, &id).await?;
    if session.id == here.id {
        manager.log_out().await?;
    }
    app.sessions.delete(session).await?;
    Ok(Notice::Deleted.at("/account"))
}

/// Returns a session of this user. For another user's session it answers as if there were none.
async fn of_user(app: &App, user_id: &str, id: &str) -> Result<Session<UserSession>, PageError> {
    let id = Uuid::try_parse(id).map_err(|_| PageError::NotFound)?;
    let mine = app.sessions.query().owner(user_id).id(id).status(Status::All);
    mine.fetch_optional().await?.ok_or(PageError::NotFound)
}
