//! The pages, one module each, and what they share.

pub(crate) mod account;
pub(crate) mod api;
pub(crate) mod front;
pub(crate) mod keys;
pub(crate) mod login;
pub(crate) mod statistics;

use askama::Template;
use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::response::{Html, Redirect};
use cloakroom::Session;
use cloakroom_axum::CurrentSession;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::app::App;
use crate::error::PageError;
use crate::tables::UserSession;
use crate::users::User;

pub(crate) type Page = Result<Html<String>, PageError>;
pub(crate) type Moved = Result<Redirect, PageError>;

pub(crate) fn page(template: &impl Template) -> Page {
    Ok(Html(template.render()?))
}

pub(crate) async fn not_found() -> PageError {
    PageError::NotFound
}

/// The logged in user: an extractor for pages that need one. All other visitors are sent to log in.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    pub(crate) session: Session<UserSession>,
    pub(crate) user: User,
}

impl<S: Send + Sync> FromRequestParts<S> for LoggedIn
where
    App: FromRef<S>,
{
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let CurrentSession(session) =
            <CurrentSession<UserSession> as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let user = App::from_ref(state).users.by_id(&session.fields.user_id).await?;
        // A deleted user has no page.
        let user = user.ok_or(PageError::NotFound)?;
        Ok(Self { session, user })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for LoggedIn
where
    App: FromRef<S>,
{
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, PageError> {
        let session =
            <CurrentSession<UserSession> as OptionalFromRequestParts<S>>::from_request_parts(parts, state)
                .await?;
        let Some(CurrentSession(session)) = session else {
            return Ok(None);
        };
        let user = App::from_ref(state).users.by_id(&session.fields.user_id).await?;
        Ok(user.map(|user| Self { session, user }))
    }
}

/// An instant as it is shown to people, and as machines read it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) machine: String,
}

impl From<OffsetDateTime> for Shown {
    fn from(instant: OffsetDateTime) -> Self {
        const TEXT: &[time::format_description::BorrowedFormatItem<'_>] =
            format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute]");
        const MACHINE: &[time::format_description::BorrowedFormatItem<'_>] =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        // Both formats accept any instant in UTC.
        Self {
            text: instant.format(TEXT).unwrap_or_default(),
            machine: instant.format(MACHINE).unwrap_or_default(),
        }
    }
}
