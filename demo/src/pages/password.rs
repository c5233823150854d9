//! Changing the password, which logs out every other device.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use cloakroom::{Session, SessionFields};
use cloakroom_axum::SessionManager;
use serde::Deserialize;

use super::confirm::check;
use super::login::check_password;
use super::{Frame, LoggedIn, Page, page};
use crate::app::App;
use crate::error::PageError;
use crate::notice::{Notice, Told};
use crate::tables::{PASSWORD_CHANGED, UserSession};
use crate::users::User;

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage<'a> {
    frame: Frame,
    name: &'a str,
    error: Option<&'static str>,
}

#[derive(Deserialize)]
pub(crate) struct Change {
    password: String,
    new_password: String,
}

pub(crate) async fn ask(LoggedIn { user, .. }: LoggedIn, told: Told) -> Page {
    form_page(user, told, None)
}

pub(crate) async fn change(
    State(app): State<App>,
    LoggedIn { session, user }: LoggedIn,
    manager: SessionManager<UserSession>,
    parts: Parts,
    form: Result<Form<Change>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(Change { password, new_password }) = form?;
    let refused = match check_password(&new_password) {
        Err(error) => Err((StatusCode::UNPROCESSABLE_ENTITY, error)),
        Ok(()) => check(&app, &user, &parts, password).await?,
    };
    if let Err((status, error)) = refused {
        return Ok((status, form_page(user, Told(None), Some(error))?).into_response());
    }
    let hash = app.passwords.hash(new_password).await?;
    // In a task of its own, which goes on to its end if the browser hangs up.
    let changed = tokio::spawn(async move { replace(&app, &session, &user, &hash).await });
    let ended = changed.await.map_err(|error| PageError::Internal(error.to_string()))??;
    // A copy of this browser's token is worth nothing either.
    manager.reauthenticate().await?;
    Ok(Notice::PasswordChanged(ended).at("/account"))
}

/// Writes the new password and ends the user's other sessions, both or neither. Returns how many were ended.
async fn replace(app: &App, here: &Session<UserSession>, user: &User, hash: &str) -> Result<u64, PageError> {
    let mut transaction = app.sessions.begin().await?;
    if !app.users.replace_password(&mut transaction, user, hash).await? {
        // Another request has changed it since this one checked the old one.
        return Err(PageError::Overtaken);
    }
    let mut sessions = app.sessions.within(&mut transaction);
    let others = sessions.query().owner(user.id.as_str()).filter(UserSession::ID.ne(here.id));
    let ended = others.because(PASSWORD_CHANGED).expire_all().await?;
    transaction.commit().await?;
    Ok(ended)
}

fn form_page(user: User, told: Told, error: Option<&'static str>) -> Page {
    let name = user.name.clone();
    page(&PasswordPage { frame: Frame::of(user, told, ""), name: &name, error })
}
