use std::borrow::Cow;
use std::fmt;

use cookie::{Cookie, SameSite as CookieSameSite};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use time::Duration;

use crate::source::is_cookie_value;

const HOST_PREFIX: &str = "__Host-";
const SECURE_PREFIX: &str = "__Secure-";

/// Browsers keep no cookie for longer; one without an end would go when the browser is closed.
const LONGEST: Duration = Duration::days(400);

/// What a proxy adds to what it passes on.
const ADDED_BY_PROXIES: [&str; 8] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
];

/// The session cookie: its name and attributes.
///
/// The default is `__Host-session; Secure; HttpOnly; SameSite=Lax; Path=/` without `Domain`: sent over TLS
/// only, hidden from scripts, kept to the one host, and not sent with other sites' posts. `Max-Age` follows
/// the session's expiry. `HttpOnly` cannot be turned off; `Secure` only as
/// [`insecure_on_localhost`](CookieConfigBuilder::insecure_on_localhost) says.
///
/// | setting | default |
/// |---|---|
/// | [`name`](CookieConfigBuilder::name) | `__Host-session` |
/// | [`same_site`](CookieConfigBuilder::same_site) | [`SameSite::Lax`] |
/// | [`domain`](CookieConfigBuilder::domain) | none |
/// | [`path`](CookieConfigBuilder::path) | `/` |
/// | [`insecure_on_localhost`](CookieConfigBuilder::insecure_on_localhost) | no |
#[derive(Clone, Debug)]
pub struct CookieConfig {
    name: Cow<'static, str>,
    same_site: SameSite,
    domain: Option<String>,
    path: Cow<'static, str>,
    insecure_on_localhost: bool,
}

/// Whether a browser sends the cookie with requests that come from other sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Never, not even when a link is followed.
    Strict,
    /// Only when a link is followed.
    #[default]
    Lax,
    /// Always. Then every form needs a defence of its own against forged requests.
    None,
}

impl CookieConfig {
    /// The defaults, to be changed one by one.
    pub fn builder() -> CookieConfigBuilder {
        CookieConfigBuilder::default()
    }

    /// The cookie's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the cookie of this request is the one for development on localhost.
    pub(crate) fn is_for_localhost(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        self.insecure_on_localhost && is_local(uri, headers)
    }

    /// The name on localhost has no prefix, for which browsers want `Secure`.
    pub(crate) fn name_for(&self, localhost: bool) -> &str {
        if localhost { without_prefix(&self.name) } else { &self.name }
    }

    /// `Set-Cookie` with this token, for as long as the session lives; `None` where no cookie can hold it.
    pub(crate) fn set(&self, token: &str, life: Option<Duration>, localhost: bool) -> Option<HeaderValue> {
        if !is_cookie_value(token.as_bytes()) {
            return None;
        }
        let life = life.unwrap_or(LONGEST).clamp(Duration::ZERO, LONGEST);
        self.header(token, Duration::seconds(life.whole_seconds()), localhost)
    }

    /// `Set-Cookie` that makes the browser forget.
    pub(crate) fn clear(&self, localhost: bool) -> Option<HeaderValue> {
        self.header("", Duration::ZERO, localhost)
    }

    fn header(&self, value: &str, max_age: Duration, localhost: bool) -> Option<HeaderValue> {
        let same_site = match self.same_site {
            SameSite::Strict => CookieSameSite::Strict,
            // Browsers refuse it without `Secure`.
            SameSite::None if !localhost => CookieSameSite::None,
            SameSite::Lax | SameSite::None => CookieSameSite::Lax,
        };
        let mut cookie = Cookie::build((self.name_for(localhost), value))
            .path(&*self.path)
            .http_only(true)
            .same_site(same_site)
            .max_age(max_age);
        if !localhost {
            cookie = cookie.secure(true);
            if let Some(domain) = &self.domain {
                cookie = cookie.domain(domain);
            }
        }
        let mut header = HeaderValue::try_from(cookie.to_string()).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self {
            name: Cow::Borrowed("__Host-session"),
            same_site: SameSite::default(),
            domain: None,
            path: Cow::Borrowed("/"),
            insecure_on_localhost: false,
        }
    }
}

/// Builds a [`CookieConfig`]. Every setter may be left out.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CookieConfigBuilder {
    config: CookieConfig,
}

