//! The pages for errors.

use askama::Template;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use cloakroom_axum::SessionRejection;

use crate::pages::Frame;

/// The page for a user who has logged out when the session could not be ended.
const PERHAPS_NOT_ENDED: (&str, &str) = (
    "Logged out on this device, perhaps not elsewhere",
    "This browser has forgotten you. But the database did not answer in time, so the session itself may not have \
     ended: log in again later, and end it in the list of your devices if it is still there.",
);

const NOT_ENDED: (&str, &str) = (
    "Logged out on this device only",
    "This browser has forgotten you. But the database cannot be asked, so the session itself could not be ended: \
     log in again later, and end it in the list of your devices.",
);

/// Why a page cannot be shown. Every error is a page too.
#[derive(Debug)]
pub(crate) enum PageError {
    /// No user is logged in, or the session table could not be asked.
    Session(SessionRejection),
    /// The demo's own tables could not be asked.
    Database(sqlx::Error),
    /// The page does not exist, or does not belong to this user.
    NotFound,
    /// A page of this site does not send such a request.
    BadRequest,
    /// Another site sent the request.
    CrossSite,
    /// Another request has changed the same thing first.
    Overtaken,
    /// The request took too long.
    TimedOut { logs_out: bool },
    /// A bug of the demo.
    Internal(String),
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    title: &'static str,
    text: &'static str,
    /// Where to go from here.
    link: (&'static str, &'static str),
}

impl PageError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Session(rejection) => rejection.status(),
            Self::Database(_) | Self::TimedOut { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::CrossSite => StatusCode::FORBIDDEN,
            Self::Overtaken => StatusCode::CONFLICT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let status = self.status();
        match &self {
            Self::Database(error) => tracing::error!(%error, "the database could not be asked"),
            Self::Internal(error) => tracing::error!(error, "a page could not be made"),
            _ => {}
        }
        let (title, text) = match status {
            _ if matches!(self, Self::Session(SessionRejection::NotEnded(_))) => NOT_ENDED,
            _ if matches!(self, Self::TimedOut { logs_out: true }) => PERHAPS_NOT_ENDED,
            _ if matches!(self, Self::TimedOut { .. }) => {
                ("Not available for the moment", "This took too long. Try again in a moment.")
            }
            _ if matches!(self, Self::Session(SessionRejection::Lacking(_))) => (
                "Is it still you?",
                "You gave your password too long ago for this, so nothing was done. Give it again, and begin anew.",
            ),
            StatusCode::UNAUTHORIZED => ("Logged out", "You are no longer logged in, so nothing was done."),
            StatusCode::NOT_FOUND => ("Not found", "There is nothing here, or nothing of yours."),
            StatusCode::BAD_REQUEST => ("Not understood", "This request makes no sense here."),
            StatusCode::FORBIDDEN => ("Refused", "This request came from another site."),
            StatusCode::CONFLICT => ("Too late", "This has changed meanwhile. Go back, and look again."),
            StatusCode::SERVICE_UNAVAILABLE => (
                "Not available for the moment",
                "The database cannot be asked. You are still logged in: try again in a moment.",
            ),
            _ => ("Something went wrong", "That is our mistake, and has been noted."),
        };
        let link = match &self {
            Self::Session(SessionRejection::Lacking(_)) => ("/confirm?next=/keys", "Give the password"),
            Self::Session(SessionRejection::LoggedOut(_)) => ("/login", "Log in"),
            _ => ("/", "To the front page"),
        };
        let page = ErrorPage { frame: Frame::default(), title, text, link };
        let page = page.render().map_or_else(|_| text.into_response(), |page| Html(page).into_response());
        match self {
            // Sets the headers of the rejection, such as the place to log in. It reports its own causes.
            Self::Session(rejection) => {
                let (mut parts, body) = rejection.into_response().into_parts();
                if parts.status == StatusCode::SEE_OTHER {
                    return Response::from_parts(parts, body);
                }
                let (page, body) = page.into_parts();
                parts.headers.extend(page.headers);
                Response::from_parts(parts, body)
            }
            _ => (status, page).into_response(),
        }
    }
}

impl From<SessionRejection> for PageError {
    fn from(rejection: SessionRejection) -> Self {
        Self::Session(rejection)
    }
}

impl From<cloakroom::Error> for PageError {
    fn from(error: cloakroom::Error) -> Self {
        Self::Session(error.into())
    }
}

impl From<sqlx::Error> for PageError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<askama::Error> for PageError {
    fn from(error: askama::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<argon2::password_hash::Error> for PageError {
    fn from(error: argon2::password_hash::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<FormRejection> for PageError {
    fn from(_: FormRejection) -> Self {
        Self::BadRequest
    }
}

impl From<QueryRejection> for PageError {
    fn from(_: QueryRejection) -> Self {
        Self::BadRequest
    }
}
