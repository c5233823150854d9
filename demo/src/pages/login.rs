//! The pages for signing up and logging in.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use cloakroom::NewSession;
use cloakroom_axum::{Next, SessionManager, cookie_values};
use cookie::{Cookie, SameSite};
use percent_encoding::percent_decode;
use serde::Deserialize;

use super::{Frame, Page, page, ticked};
use crate::app::App;
use crate::client;
use crate::error::PageError;
use crate::notice::Told;
use crate::tables::UserSession;

const LONGEST_NAME: usize = 40;
const SHORTEST_PASSWORD: usize = 8;
const LONGEST_PASSWORD: usize = 256;

/// The cookie with the name that the form is filled in with. It is no secret, and proves nothing.
const LAST_USER: &str = "last_user";

/// How long a browser that is to be remembered is logged in without a click.
pub(crate) const REMEMBERED: Duration = Duration::from_hours(30 * 24);

pub(crate) const TOO_OFTEN: &str = "Too many attempts. Wait a minute, and try again.";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame,
    is_new: bool,
    name: &'a str,
    remember: bool,
    /// The address of the other of the two pages.
    other: String,
    error: Option<&'a str>,
}

#[derive(Deserialize)]
pub(crate) struct Credentials {
    name: String,
    password: String,
    /// Whether the browser is to be remembered: a box that is not ticked is not sent.
    #[serde(default, deserialize_with = "ticked")]
    remember: bool,
}

pub(crate) async fn sign_up_form(next: Next, told: Told) -> Page {
    page(&LoginPage::new(true, &next, told))
}

pub(crate) async fn log_in_form(headers: HeaderMap, next: Next, told: Told) -> Page {
    let name = last_user(&headers).unwrap_or_default();
    page(&LoginPage { name: &name, ..LoginPage::new(false, &next, told) })
}

pub(crate) async fn sign_up(
    State(app): State<App>,
    manager: SessionManager<UserSession>,
    next: Next,
    parts: Parts,
    form: Result<Form<Credentials>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(Credentials { name, password, remember }) = form?;
    let name = name.trim();
    let form = LoginPage { name, remember, ..LoginPage::new(true, &next, Told(None)) };
    if let Err(error) = check(name, &password) {
        return form.refused(StatusCode::UNPROCESSABLE_ENTITY, error);
    }
    if !app.attempts.allows(name, client::address(&parts)) {
        return form.refused(StatusCode::TOO_MANY_REQUESTS, TOO_OFTEN);
    }
    let hash = app.passwords.hash(password).await?;
    match app.users.create(name, &hash).await? {
        Some(user) => begin(&manager, &user.id, name, remember, &next).await,
        None => form.refused(StatusCode::UNPROCESSABLE_ENTITY, "This name is taken."),
    }
}

pub(crate) async fn log_in(
    State(app): State<App>,
    manager: SessionManager<UserSession>,
    next: Next,
    parts: Parts,
    form: Result<Form<Credentials>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(Credentials { name, password, remember }) = form?;
    let name = name.trim();
    let form = LoginPage { name, remember, ..LoginPage::new(false, &next, Told(None)) };
    if !app.attempts.allows(name, client::address(&parts)) {
        return form.refused(StatusCode::TOO_MANY_REQUESTS, TOO_OFTEN);
    }
    // A name or a password that no user can have is neither hashed nor looked up.
    let is_possible = check(name, &password).is_ok();
    let user = if is_possible { app.users.by_name(name).await? } else { None };
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let is_verified = is_possible && app.passwords.verify(password, hash).await?;
    match user {
        Some(user) if is_verified => begin(&manager, &user.id, name, remember, &next).await,
        // The page does not say which of the two is wrong.
        _ => form.refused(StatusCode::UNAUTHORIZED, "The name or the password is wrong."),
    }
}

impl LoginPage<'_> {
    fn new(is_new: bool, next: &Next, Told(notice): Told) -> Self {
        let (here, other) = if is_new { ("/signup", "/login") } else { ("/login", "/signup") };
        let frame = Frame { user: None, notice, here };
        Self { frame, is_new, name: "", remember: false, other: next.on(other), error: None }
    }

    /// Returns the form again, with its error.
    fn refused(self, status: StatusCode, error: &'static str) -> Result<Response, PageError> {
        Ok((status, page(&Self { error: Some(error), ..self })?).into_response())
    }
}

/// The layer sets the session's cookie. This adds the cookie that remembers the name.
async fn begin(
    manager: &SessionManager<UserSession>,
    user_id: &str,
    name: &str,
    remember: bool,
    next: &Next,
) -> Result<Response, PageError> {
    let new = NewSession::new(UserSession::of(user_id));
    manager.log_in(if remember { new.sliding(REMEMBERED) } else { new }).await?;
    let remembered = Cookie::build((LAST_USER, name))
        .path("/login")
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(time::Duration::days(365));
    let remembered = (header::SET_COOKIE, remembered.build().encoded().to_string());
    Ok((AppendHeaders([remembered]), Redirect::to(next.or("/account"))).into_response())
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
    check_password(password)
}

pub(crate) fn check_password(password: &str) -> Result<(), &'static str> {
    if password.chars().count() < SHORTEST_PASSWORD || password.len() > LONGEST_PASSWORD {
        return Err("A password has 8 to 256 characters.");
    }
    Ok(())
}