impl CookieConfigBuilder {
    /// The cookie's name. Default `__Host-session`.
    ///
    /// The prefix `__Host-` has browsers refuse the cookie from anywhere but this host itself, over TLS;
    /// without it, a subdomain may plant one. Two layers that use cookies need two names.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.config.name = name.into();
        self
    }

    /// Whether other sites' requests carry the cookie. Default [`SameSite::Lax`].
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.config.same_site = same_site;
        self
    }

    /// Shares the cookie with every subdomain of `domain`. Needs a name without `__Host-`; take `__Secure-`.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.config.domain = Some(domain.into());
        self
    }

    /// The path under which the cookie is sent. Default `/`; another needs a name without `__Host-`.
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.config.path = path.into();
        self
    }

    /// For development over plain http: whether requests to `localhost`, `127.0.0.1` and `[::1]` use a cookie
    /// without `Secure`, `Domain` and the name's prefix. Default no.
    ///
    /// Every other request has the cookie as it is otherwise configured, so that a setting left on by
    /// accident changes nothing for any other host: what decides is the host that the request itself
    /// names. A proxy may rewrite that one; so a request is for another host too when it has a header that
    /// proxies add (`Forwarded`, `Via`, `X-Forwarded-*`, `X-Real-IP`), or when the browser says in `Origin`
    /// that it is on another host.
    pub fn insecure_on_localhost(mut self, insecure: bool) -> Self {
        self.config.insecure_on_localhost = insecure;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// Where the name, the path or the domain cannot stand in a cookie, or where browsers would refuse a
    /// cookie of this name with these attributes.
    pub fn build(self) -> Result<CookieConfig, CookieConfigError> {
        let config = self.config;
        let bare_name = without_prefix(&config.name);
        // A cookie's name and a header's are made of the same characters.
        if HeaderName::from_bytes(bare_name.as_bytes()).is_err() {
            return Err(CookieConfigError::Name);
        }
        let is_attribute = |value: &str| is_cookie_value(value.as_bytes());
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

/// Why a cookie cannot be as it was configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieConfigError {
    /// The name is empty, or has a character that no cookie's name may have.
    Name,
    /// The path does not begin with a slash, or has a character that no attribute may have.
    Path,
    /// The domain is empty, or has a character that no attribute may have.
    Domain,
    /// The name begins with `__Host-`, and there is a domain or a path: browsers refuse such a cookie.
    HostPrefix,
}

impl fmt::Display for CookieConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the cookie's name must be of letters, digits and the likes of `-` and `_`",
            Self::Path => "the cookie's path must begin with `/` and be of visible ASCII",
            Self::Domain => "the cookie's domain must be of visible ASCII",
            Self::HostPrefix => {
                "a cookie whose name begins with `__Host-` can have neither a domain nor a path: name it differently"
            }
        })
    }
}

impl std::error::Error for CookieConfigError {}

/// Browsers look at prefixes without regard to case.
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn without_prefix(name: &str) -> &str {
    let prefix = [HOST_PREFIX, SECURE_PREFIX].into_iter().find(|prefix| has_prefix(name, prefix));
    prefix.map_or(name, |prefix| &name[prefix.len()..])
}

fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    let is_proxied = ADDED_BY_PROXIES.iter().any(|name| headers.contains_key(*name));
    let named = uri.authority().map(|authority| is_local_host(authority.host()));
    let mut hosts = headers.get_all(header::HOST).iter().map(|value| {
        let authority = value.to_str().ok().and_then(|value| value.parse::<Authority>().ok());
        authority.is_some_and(|authority| is_local_host(authority.host()))
    });
    let is_named = named.is_some() || headers.contains_key(header::HOST);
    // `null` tells nothing: a page without referrers posts its forms with it.
    let is_at_home = headers.get_all(header::ORIGIN).iter().all(|origin| {
        origin == "null"
            || origin
                .to_str()
                .ok()
                .and_then(|origin| origin.parse::<Uri>().ok())
                .is_some_and(|origin| origin.host().is_some_and(is_local_host))
    });
    !is_proxied && is_named && named.unwrap_or(true) && hosts.all(|is_local| is_local) && is_at_home
}

fn is_local_host(host: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|local| host.eq_ignore_ascii_case(local))
}

