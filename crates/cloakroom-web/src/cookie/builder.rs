use std::borrow::Cow;
use std::fmt;

use http::HeaderName;

use super::config::{CookieConfig, HOST_PREFIX, LONGEST_ATTRIBUTE, SameSite, has_prefix, without_prefix};
use super::header::is_cookie_value;

impl CookieConfig {
    /// Returns a builder with the defaults.
    pub fn builder() -> CookieConfigBuilder {
        CookieConfigBuilder::default()
    }
}

/// Builds a [`CookieConfig`]. Every setter is optional.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CookieConfigBuilder {
    config: CookieConfig,
}

impl CookieConfigBuilder {
    /// Sets the cookie's name. Default `__Host-Http-session`.
    ///
    /// By the name's prefix browsers refuse a cookie that another host or a script plants:
    ///
    /// | prefix | the cookie was set | enforced by |
    /// |---|---|---|
    /// | `__Host-` | by this host itself, over TLS | all browsers of today |
    /// | `__Host-Http-` | and by a response, never by a script | newer versions of Chromium; other browsers see `__Host-` |
    /// | `__Secure-` | by this host or a sibling, over TLS | all browsers of today |
    /// | `__Http-` | by a response, over TLS | newer versions of Chromium |
    /// | none | by anyone who can reach this host or a sibling's | |
    ///
    /// Changing the name logs out every user, because browsers go on sending the old cookie. Two layers that use
    /// cookies need two names: see [`SessionLayer`](crate::SessionLayer), "Several tables".
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.config.name = name.into();
        self
    }

    /// Sets which requests from other sites carry the cookie. Default [`SameSite::Lax`].
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.config.same_site = same_site;
        self
    }

    /// Shares the cookie with every subdomain of `domain`. By default only this host gets it. A domain needs a name
    /// without `__Host-`; use `__Secure-`.
    ///
    /// Every host of the domain then reads the cookie, and may plant another of the same name. A browser that had the
    /// cookie before this was switched on sends both for a while; [`CurrentSession`](crate::CurrentSession) says what
    /// happens then.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.config.domain = Some(domain.into());
        self
    }

    /// Sets the path under which the cookie is sent. Default `/`. Another path needs a name without `__Host-`.
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.config.path = path.into();
        self
    }

    /// Lets requests to `localhost`, `127.0.0.1` and `[::1]` use a cookie without `Secure`, `Domain` and the name's
    /// prefix, for development over plain http. Default `false`.
    ///
    /// A request counts as such a request if
    ///
    /// 1. the host that it names is one of the three;
    /// 2. it has no header that proxies add (`Forwarded`, `Via`, `X-Forwarded-*`, `X-Real-IP`);
    /// 3. its `Origin`, if it has one, names such a host too, or is `null`;
    /// 4. its connection comes from a loopback address, if that is known: always in actix-web, and in axum if
    ///    requests have the extension `ConnectInfo<SocketAddr>`, as with `into_make_service_with_connect_info`.
    ///
    /// Every other request has the cookie as it is otherwise configured. The client itself decides the first three, and
    /// a request through a proxy on the same machine that rewrites `Host` and adds no header meets all four. So turn
    /// this on for development only. Chromium and Firefox do not need it, because they keep `Secure` cookies of
    /// `http://localhost`.
    pub fn insecure_on_localhost(mut self, insecure: bool) -> Self {
        self.config.insecure_on_localhost = insecure;
        self
    }

    /// Lets a browser forget the cookie when it is closed, unless the session has a life of its own. Default `false`.
    ///
    /// This is for a box "remember me" on the log-in page. Without it a session is made as configured, and its cookie has no
    /// `Max-Age`; with it the session is made with [`NewSession::sliding`](cloakroom::NewSession::sliding) (or
    /// [`expires_in`](cloakroom::NewSession::expires_in)), and its cookie stays:
    ///
    /// ```
    /// # use cloakroom::{NewSession, SessionFields};
    /// # use std::time::Duration;
    /// # fn example<T: SessionFields>(new: NewSession<T>, remember: bool) -> NewSession<T> {
    /// if remember { new.sliding(Duration::from_hours(24 * 30)) } else { new }
    /// # }
    /// ```
    ///
    /// The row keeps which of the two it is, so a cookie that is sent again is of the same kind. A browser that restores its
    /// windows may keep such cookies too ([RFC 6265bis, section 5.7](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#name-storage-model)
    /// leaves to it what a session is), so set a short [`ttl`](cloakroom::ConfigBuilder::ttl) as well.
    pub fn ends_with_browser(mut self, ends: bool) -> Self {
        self.config.ends_with_browser = ends;
        self
    }

    /// Checks the settings and returns the configuration.
    ///
    /// # Errors
    ///
    /// If the name, the path or the domain cannot stand in a cookie, or if browsers would refuse a cookie of this name
    /// with these attributes.
    pub fn build(self) -> Result<CookieConfig, CookieConfigError> {
        let config = self.config;
        let bare_name = without_prefix(&config.name);
        // A cookie's name and a header's name are made of the same characters.
        if HeaderName::from_bytes(bare_name.as_bytes()).is_err() {
            return Err(CookieConfigError::Name);
        }
        let is_attribute =
            |value: &str| value.len() <= LONGEST_ATTRIBUTE && is_cookie_value(value.as_bytes());
        if !config.path.starts_with('/') || !is_attribute(&config.path) {
            return Err(CookieConfigError::Path);
        }
        if config.domain.as_deref().is_some_and(|domain| domain.is_empty() || !is_attribute(domain)) {
            return Err(CookieConfigError::Domain);
        }
        let is_host_only = config.domain.is_none() && config.path == "/";
        if has_prefix(&config.name, HOST_PREFIX) && !is_host_only {
            return Err(CookieConfigError::HostPrefix);
        }
        Ok(config)
    }
}

