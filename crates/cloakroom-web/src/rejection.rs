use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Error, ErrorKind};
use http::{HeaderValue, Response, StatusCode, header};

use crate::client::Client;
use crate::refusal::Refusal;
use crate::requirement::Lack;

/// Why a request got no session, or why something about its session could not be done.
///
/// Every extractor of this crate rejects with it, and every method of [`SessionManager`](crate::SessionManager) fails
/// with it. It is a response, so a handler may return it. `?` makes it of a [`cloakroom::Error`], so one error type
/// serves a whole handler.
///
/// | variant | status | with |
/// |---|---|---|
/// | [`LoggedOut`](Self::LoggedOut) | 401, or 303 to the page for logging in | `WWW-Authenticate: Bearer`, with `error="invalid_token"` if a token was presented; or `Location` |
/// | [`Lacking`](Self::Lacking) a scope | 403 | `WWW-Authenticate: Bearer error="insufficient_scope", scope="write"` |
/// | `Lacking` a recent authentication | 401, or 303 to the page for confirming | `WWW-Authenticate: Bearer error="insufficient_user_authentication", max_age="300"`; or `Location` |
/// | `Lacking` a device, of the feature `dbsc` | 403 | |
/// | [`Malformed`](Self::Malformed) | 400 | `WWW-Authenticate: Bearer error="invalid_request"` |
/// | [`Ambiguous`](Self::Ambiguous) | 400 | the same |
/// | [`Database`](Self::Database) | 503 if the database fails; see there | |
/// | [`NotEnded`](Self::NotEnded) | 503, and the body says which part of the log-out was done | the cookie is cleared |
/// | [`UnfitToken`](Self::UnfitToken), [`UnfitValue`](Self::UnfitValue), [`MissingLayer`](Self::MissingLayer), [`SharedCookieName`](Self::SharedCookieName) | 500 | |
///
/// The challenges are those of [RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-3) and
/// [RFC 9470](https://www.rfc-editor.org/rfc/rfc9470#section-3). The body reveals nothing about the cause. A program that
/// is refused (the first six lines) gets `application/problem+json`
/// ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): `title`, `status` and `detail`, and `error`, `scope` and `max_age` as
/// the challenge has them. A browser that opens a page or sends a form gets one line of plain text, and so does every client in
/// the other lines.
///
/// The cause of a 5xx goes to `tracing` as an
/// error when the response is made; that of `NotEnded` goes there when it happens. There is no `Retry-After`, because
/// it is unknown how long a database stays away, and clients that all get the same time all come back at that time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SessionRejection {
    /// There is no session: the request has no token, or one that is unknown or expired.
    LoggedOut(LoggedOut),
    /// There is a session, and it is not as a [guard](crate::guards) asks.
    Lacking(Lacking),
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
    /// The token of the session that was to begin was [imported](cloakroom::NewSession::import_token), and has
    /// characters that a cookie cannot hold, or is too long for one.
    UnfitToken,
    /// A value of the session's data is not of the type that was asked for, or cannot be written; see
    /// [`Values`](crate::Values).
    UnfitValue {
        /// The name of the value.
        name: String,
    },
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
    pub(crate) client: Client,
    /// Where the browser is sent, if anywhere.
    pub(crate) location: Option<HeaderValue>,
}

/// The details of [`SessionRejection::Lacking`]: what the request's session would have to be.
#[derive(Clone, Debug)]
pub struct Lacking {
    pub(crate) lack: Lack,
    pub(crate) client: Client,
    /// Where the browser is sent, if anywhere.
    pub(crate) location: Option<HeaderValue>,
}

impl Lacking {
    /// Returns the name of the scope that the session would need.
    pub fn scope(&self) -> Option<&str> {
        match &self.lack {
            Lack::Scope(scope) => Some(scope),
            _ => None,
        }
    }

    /// Returns how long ago the session's user may have proved who they are, if that is too long ago.
    pub fn max_age(&self) -> Option<Duration> {
        match &self.lack {
            Lack::Fresh(span) => Some(*span),
            _ => None,
        }
    }

