//! How sessions are bound.

use std::fmt;
use std::time::Duration;

use cloakroom::BindingTerms;
use cloakroom::device::{EndpointPath, ParseEndpointPathError};

/// The shortest time of a bound cookie. A browser signs six times in nine minutes for a site, and no more.
const SHORTEST: Duration = Duration::from_mins(9);

/// How sessions are bound to the browser's device: the settings of [Device Bound Session
/// Credentials](https://w3c.github.io/webappsec-dbsc/), for [`SessionLayer::dbsc`](crate::SessionLayer::dbsc).
///
/// After a log-in the browser makes a pair of keys for the session, and the private half never leaves the device. The public
/// half goes into the session's row. From then on the session's token is good for ten minutes, and the browser gets the
/// next one only against a signature. A cookie that was copied is worth nothing after that, and neither is a copy of the
/// database. A browser that does not speak it goes on as before. `docs/device-binding.md` in the repository has a picture of
/// it, and says what it protects against and what not.
///
/// | setting | default |
/// |---|---|
/// | [`register_at`](DbscBuilder::register_at) | `/dbsc/register` |
/// | [`renew_at`](DbscBuilder::renew_at) | `/dbsc/refresh` |
/// | [`token_ttl`](DbscBuilder::token_ttl) | 10 minutes |
/// | [`grace`](DbscBuilder::grace) | 30 seconds |
///
/// # The cookies
///
/// The session's cookie stays the one that the [layer](crate::SessionLayer) sets, with the same name and `Max-Age`: a renewal has
/// to come with a token, and a browser does not send a cookie that has ended. Its *token* is what ends after ten minutes, on
/// the server. Beside it stands a cookie without a secret, `__Host-session-bound`, with a `Max-Age` of ten minutes: this
/// is the one that is bound. When it is missing, the browser renews before it sends anything else. It has the session
/// cookie's name without its prefix, and `-bound`, since Chromium binds no cookie whose name begins with `__Host-Http-`.
///
/// # Links from other sites
///
/// A browser does not renew before a link that is on another site's page, and the request comes without the bound cookie. It
/// has the session's cookie, if that is `SameSite=Lax` as by default. If its token is past its time, the layer answers with an
/// empty page and `Refresh: 0`: the browser asks for the same place once more, now as the site's own page, renews first, and
/// the user is logged in. The list `allowed_refresh_initiators` of the protocol is not used. With it Chromium 156 renews, but
/// sends no cookie that is `SameSite=Lax` with that renewal, so that the renewal could not tell which session is meant.
///
/// # Order of layers
///
/// The layer answers both paths itself. It must be the **outermost** layer, and not be within a nested router. What stands
/// before it must not answer these paths: a rate limit's 429 or an error page ends the bound session, and its user is logged
/// out, while 503 is waited for. A browser that could not renew says so in its next requests (`Secure-Session-Skipped`), and
/// the layer reports that to `tracing` as a warning.
#[derive(Clone, Debug)]
pub struct Dbsc {
    pub(super) register_at: EndpointPath,
    pub(super) renew_at: EndpointPath,
    pub(super) terms: BindingTerms,
}

impl Dbsc {
    /// Begins with the default settings.
    pub fn builder() -> DbscBuilder {
        DbscBuilder {
            register_at: "/dbsc/register".to_owned(),
            renew_at: "/dbsc/refresh".to_owned(),
            terms: BindingTerms::new(),
            is_for_tests: false,
        }
    }
}

impl Default for Dbsc {
    fn default() -> Self {
        const REGISTER_AT: EndpointPath = EndpointPath::from_static("/dbsc/register");
        const RENEW_AT: EndpointPath = EndpointPath::from_static("/dbsc/refresh");
        Self { register_at: REGISTER_AT, renew_at: RENEW_AT, terms: BindingTerms::new() }
    }
}

