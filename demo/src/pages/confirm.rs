//! The page on which a user gives the password again, before something that a borrowed browser must not do.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use cloakroom_axum::{Next, SessionManager};
use serde::Deserialize;

use super::login::TOO_OFTEN;
use super::{Frame, LoggedIn, Page, page};
use crate::app::App;
use crate::client;
use crate::error::PageError;
use crate::notice::Told;
use crate::tables::UserSession;
use crate::users::User;

/// For how long it holds, in seconds.
pub(crate) const CONFIRMED_FOR: u64 = 10 * 60;

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage<'a> {
    frame: Frame,
    name: &'a str,
    error: Option<&'static str>,
}

#[derive(Deserialize)]
pub(crate) struct Password {
    password: String,
}

pub(crate) async fn ask(LoggedIn { user, .. }: LoggedIn, told: Told) -> Page {
    let name = user.name.clone();
    page(&ConfirmPage { frame: Frame::of(user, told, ""), name: &name, error: None })
}

pub(crate) async fn confirm(
    State(app): State<App>,
    LoggedIn { user, .. }: LoggedIn,
    manager: SessionManager<UserSession>,
    next: Next,
    parts: Parts,
    form: Result<Form<Password>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(Password { password }) = form?;
    match check(&app, &user, &parts, password).await? {
        Ok(()) => {
            // The session has a new token too, so a copy of the old one does not become more than it was.
            manager.reauthenticate().await?;
            Ok(Redirect::to(next.or("/account")).into_response())
        }
        Err((status, error)) => {
            let name = user.name.clone();
            let frame = Frame::of(user, Told(None), "");
            let page = page(&ConfirmPage { frame, name: &name, error: Some(error) })?;
            Ok((status, page).into_response())
        }
    }
}

/// Checks the password of a user who is logged in. Attempts are limited as those of a log-in.
pub(crate) async fn check(
    app: &App,
    user: &User,
    parts: &Parts,
    password: String,
) -> Result<Result<(), (StatusCode, &'static str)>, PageError> {
    if !app.attempts.allows(&user.name, client::address(parts)) {
        return Ok(Err((StatusCode::TOO_MANY_REQUESTS, TOO_OFTEN)));
    }
    let is_verified = app.passwords.verify(password, Some(user.password_hash.clone())).await?;
    Ok(if is_verified { Ok(()) } else { Err((StatusCode::UNAUTHORIZED, "The password is wrong.")) })
}
