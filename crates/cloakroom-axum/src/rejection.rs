use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use cloakroom::{Error, ErrorKind};
use http::{HeaderValue, StatusCode, header};

/// Why a request got no session, or why something about its session could not be done.
///
/// Every extractor of this crate rejects with it, and every method of [`SessionManager`](crate::SessionManager) fails
/// with it. It is a response, so a handler may return it. `?` makes it of a [`cloakroom::Error`], so one error type
/// serves a whole handler.
///
/// | variant | status | with |
/// |---|---|---|
/// | [`LoggedOut`](Self::LoggedOut) | 401, or 303 to the page for logging in | `WWW-Authenticate: Bearer`, or `Location` |
/// | [`Malformed`](Self::Malformed) | 400 | `WWW-Authenticate: Bearer error="invalid_request"` |
/// | [`Ambiguous`](Self::Ambiguous) | 400 | the same |
/// | [`Database`](Self::Database) | 503 if the database fails; see there | |
/// | [`NotEnded`](Self::NotEnded) | 503, and the body says which part of the log-out was done | the cookie is cleared |
/// | `NotBound`, of the feature `dbsc` | 403 | |
/// | [`UnfitToken`](Self::UnfitToken), [`MissingLayer`](Self::MissingLayer), [`SharedCookieName`](Self::SharedCookieName) | 500 | |
///
/// The body is one line of plain text that reveals nothing about the cause. The cause of a 5xx goes to `tracing` as an
/// error when the response is made; that of `NotEnded` goes there when it happens. There is no `Retry-After`, because
/// it is unknown how long a database stays away, and clients that all get the same time all come back at that time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SessionRejection {
    /// There is no session: the request has no token, or one that is unknown or expired.
    LoggedOut(LoggedOut),
    /// A bearer token, or a header that should hold a token, is malformed.
    Malformed,
    /// The request has two tokens that differ, and one of them is a bearer token or in a header.
    Ambiguous,
    /// The session table could not be asked, or the write was refused.
    ///
    /// The status is 503, with one exception for errors that the handler causes and not the database:
    /// [`NotFound`](ErrorKind::NotFound) is 404, [`Conflict`](ErrorKind::Conflict), [`Expired`](ErrorKind::Expired) and
    /// [`LimitReached`](ErrorKind::LimitReached) are 409, and a value that cannot be stored or queried is 500. An extractor only reads, so its status is always
    /// 503, and no client is logged out. That holds for an API client with a session that does not decode, too; the
    /// cause is then of kind [`Decode`](ErrorKind::Decode).
    Database(Arc<Error>),
    /// A client has logged out, but the session could not be ended, because the database failed.
    ///
    /// The browser forgets its cookie all the same. But the session is valid for any other holder of its token, until
    /// it expires or is ended by other means.
    NotEnded(NotEnded),
    /// The request's session is not bound to the browser's device, and has to be for this route.
    #[cfg(feature = "dbsc")]
    NotBound,
    /// The token of the session that was to begin was [imported](cloakroom::NewSession::import_token), and has
    /// characters that a cookie cannot hold, or is too long for one.
    UnfitToken,
    /// The route has no [`SessionLayer`](crate::SessionLayer) for this table.
    MissingLayer {
        /// The type that represents the table.
        table: &'static str,
    },
    /// Another [`SessionLayer`](crate::SessionLayer) of this route has a cookie of the same name.
    SharedCookieName {
        /// The name, as it is on this host.
        name: String,
    },
}

/// The details of [`SessionRejection::NotEnded`].
#[derive(Clone, Debug)]
pub struct NotEnded {
    pub(crate) error: Arc<Error>,
    pub(crate) has_cookie: bool,
}

impl NotEnded {
    /// The error that kept the session from being ended.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns `true` if the request had a cookie, which the response clears.
    pub fn clears_cookie(&self) -> bool {
        self.has_cookie
    }
}

/// The details of [`SessionRejection::LoggedOut`].
#[derive(Clone, Debug, Default)]
pub struct LoggedOut {
    /// Whether an API client presented a token that is not valid.
    pub(crate) is_token_refused: bool,
    /// Where the browser is sent, if anywhere.
    pub(crate) location: Option<HeaderValue>,
}

