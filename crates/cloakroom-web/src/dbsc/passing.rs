//! What becomes of a request that is the browser's user's: it passes, and its answer may be another than the application's.

use std::error::Error as StdError;

use cloakroom::HasDeviceKey;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};

use super::answer::response;
use super::switched::{REGISTRATION, Switched};
use crate::cookie::keep_out_of_caches;
use crate::state::State;

/// What has to be known of a request once it is answered.
pub(crate) struct Passing {
    is_safe: bool,
    is_link: bool,
    again: Option<HeaderValue>,
}

impl Passing {
    pub(crate) fn of(parts: &Parts) -> Self {
        Self {
            is_safe: parts.method.is_safe(),
            is_link: is_link_elsewhere(parts),
            again: place_of(&parts.uri),
        }
    }

    /// Returns the answer that the browser gets in place of the application's, if any. Otherwise adds to the headers of the
    /// application's what binds the session.
    pub(crate) async fn answered<T: HasDeviceKey>(
        self,
        state: &State<T>,
        dbsc: &Switched,
        headers: &mut HeaderMap,
    ) -> Option<Response<String>> {
        let binding = state.exchange.binding();
        if self.is_link && binding.is_awaited() {
            return Some(once_more(dbsc, state.exchange.is_localhost()));
        }
        if let Some(again) = self.again.filter(|_| binding.is_to_be_repeated(self.is_safe)) {
            return Some(repeat(again, dbsc, state.exchange.is_localhost()));
        }
        if let Some(session) = binding.take_offer() {
            match state.exchange.sessions().device_challenge(&session).await {
                Ok(challenge) => {
                    let header = challenge.and_then(|challenge| dbsc.registration(&challenge));
                    headers.extend(header.map(|header| (REGISTRATION, header)));
                    keep_out_of_caches(headers);
                }
                Err(error) => tracing::warn!(
                    table = %state.exchange.sessions().definition(),
                    session = %session.id,
                    error = &error as &dyn StdError,
                    "a session is not offered to be bound",
                ),
            }
        }
        None
    }
}

/// Returns `true` if the browser opens a page by a link of another site's, or of a sibling host's. It then does not renew
/// first, nor if it is sent on from there.
fn is_link_elsewhere(parts: &Parts) -> bool {
    let says = |name: &str, words: &[&str]| {
        parts.headers.get(name).is_some_and(|value| words.iter().any(|word| value == word))
    };
    parts.method == Method::GET
        && says("sec-fetch-mode", &["navigate"])
        && says("sec-fetch-site", &["cross-site", "same-site"])
}

/// Returns the empty page that asks for its own place again. That is a request of the site's own, before which the browser
/// renews, and does not come here a second time.
fn once_more(dbsc: &Switched, is_localhost: bool) -> Response<String> {
    let mut response = response(StatusCode::OK, String::new());
    let headers = response.headers_mut();
    headers.insert(header::REFRESH, HeaderValue::from_static("0"));
    headers.extend(dbsc.clear_marker(is_localhost).map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

/// Returns where the request itself went, on this host. A path that begins with two slashes would be another host's name.
fn place_of(uri: &Uri) -> Option<HeaderValue> {
    let place = uri.path_and_query()?.as_str();
    let is_of_this_host = place.starts_with('/') && !place[1..].starts_with(['/', '\\']);
    is_of_this_host.then(|| HeaderValue::try_from(place).ok()).flatten()
}

/// Returns the answer that lets a browser renew and then send the same request again, with its body.
fn repeat(again: HeaderValue, dbsc: &Switched, is_localhost: bool) -> Response<String> {
    let mut response = response(StatusCode::TEMPORARY_REDIRECT, String::new());
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, again);
    headers.extend(dbsc.clear_marker(is_localhost).map(|cookie| (header::SET_COOKIE, cookie)));
    response
}