    /// Returns `true` if the session would have to be bound to the browser's device.
    #[cfg(feature = "dbsc")]
    pub fn is_device(&self) -> bool {
        self.lack == Lack::Bound
    }
}

impl SessionRejection {
    /// Returns the status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
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
            refused => match refused.refusal() {
                Some((_, _, Some(_))) => StatusCode::SEE_OTHER,
                Some((refusal, _, None)) => refusal.status(),
                None => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    /// Returns why the request is refused, for which client, and where a browser is sent. Nothing if it is not the
    /// request's own fault.
    fn refusal(&self) -> Option<(Refusal<'_>, Client, Option<&HeaderValue>)> {
        Some(match self {
            Self::LoggedOut(LoggedOut { is_token_refused, client, location }) => {
                (Refusal::LoggedOut { is_token_refused: *is_token_refused }, *client, location.as_ref())
            }
            Self::Lacking(Lacking { lack, client, location }) => {
                (Refusal::Lacks(lack), *client, location.as_ref())
            }
            // Only a program presents what can be so.
            Self::Malformed => (Refusal::Malformed, Client::Program, None),
            Self::Ambiguous => (Refusal::Ambiguous, Client::Program, None),
            _ => return None,
        })
    }

    /// The whole text that the client gets if it is not refused for what it has presented.
    fn body(&self) -> &'static str {
        match self {
            Self::NotEnded(NotEnded { has_cookie: true, .. }) => {
                "This browser is told to forget the session, but it could not be ended, and may still be valid.\n"
            }
            Self::NotEnded(_) => "The session could not be ended, and may still be valid.\n",
            _ => match self.status() {
                StatusCode::NOT_FOUND => "There is no such session.\n",
                StatusCode::CONFLICT => "The session has changed meanwhile.\n",
                StatusCode::SERVICE_UNAVAILABLE => "This is not available for the moment.\n",
                _ => "Something went wrong here.\n",
            },
        }
    }
}

impl SessionRejection {
    /// Returns the response, and reports the cause to `tracing` if it is the server's fault.
    pub(crate) fn as_http(&self) -> Response<Cow<'static, str>> {
        if self.status().is_server_error() && !matches!(self, Self::NotEnded(_)) {
            let cause = self.source().and_then(StdError::source).map(tracing::field::display);
            tracing::error!(error = %self, cause, "a request for a session failed");
        }
        let Some((refusal, client, location)) = self.refusal() else {
            return plain(self.status(), self.body().into());
        };
        if let Some(location) = location {
            let mut response = plain(StatusCode::SEE_OTHER, format!("{}\n", refusal.sentence()).into());
            response.headers_mut().insert(header::LOCATION, location.clone());
            return response;
        }
        let (kind, body) = refusal.body(client);
        let mut response = plain(refusal.status(), body.into());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.extend(refusal.challenge().map(|challenge| (header::WWW_AUTHENTICATE, challenge)));
        response
    }
}

fn plain(status: StatusCode, body: Cow<'static, str>) -> Response<Cow<'static, str>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

impl fmt::Display for SessionRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoggedOut(_) => f.write_str("nobody is logged in"),
            Self::Lacking(Lacking { lack, .. }) => match lack {
                Lack::Scope(scope) => write!(f, "the session has not the scope `{scope}`"),
                Lack::Fresh(span) => {
                    write!(f, "the session's user has not confirmed who they are within {span:?}")
                }
                #[cfg(feature = "dbsc")]
                Lack::Bound => f.write_str("the session is not bound to the browser's device"),
            },
            Self::Malformed => f.write_str("a credential is malformed"),
            Self::Ambiguous => f.write_str("the request has two different credentials"),
            Self::Database(error) => fmt::Display::fmt(error, f),
            Self::NotEnded(NotEnded { error, .. }) => write!(f, "a session could not be ended: {error}"),
            Self::UnfitToken => f.write_str("no cookie can hold the imported token"),
            Self::UnfitValue { name } => {
                write!(f, "the value `{name}` of a session is not of the type that is asked for")
            }
            Self::MissingLayer { table } => {
                write!(f, "the route has no SessionLayer<{table}>; add one around it")
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
