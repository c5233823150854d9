//! The pages, one module each, and what they share.

pub(crate) mod account;
pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod confirm;
pub(crate) mod devices;
pub(crate) mod front;
pub(crate) mod keys;
pub(crate) mod leaving;
pub(crate) mod login;
pub(crate) mod password;
pub(crate) mod statistics;

use askama::Template;
use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::response::{Html, Response};
use cloakroom::Session;
use cloakroom_axum::{CurrentSession, RequireFresh};
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::macros::format_description;

use confirm::CONFIRMED_FOR;

use crate::app::App;
use crate::error::PageError;
use crate::notice::{Notice, Told};
use crate::tables::UserSession;
use crate::users::User;

pub(crate) type Page = Result<Html<String>, PageError>;
pub(crate) type Moved = Result<Response, PageError>;

/// What stands around every page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    /// The name of the user who is logged in.
    pub(crate) user: Option<String>,
    pub(crate) notice: Option<Notice>,
    /// The page's own path, if it is in the menu.
    pub(crate) here: &'static str,
}

impl Frame {
    /// Returns the frame of a page that a user sees, with what was just done.
    pub(crate) fn of(user: User, Told(notice): Told, here: &'static str) -> Self {
        Self { user: Some(user.name), notice, here }
    }

    /// Returns the attribute of the menu's link to this page.
    pub(crate) fn mark(&self, path: &str) -> &'static str {
        if self.here == path { "page" } else { "false" }
    }
}

pub(crate) fn page(template: &impl Template) -> Page {
    Ok(Html(template.render()?))
}

pub(crate) async fn not_found() -> PageError {
    PageError::NotFound
}

/// Reads a box of a form, for a field that is `false` by default: a box that is not ticked is not sent.
pub(crate) fn ticked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    String::deserialize(deserializer).map(|_| true)
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

/// The logged in user, who has given the password a short while ago. A browser that opens such a page too late is sent to
/// give it again.
#[derive(Debug)]
pub(crate) struct Confirmed {
    pub(crate) user: User,
}

impl<S: Send + Sync> FromRequestParts<S> for Confirmed
where
    App: FromRef<S>,
{
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        RequireFresh::<UserSession, CONFIRMED_FOR>::from_request_parts(parts, state).await?;
        let LoggedIn { user, .. } =
            <LoggedIn as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(Self { user })
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

/// An address, in parts between which a line may break: a group of IPv6 stays whole.
#[derive(Clone, Debug)]
pub(crate) struct Address(Vec<String>);

impl Address {
    pub(crate) fn parts(&self) -> &[String] {
        &self.0
    }
}

impl From<&str> for Address {
    fn from(address: &str) -> Self {
        let mut parts = Vec::new();
        let mut part = String::new();
        let mut rest = address.chars().peekable();
        while let Some(character) = rest.next() {
            part.push(character);
            // Not within `::`.
            if character == ':' && rest.peek().is_some_and(|next| *next != ':') {
                parts.push(std::mem::take(&mut part));
            }
        }
        parts.push(part);
        Self(parts)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_breaks_between_its_groups_alone() {
        let parts = |address: &str| Address::from(address).0.join("|");
        assert_eq!(parts("192.0.2.1"), "192.0.2.1");
        assert_eq!(parts("2001:db8:85a3::8a2e:370:7334"), "2001:|db8:|85a3::|8a2e:|370:|7334");
        assert_eq!(parts("::1"), "::|1");
        assert_eq!(parts("2001:db8::"), "2001:|db8::");
        assert_eq!(parts(""), "");
    }
}