/// Builds a [`Dbsc`].
#[derive(Clone, Debug)]
#[must_use]
pub struct DbscBuilder {
    register_at: String,
    renew_at: String,
    terms: BindingTerms,
    is_for_tests: bool,
}

impl DbscBuilder {
    /// Sets the path at which a browser registers its key. Default `/dbsc/register`.
    pub fn register_at(self, path: impl Into<String>) -> Self {
        Self { register_at: path.into(), ..self }
    }

    /// Sets the path at which a browser renews its session. Default `/dbsc/refresh`. It is stored in the browser with the
    /// session: keep answering at a path that was used before, until those sessions have ended.
    pub fn renew_at(self, path: impl Into<String>) -> Self {
        Self { renew_at: path.into(), ..self }
    }

    /// Sets for how long a token of a bound session is good, which is also the `Max-Age` of the bound cookie. Default 10
    /// minutes, at least 9.
    ///
    /// A browser renews in the last two minutes of the cookie, beside other requests, and otherwise before the next request.
    /// It signs six times in nine minutes for a site. A shorter time uses that up, and then the requests go without the
    /// cookie. Since the clocks of machines differ, a token is accepted for 3 minutes longer.
    pub fn token_ttl(self, span: Duration) -> Self {
        Self { terms: self.terms.token_ttl(span), ..self }
    }

    /// Does the same without a lower bound, for tests with a browser whose quota was lifted, and for no other use.
    pub fn token_ttl_for_tests(self, span: Duration) -> Self {
        Self { is_for_tests: true, ..self.token_ttl(span) }
    }

    /// Sets for how long a token is good after a renewal has replaced it, for requests that are under way. Default 30
    /// seconds.
    pub fn grace(self, span: Duration) -> Self {
        Self { terms: self.terms.grace(span), ..self }
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// If a path is none, if both paths are one, or if the time is too short.
    pub fn build(self) -> Result<Dbsc, DbscError> {
        let path = |path: &str| path.parse().map_err(DbscError::Path);
        if without_query(&self.register_at) == without_query(&self.renew_at) {
            return Err(DbscError::SamePath);
        }
        if self.terms.of_token() < SHORTEST && !self.is_for_tests {
            return Err(DbscError::TooShort);
        }
        Ok(Dbsc { register_at: path(&self.register_at)?, renew_at: path(&self.renew_at)?, terms: self.terms })
    }
}

/// Which settings of a [`Dbsc`] are invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DbscError {
    /// A path is not one of an endpoint.
    Path(ParseEndpointPathError),
    /// Registrations and renewals have one path.
    SamePath,
    /// A token is to be good for less than nine minutes.
    TooShort,
}

impl fmt::Display for DbscError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(error) => error.fmt(f),
            Self::SamePath => f.write_str("registrations and renewals need two paths"),
            Self::TooShort => f.write_str(
                "a bound cookie of less than 9 minutes uses up the browser's signatures: it signs six times in that time",
            ),
        }
    }
}

impl std::error::Error for DbscError {}

pub(super) fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_would_log_users_out_are_refused() {
        let minutes =
            |minutes: f64| Dbsc::builder().token_ttl(Duration::from_secs_f64(minutes * 60.0)).build();
        assert!(minutes(10.0).is_ok() && minutes(9.0).is_ok());
        assert_eq!(minutes(8.9).unwrap_err(), DbscError::TooShort);
        assert!(Dbsc::builder().token_ttl_for_tests(Duration::from_secs(5)).build().is_ok());
        for path in ["", "dbsc", "//example.com/", "/a b", "https://example.com/"] {
            let built = [Dbsc::builder().register_at(path), Dbsc::builder().renew_at(path)];
            for built in built {
                assert!(matches!(built.build().unwrap_err(), DbscError::Path(_)), "{path}");
            }
        }
        assert_eq!(Dbsc::builder().renew_at("/dbsc/register").build().unwrap_err(), DbscError::SamePath);
    }
}