impl SessionRejection {
    /// Returns the status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::LoggedOut(LoggedOut { location: Some(_), .. }) => StatusCode::SEE_OTHER,
            Self::LoggedOut(_) => StatusCode::UNAUTHORIZED,
            Self::Malformed | Self::Ambiguous => StatusCode::BAD_REQUEST,
            Self::Database(error) => match error.kind() {
                ErrorKind::NotFound => StatusCode::NOT_FOUND,
                ErrorKind::Conflict | ErrorKind::Expired | ErrorKind::LimitReached => StatusCode::CONFLICT,
                ErrorKind::MultipleSessions
                | ErrorKind::InvalidField
                | ErrorKind::UnknownField
                | ErrorKind::InvalidData
                | ErrorKind::DuplicateToken
                | ErrorKind::Constraint
                | ErrorKind::Unsupported => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            },
            Self::NotEnded(_) => StatusCode::SERVICE_UNAVAILABLE,
            #[cfg(feature = "dbsc")]
            Self::NotBound => StatusCode::FORBIDDEN,
            Self::UnfitToken | Self::MissingLayer { .. } | Self::SharedCookieName { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// The whole text that the client gets.
    fn body(&self) -> &'static str {
        match self {
            Self::Malformed => "The credential in this request is malformed.\n",
            Self::Ambiguous => "This request has two different credentials.\n",
            Self::NotEnded(NotEnded { has_cookie: true, .. }) => {
                "This browser is told to forget the session, but it could not be ended, and may still be valid.\n"
            }
            Self::NotEnded(_) => "The session could not be ended, and may still be valid.\n",
            #[cfg(feature = "dbsc")]
            Self::NotBound => "This needs a browser that binds its session to the device.\n",
            _ => match self.status() {
                StatusCode::SEE_OTHER | StatusCode::UNAUTHORIZED => "You are not logged in.\n",
                StatusCode::NOT_FOUND => "There is no such session.\n",
                StatusCode::CONFLICT => "The session has changed meanwhile.\n",
                StatusCode::SERVICE_UNAVAILABLE => "This is not available for the moment.\n",
                _ => "Something went wrong here.\n",
            },
        }
    }

    fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::LoggedOut(LoggedOut { location: Some(_), .. }) => None,
            Self::LoggedOut(LoggedOut { is_token_refused: true, .. }) => {
                Some("Bearer error=\"invalid_token\"")
            }
            // A client that presented nothing gets no reason: RFC 6750, section 3.1.
            Self::LoggedOut(_) => Some("Bearer"),
            Self::Malformed | Self::Ambiguous => Some("Bearer error=\"invalid_request\""),
            _ => None,
        }
    }
}

impl IntoResponse for SessionRejection {
    fn into_response(self) -> Response {
        if self.status().is_server_error() && !matches!(self, Self::NotEnded(_)) {
            let cause = self.source().and_then(StdError::source).map(tracing::field::display);
            tracing::error!(error = %self, cause, "a request for a session failed");
        }
        let mut response = (self.status(), self.body()).into_response();
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge() {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Self::LoggedOut(LoggedOut { location: Some(location), .. }) = self {
            headers.insert(header::LOCATION, location);
        }
        response
    }
}

impl fmt::Display for SessionRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoggedOut(_) => f.write_str("nobody is logged in"),
            Self::Malformed => f.write_str("a credential is malformed"),
            Self::Ambiguous => f.write_str("the request has two different credentials"),
            Self::Database(error) => fmt::Display::fmt(error, f),
            Self::NotEnded(NotEnded { error, .. }) => write!(f, "a session could not be ended: {error}"),
            #[cfg(feature = "dbsc")]
            Self::NotBound => f.write_str("the session is not bound to the browser's device"),
            Self::UnfitToken => f.write_str("no cookie can hold the imported token"),
            Self::MissingLayer { table } => {
                write!(f, "the route has no SessionLayer<{table}>; add one with Router::layer")
            }
            Self::SharedCookieName { name } => write!(
                f,
                "two SessionLayers of the route have cookies of one name, `{name}`: give each its own with \
                 CookieConfig::builder().name(..)"
            ),
        }
    }
}

impl StdError for SessionRejection {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Database(error) | Self::NotEnded(NotEnded { error, .. }) => Some(&**error),
            _ => None,
        }
    }
}

impl From<Error> for SessionRejection {
    fn from(error: Error) -> Self {
        Self::Database(Arc::new(error))
    }
}
