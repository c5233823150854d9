//! Logging out: here, elsewhere and everywhere.

use askama::Template;
use axum::extract::State;
use cloakroom_axum::SessionManager;

use super::{Frame, LoggedIn, Moved, Page, page};
use crate::app::App;
use crate::error::PageError;
use crate::notice::{Notice, Told, counted};
use crate::tables::UserSession;

/// The question before a log-out everywhere.
#[derive(Template)]
#[template(path = "everywhere.html")]
struct Question {
    frame: Frame,
    devices: String,
}

pub(crate) async fn log_out(manager: SessionManager<UserSession>) -> Moved {
    manager.log_out().await?;
    Ok(Notice::LoggedOut.at("/"))
}

pub(crate) async fn ask(State(app): State<App>, LoggedIn { user, .. }: LoggedIn, told: Told) -> Page {
    let valid = app.sessions.query().owner(user.id.as_str()).count().await?;
    page(&Question { frame: Frame::of(user, told, ""), devices: counted(valid, "device") })
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
    match ended {
        Ok(count) => Ok(Notice::LoggedOutEverywhere(count).at("/")),
        Err(error) => {
            manager.log_out().await?;
            Err(error)
        }
    }
}

pub(crate) async fn log_out_others(
    LoggedIn { user, .. }: LoggedIn,
    manager: SessionManager<UserSession>,
) -> Moved {
    let ended = manager.log_out_others(UserSession::USER_ID.eq(user.id)).await?;
    Ok(Notice::LoggedOutOthers(ended).at("/account"))
}
