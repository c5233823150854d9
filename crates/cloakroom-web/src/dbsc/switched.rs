use std::sync::Arc;

use cloakroom::BindingTerms;
use cloakroom::device::{
    BoundCookie, BoundSessionId, Challenge, EndpointPath, Instructions, challenge_header, registration_header,
};
use http::{HeaderName, HeaderValue};
use time::Duration;
use uuid::Uuid;

use super::settings::{Dbsc, without_query};
use crate::cookie::CookieConfig;

pub(super) const REGISTRATION: HeaderName = HeaderName::from_static("secure-session-registration");
pub(super) const CHALLENGE: HeaderName = HeaderName::from_static("secure-session-challenge");
pub(super) const RESPONSE: HeaderName = HeaderName::from_static("secure-session-response");
pub(super) const SKIPPED: HeaderName = HeaderName::from_static("secure-session-skipped");
pub(super) const ID: HeaderName = HeaderName::from_static("sec-secure-session-id");

/// What the bound cookie holds. It is no secret: the token is.
const MARK: &str = "1";

/// The settings of a layer that binds sessions, with what follows from its cookie.
#[derive(Clone, Debug)]
pub(crate) struct Switched(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dbsc: Dbsc,
    /// The cookie that is bound.
    marker: CookieConfig,
    cookie: BoundCookie,
}

impl Switched {
    /// # Panics
    ///
    /// Never: the name and the attributes are those of a cookie that was checked.
    pub(crate) fn new(dbsc: Dbsc, cookie: &CookieConfig) -> Self {
        let marker = cookie.bound();
        let cookie = BoundCookie::new(marker.name(), &marker.attributes());
        let cookie = cookie.unwrap_or_else(|_| unreachable!("the session's cookie has the same attributes"));
        Self(Arc::new(Inner { dbsc, marker, cookie }))
    }

    pub(super) fn terms(&self) -> &BindingTerms {
        &self.0.dbsc.terms
    }

    pub(super) fn register_at(&self) -> &str {
        without_query(self.0.dbsc.register_at.as_str())
    }

    pub(super) fn renew_at(&self) -> &str {
        without_query(self.0.dbsc.renew_at.as_str())
    }

    /// Returns the name of the cookie that is bound. Browsers bind none on a host without TLS.
    pub(super) fn marker_name(&self) -> &str {
        self.0.marker.name()
    }

    pub(super) fn set_marker(&self, max_age: Duration) -> Option<HeaderValue> {
        self.0.marker.set(MARK, Some(max_age.max(Duration::SECOND)), false)
    }

    pub(crate) fn clear_marker(&self, is_localhost: bool) -> Option<HeaderValue> {
        self.0.marker.clear(is_localhost)
    }

    /// Returns the header that asks the browser to register a key.
    pub(super) fn registration(&self, challenge: &Challenge) -> Option<HeaderValue> {
        HeaderValue::try_from(registration_header(&self.0.dbsc.register_at, challenge)).ok()
    }

    /// Returns the JSON that answers a registration.
    pub(super) fn instructions(&self, session: Uuid) -> Result<String, serde_json::Error> {
        let renew_at: &EndpointPath = &self.0.dbsc.renew_at;
        let instructions = Instructions::new(session.into(), renew_at.clone(), self.0.cookie.clone());
        serde_json::to_string(&instructions)
    }
}

/// Returns the header that gives the browser its next challenge.
pub(super) fn next_challenge(challenge: &Challenge, session: Uuid) -> Option<HeaderValue> {
    HeaderValue::try_from(challenge_header(challenge, &BoundSessionId::from(session))).ok()
}