/// Why a cookie's settings are invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieConfigError {
    /// The name is empty, or has a character that a cookie's name may not have.
    Name,
    /// The path does not begin with a slash, has a character that an attribute may not have, or is longer than 1024
    /// bytes.
    Path,
    /// The domain is empty, has a character that an attribute may not have, or is longer than 1024 bytes.
    Domain,
    /// The name begins with `__Host-`, but a domain or a path is set: browsers refuse such a cookie.
    HostPrefix,
}

impl fmt::Display for CookieConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the cookie's name must be of letters, digits and the likes of `-` and `_`",
            Self::Path => "the cookie's path must begin with `/` and be at most 1024 characters of visible ASCII",
            Self::Domain => "the cookie's domain must be at most 1024 characters of visible ASCII",
            Self::HostPrefix => {
                "a cookie whose name begins with `__Host-` can have neither a domain nor a path: name it differently"
            }
        })
    }
}

impl std::error::Error for CookieConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_from_other_sites_carry_the_cookie_as_it_was_set() {
        let same_site = |builder: CookieConfigBuilder| builder.build().unwrap().same_site;
        assert!(matches!(same_site(CookieConfig::builder()), SameSite::Lax));
        let builder = CookieConfig::builder().name("__Secure-a").same_site(SameSite::Strict);
        assert!(matches!(same_site(builder.clone()), SameSite::Strict));
        // The other settings stay.
        assert_eq!(builder.build().unwrap().name, "__Secure-a");
    }

    #[test]
    fn each_error_names_the_setting() {
        for (error, part) in [
            (CookieConfigError::Name, "the cookie's name"),
            (CookieConfigError::Path, "the cookie's path"),
            (CookieConfigError::Domain, "the cookie's domain"),
            (CookieConfigError::HostPrefix, "`__Host-`"),
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn a_cookie_that_browsers_would_refuse_cannot_be_configured() {
        let build = CookieConfig::builder;
        for name in ["", "__Host-", "__Secure-", "__Host-Http-", "__http-", "a b", "a;b", "a=b", "é"] {
            assert_eq!(build().name(name).build().unwrap_err(), CookieConfigError::Name, "{name}");
        }
        for name in ["__Host-a", "__host-a", "__Host-Http-a", "__HOST-HTTP-a"] {
            assert_eq!(build().name(name).path("/a").build().unwrap_err(), CookieConfigError::HostPrefix);
            assert_eq!(build().name(name).domain("a.b").build().unwrap_err(), CookieConfigError::HostPrefix);
        }
        let long = format!("/{}", "a".repeat(1024));
        for path in ["", "a", "/; Domain=a.b", "/é", &long] {
            assert_eq!(
                build().name("a").path(path.to_owned()).build().unwrap_err(),
                CookieConfigError::Path,
                "{path}"
            );
        }
        for domain in ["", "a.b; Path=/", "a b", &long] {
            assert_eq!(build().name("a").domain(domain).build().unwrap_err(), CookieConfigError::Domain);
        }
        for name in ["__Secure-a", "__Http-a", "a"] {
            assert!(build().name(name).domain("example.com").path("/app").build().is_ok());
        }
        assert!(build().name("a").path(long[..1024].to_owned()).build().is_ok());
    }
}
