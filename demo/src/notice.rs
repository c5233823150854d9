//! What the next page says of what was just done.
//!
//! A form is answered with a redirect, so that a reload does not send it again. The notice crosses it in a cookie, which
//! the page that shows it takes away. The cookie holds the name of one of these texts, and none of its own, so a cookie
//! that another host has planted can say nothing new.

use std::convert::Infallible;
use std::fmt;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use cloakroom_axum::cookie_values;
use cookie::{Cookie, SameSite};

const COOKIE: &str = "notice";

/// How long it waits for its page.
const KEPT: time::Duration = time::Duration::minutes(1);

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Ended,
    Deleted,
    Renamed,
    LoggedOut,
    LoggedOutOthers(u64),
    LoggedOutEverywhere(u64),
    PasswordChanged(u64),
    Revoked,
}

impl Notice {
    /// Returns the text that stands for it in the cookie.
    fn name(self) -> String {
        match self {
            Self::Ended => "ended".to_owned(),
            Self::Deleted => "deleted".to_owned(),
            Self::Renamed => "renamed".to_owned(),
            Self::LoggedOut => "logged-out".to_owned(),
            Self::LoggedOutOthers(count) => format!("logged-out-others.{count}"),
            Self::LoggedOutEverywhere(count) => format!("logged-out-everywhere.{count}"),
            Self::PasswordChanged(count) => format!("password-changed.{count}"),
            Self::Revoked => "revoked".to_owned(),
        }
    }

    fn named(name: &str) -> Option<Self> {
        let (name, count) = match name.split_once('.') {
            Some((name, count)) => (name, Some(count.parse().ok()?)),
            None => (name, None),
        };
        Some(match (name, count) {
            ("ended", None) => Self::Ended,
            ("deleted", None) => Self::Deleted,
            ("renamed", None) => Self::Renamed,
            ("logged-out", None) => Self::LoggedOut,
            ("logged-out-others", Some(count)) => Self::LoggedOutOthers(count),
            ("logged-out-everywhere", Some(count)) => Self::LoggedOutEverywhere(count),
            ("password-changed", Some(count)) => Self::PasswordChanged(count),
            ("revoked", None) => Self::Revoked,
            _ => return None,
        })
    }

    /// Returns the redirect to this page, which then shows the notice.
    pub(crate) fn at(self, path: &str) -> Response {
        let cookie = cookie(self.name(), KEPT);
        (AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(path)).into_response()
    }

    fn in_cookie(headers: &HeaderMap) -> Option<Self> {
        let value = cookie_values(headers, COOKIE).next()?;
        Self::named(std::str::from_utf8(value).ok()?)
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("The device is logged out."),
            Self::Deleted => f.write_str("The device is logged out, and off the list."),
            Self::Renamed => f.write_str("The device has a new name."),
            Self::LoggedOut => f.write_str("You are logged out."),
            Self::LoggedOutOthers(0) => f.write_str("No other device was logged in."),
            Self::LoggedOutOthers(count) => write!(f, "{} logged out.", devices(*count, "other device")),
            Self::LoggedOutEverywhere(count) => {
                write!(f, "You are logged out everywhere: {}.", counted(*count, "device"))
            }
            Self::PasswordChanged(0) => f.write_str("Your password is changed."),
            Self::PasswordChanged(count) => {
                write!(f, "Your password is changed. {} logged out.", devices(*count, "other device"))
            }
            Self::Revoked => f.write_str("The key is revoked. It is refused from now on."),
        }
    }
}

/// Returns `1 device is` or `2 devices are`.
fn devices(count: u64, what: &str) -> String {
    format!("{} {}", counted(count, what), if count == 1 { "is" } else { "are" })
}

pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn cookie(value: String, max_age: time::Duration) -> String {
    // Not `Secure`, since the demo also runs over plain http; it is no secret.
    let cookie = Cookie::build((COOKIE, value)).path("/").http_only(true).same_site(SameSite::Strict);
    cookie.max_age(max_age).build().to_string()
}

/// The notice that this request's page shows, if there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told(pub(crate) Option<Notice>);

impl<S: Send + Sync> FromRequestParts<S> for Told {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Notice::in_cookie(&parts.headers)))
    }
}

/// Takes the cookie away with the first page after it, which has shown the notice.
pub(crate) async fn forget(request: Request, next: Next) -> Response {
    let has_cookie = cookie_values(request.headers(), COOKIE).next().is_some();
    let mut response = next.run(request).await;
    if has_cookie
        && response.status() == StatusCode::OK
        && let Ok(cookie) = HeaderValue::from_str(&cookie(String::new(), time::Duration::ZERO))
    {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_crosses_the_redirect_and_other_text_is_none() {
        for notice in [
            Notice::Ended,
            Notice::Deleted,
            Notice::Renamed,
            Notice::LoggedOut,
            Notice::LoggedOutOthers(0),
            Notice::LoggedOutEverywhere(3),
            Notice::PasswordChanged(u64::MAX),
            Notice::Revoked,
        ] {
            assert_eq!(Notice::named(&notice.name()), Some(notice));
        }
        for other in
            ["", "ended.1", "logged-out-others", "logged-out-others.-1", "logged-out-others.x", "Ended"]
        {
            assert_eq!(Notice::named(other), None, "{other}");
        }
    }

    #[test]
    fn one_device_is_counted_as_one() {
        assert_eq!(Notice::LoggedOutOthers(1).to_string(), "1 other device is logged out.");
        assert_eq!(Notice::LoggedOutOthers(2).to_string(), "2 other devices are logged out.");
        assert_eq!(Notice::LoggedOutEverywhere(1).to_string(), "You are logged out everywhere: 1 device.");
    }
}
