//! API keys: a second session table.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cloakroom::{EndReason, NewSession, RetiredToken, Scopes, Session, Status, Token};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Address, Confirmed, Frame, LoggedIn, Moved, Page, Shown, page, ticked};
use crate::app::{App, MOST_KEYS};
use crate::error::PageError;
use crate::notice::{Notice, Told};
use crate::tables::{ApiKey, Permission};
use crate::users::User;

const LONGEST_NAME: usize = 60;

/// How many keys are listed, those that have ended included.
const LISTED: u64 = 30;

const DAY: Duration = Duration::from_hours(24);

/// When a key may end, by its name in the form. The first is what the form proposes.
const EXPIRIES: [(&str, &str, Option<Duration>); 6] = [
    ("30d", "In 30 days", Some(DAY.saturating_mul(30))),
    ("1d", "In a day", Some(DAY)),
    ("7d", "In a week", Some(DAY.saturating_mul(7))),
    ("90d", "In 90 days", Some(DAY.saturating_mul(90))),
    ("365d", "In a year", Some(DAY.saturating_mul(365))),
    ("never", "Never", None),
];

/// For how long the old key may go on beside the new one. The first is what the form proposes.
const GRACES: [(&str, &str, Duration); 4] = [
    ("1d", "For a day", DAY),
    ("1h", "For an hour", Duration::from_hours(1)),
    ("7d", "For a week", DAY.saturating_mul(7)),
    ("none", "Not at all", Duration::ZERO),
];

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    keys: Vec<Key>,
    new: Option<NewKey>,
    most: u64,
}

/// The form for a new key.
#[derive(Template)]
#[template(path = "new_key.html")]
struct FormPage<'a> {
    frame: Frame,
    /// The key that a further one would end.
    next_to_go: Option<String>,
    name: &'a str,
    error: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "rotate.html")]
struct RotatePage {
    frame: Frame,
    id: Uuid,
    name: String,
}

/// A row of the page's table.
struct Key {
    id: Uuid,
    name: String,
    hint: Option<String>,
    scopes: String,
    created: Shown,
    expires: Option<Shown>,
    used: Option<Shown>,
    used_from: Option<Address>,
    /// The keys that it had before, and that still work.
    old: Vec<OldKey>,
    /// Why it no longer works, if so.
    ended: Option<&'static str>,
}

struct OldKey {
    hint: Option<String>,
    until: Shown,
}

/// A key that was just made. It is shown once; after that only its owner knows it.
struct NewKey {
    name: String,
    key: String,
    host: String,
    /// The key that made room for it.
    evicted: Option<String>,
    /// Until when the key before it works.
    old_until: Option<Shown>,
    is_rotated: bool,
}

#[derive(Deserialize)]
pub(crate) struct Wish {
    name: String,
    expires: String,
    #[serde(default, deserialize_with = "ticked")]
    read: bool,
    #[serde(default, deserialize_with = "ticked")]
    write: bool,
}

#[derive(Deserialize)]
pub(crate) struct Grace {
    grace: String,
}

pub(crate) async fn show(State(app): State<App>, LoggedIn { user, .. }: LoggedIn, told: Told) -> Page {
    let keys = of_user(&app, &user.id).await?;
    keys_page(&app, user, told, &keys, None).await
}

pub(crate) async fn form(State(app): State<App>, Confirmed { user }: Confirmed, told: Told) -> Page {
    let keys = of_user(&app, &user.id).await?;
    let next_to_go = next_to_go(&app, &keys);
    page(&FormPage { frame: Frame::of(user, told, "/keys"), next_to_go, name: "", error: None })
}

