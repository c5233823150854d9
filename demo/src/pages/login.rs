//! The pages for signing up and logging in.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use cloakroom::NewSession;
use cloakroom_axum::{SessionManager, cookie_values};
use cookie::{Cookie, SameSite};
use percent_encoding::percent_decode;
use serde::Deserialize;

use super::{Page, page};
use crate::app::App;
use crate::client;
use crate::error::PageError;
use crate::tables::UserSession;

const LONGEST_NAME: usize = 40;
const SHORTEST_PASSWORD: usize = 8;
const LONGEST_PASSWORD: usize = 256;

/// The cookie with the name that the form is filled in with. It is no secret, and proves nothing.
const LAST_USER: &str = "last_user";

const TOO_OFTEN: &str = "Too many attempts. Wait a minute, and try again.";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    user: Option<String>,
    is_new: bool,
    name: &'a str,
    error: Option<&'a str>,
}

#[derive(Deserialize)]
pub(crate) struct Credentials {
    name: String,
    password: String,
}

pub(crate) async fn sign_up_form() -> Page {
    page(&LoginPage { user: None, is_new: true, name: "", error: None })
}

pub(crate) async fn log_in_form(headers: HeaderMap) -> Page {
    let name = last_user(&headers).unwrap_or_default();
    page(&LoginPage { user: None, is_new: false, name: &name, error: None })
}

pub(crate) async fn sign_up(
    State(app): State<App>,
    manager: SessionManager<UserSession>,
    parts: Parts,
    form: Result<Form<Credentials>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(Credentials { name, password }) = form?;
    let name = name.trim();
    let refuse = |status, error| refused(true, name, status, error);
    if let Err(error) = check(name, &password) {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, error);
    }
    if !app.attempts.allows(name, client::address(&parts)) {
        return refuse(StatusCode::TOO_MANY_REQUESTS, TOO_OFTEN);
    }
    let hash = app.passwords.hash(password).await?;
    match app.users.create(name, &hash).await? {
        Some(user) => begin(&manager, &user.id, name).await,
        None => refuse(StatusCode::UNPROCESSABLE_ENTITY, "This name is taken."),
    }
}

pub(crate) async fn log_in(
    State(app): State<App>,
    manager: SessionManager<UserSession>,
    parts: Parts,
    form: Result<Form<Credentials>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(Credentials { name, password }) = form?;
    let name = name.trim();
    let refuse = |status, error| refused(false, name, status, error);
    if !app.attempts.allows(name, client::address(&parts)) {
        return refuse(StatusCode::TOO_MANY_REQUESTS, TOO_OFTEN);
    }
    // A name or a password that no user can have is neither hashed nor looked up.
    let is_possible = check(name, &password).is_ok();
    let user = if is_possible { app.users.by_name(name).await? } else { None };
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let is_verified = is_possible && app.passwords.verify(password, hash).await?;
    match user {
        Some(user) if is_verified => begin(&manager, &user.id, name).await,
        // The page does not say which of the two is wrong.
        _ => refuse(StatusCode::UNAUTHORIZED, "The name or the password is wrong."),
    }
}

/// Returns the form again, with its errors.
fn refused(is_new: bool, name: &str, status: StatusCode, error: &'static str) -> Result<Response, PageError> {
    let page = page(&LoginPage { user: None, is_new, name, error: Some(error) })?;
    Ok((status, page).into_response())
}

/// The layer sets the session's cookie. This adds the cookie that remembers the name.
async fn begin(
    manager: &SessionManager<UserSession>,
    user_id: &str,
    name: &str,
) -> Result<Response, PageError> {
    manager.log_in(NewSession::new(UserSession::of(user_id))).await?;
    let remembered = Cookie::build((LAST_USER, name))
        .path("/login")
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(time::Duration::days(365));
    let remembered = (header::SET_COOKIE, remembered.build().encoded().to_string());
    Ok((AppendHeaders([remembered]), Redirect::to("/account")).into_response())
}

fn last_user(headers: &HeaderMap) -> Option<String> {
    let value = cookie_values(headers, LAST_USER).next()?;
    let name = percent_decode(value).decode_utf8().ok()?.into_owned();
    is_name(&name).then_some(name)
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

fn check(name: &str, password: &str) -> Result<(), &'static str> {
    if !is_name(name) {
        return Err("A name has 1 to 40 characters.");
    }
    if password.chars().count() < SHORTEST_PASSWORD || password.len() > LONGEST_PASSWORD {
        return Err("A password has 8 to 256 characters.");
    }
    Ok(())
}
