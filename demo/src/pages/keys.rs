//! API keys: a second session table.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use cloakroom::{NewSession, Session, Status};
use serde::Deserialize;
use uuid::Uuid;

use super::{LoggedIn, Moved, Page, Shown, page};
use crate::app::App;
use crate::error::PageError;
use crate::tables::{ApiKey, Role};

const LONGEST_NAME: usize = 60;

/// How many keys are listed, and how many valid ones a user may have.
const MOST: u64 = 100;

const DAY: Duration = Duration::from_hours(24);

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    user: Option<String>,
    keys: Vec<Key>,
    new: Option<NewKey>,
    error: Option<&'static str>,
}

/// A row of the page's table.
struct Key {
    id: Uuid,
    name: String,
    role: Role,
    created: Shown,
    expires: Option<Shown>,
    is_expired: bool,
}

/// A key that was just created. It is shown once; after that only its owner knows it.
struct NewKey {
    name: String,
    key: String,
    host: String,
}

#[derive(Deserialize)]
pub(crate) struct Wish {
    name: String,
    role: Role,
    expires: Expires,
}

#[derive(Deserialize)]
enum Expires {
    #[serde(rename = "never")]
    Never,
    #[serde(rename = "1d")]
    InADay,
    #[serde(rename = "30d")]
    InThirtyDays,
}

pub(crate) async fn show(State(app): State<App>, LoggedIn { user, .. }: LoggedIn) -> Page {
    let keys = list(&app, &user.id).await?;
    page(&KeysPage { user: Some(user.name), keys, new: None, error: None })
}

pub(crate) async fn create(
    State(app): State<App>,
    LoggedIn { user, .. }: LoggedIn,
    headers: HeaderMap,
    form: Result<Form<Wish>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(Wish { name, role, expires }) = form?;
    let name = name.trim();
    let is_name = (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    let of_user = app.keys.query().filter(ApiKey::USER_ID.eq(user.id.as_str()));
    let error = if !is_name {
        Some("A key's name has 1 to 60 characters.")
    } else if of_user.count().await? >= MOST {
        Some("You have a hundred keys. Revoke one first.")
    } else {
        None
    };
    if error.is_some() {
        let keys = list(&app, &user.id).await?;
        let page = page(&KeysPage { user: Some(user.name), keys, new: None, error })?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }

    let new = NewSession::new(ApiKey { user_id: user.id.clone(), name: name.to_owned(), role });
    let new = match expires {
        Expires::Never => new.never_expires(),
        Expires::InADay => new.expires_in(DAY),
        Expires::InThirtyDays => new.expires_in(30 * DAY),
    };
    let created = app.keys.create(new).await?;
    let key = created.token.expose().to_owned();
    let new = Some(NewKey { name: name.to_owned(), key, host: host(&headers) });
    let keys = list(&app, &user.id).await?;
    Ok(page(&KeysPage { user: Some(user.name), keys, new, error: None })?.into_response())
}

pub(crate) async fn revoke(
    State(app): State<App>,
    LoggedIn { user, .. }: LoggedIn,
    Path(id): Path<String>,
) -> Moved {
    let id = Uuid::try_parse(&id).map_err(|_| PageError::NotFound)?;
    let mine = app.keys.query().filter(ApiKey::USER_ID.eq(user.id)).id(id).status(Status::All);
    let mut key = mine.fetch_optional().await?.ok_or(PageError::NotFound)?;
    app.keys.expire(&mut key).await?;
    Ok(Redirect::to("/keys"))
}

async fn list(app: &App, user_id: &str) -> Result<Vec<Key>, PageError> {
    let keys = app.keys.query().filter(ApiKey::USER_ID.eq(user_id)).status(Status::All).limit(MOST);
    let now = app.keys.config().now();
    let key = |key: Session<ApiKey>| Key {
        id: key.id,
        role: key.fields.role,
        created: key.inserted_at.into(),
        expires: key.expires_at.map(Shown::from),
        is_expired: !key.is_valid(now),
        name: key.into_row().fields.name,
    };
    Ok(keys.fetch_all().await?.into_iter().map(key).collect())
}

/// Returns the host for the line to paste into a shell, if it is nothing but a host.
fn host(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_host = |host: &&str| {
        host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']'))
    };
    host.filter(is_host).unwrap_or("localhost:3000").to_owned()
}