pub(crate) async fn create(
    State(app): State<App>,
    Confirmed { user }: Confirmed,
    headers: HeaderMap,
    form: Result<Form<Wish>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(Wish { name, expires, read, write }) = form?;
    let name = name.trim();
    let (_, _, life) = EXPIRIES.into_iter().find(|known| known.0 == expires).ok_or(PageError::BadRequest)?;
    let is_name = (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    let scopes = wanted(read, write);
    let error = match &scopes {
        _ if !is_name => Some("A key's name has 1 to 60 characters."),
        scopes if scopes.is_empty() => Some("A key that may do nothing is of no use: choose what it may do."),
        _ => None,
    };
    let before = of_user(&app, &user.id).await?;
    if error.is_some() {
        let frame = Frame::of(user, Told(None), "/keys");
        let page = page(&FormPage { frame, next_to_go: next_to_go(&app, &before), name, error })?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }

    let new = NewSession::new(ApiKey::new(&user.id, name.to_owned(), scopes));
    let new = match life {
        Some(life) => new.expires_in(life),
        None => new.never_expires(),
    };
    let created = app.keys.create(new).await?;
    let keys = of_user(&app, &user.id).await?;
    let new =
        NewKey { evicted: evicted(&before, &keys), ..NewKey::of(&created.session, &created.token, &headers) };
    Ok(keys_page(&app, user, Told(None), &keys, Some(new)).await?.into_response())
}

/// Asks for how long the old key may go on.
pub(crate) async fn ask_to_rotate(
    State(app): State<App>,
    Confirmed { user }: Confirmed,
    told: Told,
    Path(id): Path<String>,
) -> Page {
    let key = one_of_user(&app, &user.id, &id, Status::Valid).await?;
    let frame = Frame::of(user, told, "/keys");
    page(&RotatePage { frame, id: key.id, name: key.into_row().fields.name })
}

pub(crate) async fn rotate(
    State(app): State<App>,
    Confirmed { user }: Confirmed,
    headers: HeaderMap,
    Path(id): Path<String>,
    form: Result<Form<Grace>, FormRejection>,
) -> Page {
    let Form(Grace { grace }) = form?;
    let (_, _, grace) = GRACES.into_iter().find(|known| known.0 == grace).ok_or(PageError::BadRequest)?;
    let mut key = one_of_user(&app, &user.id, &id, Status::Valid).await?;
    let token = if grace.is_zero() {
        app.keys.rotate(&mut key).await?
    } else {
        app.keys.rotate_with_grace(&mut key, grace).await?
    };
    let old_until = (!grace.is_zero()).then(|| Shown::from(app.keys.config().now() + grace));
    let new = NewKey { old_until, is_rotated: true, ..NewKey::of(&key, &token, &headers) };
    let keys = of_user(&app, &user.id).await?;
    keys_page(&app, user, Told(None), &keys, Some(new)).await
}

pub(crate) async fn revoke(
    State(app): State<App>,
    LoggedIn { user, .. }: LoggedIn,
    Path(id): Path<String>,
) -> Moved {
    let mut key = one_of_user(&app, &user.id, &id, Status::All).await?;
    app.keys.expire(&mut key).await?;
    Ok(Notice::Revoked.at("/keys"))
}

fn wanted(read: bool, write: bool) -> Scopes<Permission> {
    let boxes = [(read, Permission::Read), (write, Permission::Write)];
    boxes.into_iter().filter(|(is_ticked, _)| *is_ticked).map(|(_, scope)| scope).collect()
}

/// Returns the user's keys, newest first.
async fn of_user(app: &App, user_id: &str) -> Result<Vec<Session<ApiKey>>, PageError> {
    Ok(app.keys.query().owner(user_id).status(Status::All).limit(LISTED).fetch_all().await?)
}

/// Returns a key of this user. For another user's key it answers as if there were none.
async fn one_of_user(
    app: &App,
    user_id: &str,
    id: &str,
    status: Status,
) -> Result<Session<ApiKey>, PageError> {
    let id = Uuid::try_parse(id).map_err(|_| PageError::NotFound)?;
    let mine = app.keys.query().owner(user_id).id(id).status(status);
    mine.fetch_optional().await?.ok_or(PageError::NotFound)
}

/// Returns the name of the key that made room, between these two looks at the list.
fn evicted(before: &[Session<ApiKey>], after: &[Session<ApiKey>]) -> Option<String> {
    let is_evicted = |key: &Session<ApiKey>| key.ended_because().is_some_and(|why| EndReason::EVICTED == why);
    let was_not = |key: &Session<ApiKey>| before.iter().any(|old| old.id == key.id && !is_evicted(old));
    after.iter().find(|key| is_evicted(key) && was_not(key)).map(|key| key.fields.name.clone())
}

/// Returns the name of the key that a further one would end, if there are as many as there may be.
fn next_to_go(app: &App, keys: &[Session<ApiKey>]) -> Option<String> {
    let now = app.keys.config().now();
    let valid = || keys.iter().filter(|key| key.is_valid(now));
    let used = |key: &&Session<ApiKey>| app.keys.last_seen(key).unwrap_or(key.inserted_at);
    let is_full = valid().count() as u64 >= MOST_KEYS;
    valid().min_by_key(used).filter(|_| is_full).map(|key| key.fields.name.clone())
}

async fn keys_page(app: &App, user: User, told: Told, keys: &[Session<ApiKey>], new: Option<NewKey>) -> Page {
    let now = app.keys.config().now();
    let mut rows = Vec::new();
    for key in keys {
        let old = if key.is_valid(now) { app.keys.retired_tokens(key).await? } else { Vec::new() };
        rows.push(row(app, key, old, now));
    }
    let frame = Frame::of(user, told, "/keys");
    page(&KeysPage { frame, keys: rows, new, most: MOST_KEYS })
}

fn row(app: &App, key: &Session<ApiKey>, old: Vec<RetiredToken>, now: OffsetDateTime) -> Key {
    let old = old.into_iter().map(|old| OldKey { hint: old.hint, until: old.usable_until.into() });
    Key {
        id: key.id,
        name: key.fields.name.clone(),
        hint: key.fields.hint.clone(),
        scopes: key.fields.scopes.to_string(),
        created: key.inserted_at.into(),
        expires: key.expires_at.map(Shown::from),
        used: app.keys.last_seen(key).map(Shown::from),
        used_from: key.fields.last_address.as_deref().map(Address::from),
        old: old.collect(),
        ended: (!key.is_valid(now)).then(|| why_ended(key.ended_because())),
    }
}

fn why_ended(reason: Option<&str>) -> &'static str {
    match reason {
        None => "expired",
        Some(reason) if EndReason::EVICTED == reason => "made room for another",
        Some(_) => "revoked",
    }
}

impl NewKey {
    fn of(key: &Session<ApiKey>, token: &Token, headers: &HeaderMap) -> Self {
        Self {
            name: key.fields.name.clone(),
            key: token.expose().to_owned(),
            host: host(headers),
            evicted: None,
            old_until: None,
            is_rotated: false,
        }
    }
}

/// Returns the host for the line to paste into a shell, if it is nothing but a host.
fn host(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_host = |host: &&str| {
        host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']'))
    };
    host.filter(is_host).unwrap_or("localhost:3000").to_owned()
}