/// Keeps the response out of every cache, unless the application has.
pub(crate) fn keep_out_of_caches(headers: &mut HeaderMap) {
    let is_kept_out = headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
        value.to_str().is_ok_and(|value| {
            value.split(',').any(|directive| directive.trim().eq_ignore_ascii_case("no-store"))
        })
    });
    if !is_kept_out {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(uri: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let config = CookieConfig::builder().insecure_on_localhost(true).build().unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        config.is_for_localhost(&uri.parse().unwrap(), &headers.collect())
    }

    #[test]
    fn only_a_request_that_names_this_machine_is_for_localhost() {
        for host in ["localhost", "LocalHost:3000", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:3000"] {
            assert!(local("/", &[("host", host)]), "{host}");
        }
        for host in [
            "example.com",
            "localhost.example.com",
            "example.com:80",
            "127.0.0.2",
            "[::2]",
            "",
            "a b",
            "notlocalhost",
        ] {
            assert!(!local("/", &[("host", host)]), "{host}");
        }
        assert!(!local("/", &[]));
        assert!(local("http://localhost:3000/", &[]));
        assert!(!local("http://example.com/", &[("host", "localhost")]));
        assert!(!local("/", &[("host", "localhost"), ("host", "example.com")]));
    }

    #[test]
    fn a_request_that_came_through_a_proxy_is_for_another_host() {
        for name in ADDED_BY_PROXIES {
            assert!(!local("/", &[("host", "localhost"), (name, "localhost")]), "{name}");
        }
    }

    #[test]
    fn a_browser_that_is_on_another_host_is_believed() {
        for origin in ["https://example.com", "http://localhost.example.com", "?"] {
            assert!(!local("/", &[("host", "localhost:3000"), ("origin", origin)]), "{origin}");
        }
        for origin in ["http://localhost:3000", "http://[::1]", "null"] {
            assert!(local("/", &[("host", "localhost:3000"), ("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn without_the_setting_nothing_is_for_localhost() {
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))]);
        assert!(!CookieConfig::default().is_for_localhost(&Uri::from_static("/"), &headers));
    }

    #[test]
    fn a_cookie_that_browsers_would_refuse_cannot_be_configured() {
        let build = CookieConfig::builder;
        for name in ["", "__Host-", "__Secure-", "a b", "a;b", "a=b", "é"] {
            assert_eq!(build().name(name).build().unwrap_err(), CookieConfigError::Name, "{name}");
        }
        for name in ["__Host-a", "__host-a"] {
            assert_eq!(build().name(name).path("/a").build().unwrap_err(), CookieConfigError::HostPrefix);
            assert_eq!(build().name(name).domain("a.b").build().unwrap_err(), CookieConfigError::HostPrefix);
        }
        for path in ["", "a", "/; Domain=a.b", "/é"] {
            assert_eq!(build().name("a").path(path).build().unwrap_err(), CookieConfigError::Path, "{path}");
        }
        for domain in ["", "a.b; Path=/", "a b"] {
            assert_eq!(build().name("a").domain(domain).build().unwrap_err(), CookieConfigError::Domain);
        }
        assert!(build().name("__Secure-a").domain("example.com").path("/app").build().is_ok());
    }

    #[test]
    fn a_token_that_no_cookie_can_hold_is_not_put_into_one() {
        for token in ["a; Domain=example.com", "a b", "a\"", "a\r\nb", "é"] {
            assert!(CookieConfig::default().set(token, None, false).is_none(), "{token:?}");
        }
    }

    #[test]
    fn the_header_is_marked_as_sensitive() {
        let header = CookieConfig::default().set("a-token", None, false).unwrap();
        assert_eq!(format!("{header:?}"), "Sensitive");
    }

    #[test]
    fn what_the_application_says_to_caches_is_only_made_stricter() {
        for (said, kept) in [
            (None, "no-store"),
            (Some("public, max-age=60"), "no-store"),
            (Some("private"), "no-store"),
            (Some("private, No-Store"), "private, No-Store"),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(said.map(|said| (header::CACHE_CONTROL, HeaderValue::from_static(said))));
            keep_out_of_caches(&mut headers);
            let values: Vec<_> = headers.get_all(header::CACHE_CONTROL).iter().collect();
            assert_eq!(values, [kept]);
        }
    }
}
