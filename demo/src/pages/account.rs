//! Every device that the user is logged in on.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Redirect;
use cloakroom::{Session, SessionFields, Status};
use cloakroom_axum::SessionManager;
use serde::Deserialize;
use uuid::Uuid;

use super::{LoggedIn, Moved, Page, Shown, page};
use crate::app::App;
use crate::client;
use crate::error::PageError;
use crate::tables::UserSession;

const PER_PAGE: usize = 20;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    user: Option<String>,
    devices: Vec<Device>,
    is_first: bool,
    next: Option<String>,
}

/// A row of the page's table.
struct Device {
    id: Uuid,
    name: String,
    user_agent: String,
    address: String,
    created: Shown,
    expires: Option<Shown>,
    extended: Option<Shown>,
    is_current: bool,
    is_bound: bool,
    is_expired: bool,
}

#[derive(Deserialize)]
pub(crate) struct Place {
    after: Option<String>,
}

pub(crate) async fn show(
    State(app): State<App>,
    LoggedIn { session: here, user }: LoggedIn,
    place: Result<Query<Place>, QueryRejection>,
) -> Page {
    let Query(Place { after }) = place?;
    let after = after.map(|after| after.parse().map_err(|_| PageError::BadRequest)).transpose()?;
    let is_first = after.is_none();

    // One more than is shown, to learn if there is another page.
    let mut query = app.sessions.query().filter(UserSession::USER_ID.eq(user.id)).status(Status::All);
    query = query.limit(PER_PAGE as u64 + 1);
    if let Some(after) = after {
        query = query.after(after);
    }
    let mut sessions = query.fetch_all().await?;
    let has_more = sessions.len() > PER_PAGE;
    sessions.truncate(PER_PAGE);
    let next = sessions.last().filter(|_| has_more).map(|last| last.cursor().to_string());

    let now = app.sessions.config().now();
    let device = |session: &Session<UserSession>| Device {
        id: session.id,
        name: client::device(session.fields.user_agent.as_deref()),
        user_agent: session.fields.user_agent.clone().unwrap_or_default(),
        address: session.fields.address.clone().unwrap_or_default(),
        created: session.inserted_at.into(),
        expires: session.expires_at.map(Shown::from),
        // Ending a session writes the row too.
        extended: (session.updated_at > session.inserted_at && session.is_valid(now))
            .then(|| session.updated_at.into()),
        is_current: session.id == here.id,
        is_bound: session.is_bound(),
        is_expired: !session.is_valid(now),
    };
    let devices = sessions.iter().map(device).collect();
    page(&AccountPage { user: Some(user.name), devices, is_first, next })
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
    Ok(Redirect::to("/account"))
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
    Ok(Redirect::to("/account"))
}

/// Returns a session of this user. For another user's session it answers as if there were none.
async fn of_user(app: &App, user_id: &str, id: &str) -> Result<Session<UserSession>, PageError> {
    let id = Uuid::try_parse(id).map_err(|_| PageError::NotFound)?;
    let mine = app.sessions.query().filter(UserSession::USER_ID.eq(user_id)).id(id).status(Status::All);
    mine.fetch_optional().await?.ok_or(PageError::NotFound)
}

pub(crate) async fn log_out(manager: SessionManager<UserSession>) -> Moved {
    manager.log_out().await?;
    Ok(Redirect::to("/"))
}

/// If other devices cannot be logged out, this one is logged out all the same.
pub(crate) async fn log_out_everywhere(
    here: Result<LoggedIn, PageError>,
    manager: SessionManager<UserSession>,
) -> Moved {
    let ended = match here {
        Ok(LoggedIn { user, .. }) => {
            manager.log_out_everywhere(UserSession::USER_ID.eq(user.id)).await.map_err(PageError::from)
        }
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        manager.log_out().await?;
        return Err(error);
    }
    Ok(Redirect::to("/"))
}

pub(crate) async fn log_out_others(
    LoggedIn { user, .. }: LoggedIn,
    manager: SessionManager<UserSession>,
) -> Moved {
    manager.log_out_others(UserSession::USER_ID.eq(user.id)).await?;
    Ok(Redirect::to("/account"))
}
