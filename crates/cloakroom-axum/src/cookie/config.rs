use std::borrow::Cow;
use std::fmt;

use cookie::{Cookie, SameSite as CookieSameSite};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Uri, header};
use time::Duration;

use crate::localhost::is_local;
use crate::source::is_cookie_value;

const DEFAULT_NAME: &str = "__Host-Http-session";

const HOST_PREFIX: &str = "__Host-";

/// The prefixes that browsers know. If one begins with another, the longer one comes first.
const PREFIXES: [&str; 4] = ["__Host-Http-", HOST_PREFIX, "__Http-", "__Secure-"];

/// Browsers refuse a cookie if its name and value together are longer than this:
/// [RFC 6265bis](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#name-storage-model).
pub(crate) const LONGEST_COOKIE: usize = 4096;

/// Browsers ignore an attribute that is longer than this.
const LONGEST_ATTRIBUTE: usize = 1024;

/// For how many paths a response clears a cookie at most, so that its head stays small.
const CLEARED_PATHS: usize = 16;

/// The session cookie: its name and attributes.
///
/// The default is `__Host-Http-session; Secure; HttpOnly; SameSite=Lax; Path=/` without `Domain`. Browsers send such a
/// cookie over TLS only, hide it from scripts, keep it to one host, and leave it out of posts from other sites.
/// `HttpOnly` cannot be turned off. `Secure` can be turned off only by
/// [`insecure_on_localhost`](CookieConfigBuilder::insecure_on_localhost).
///
/// | setting | default |
/// |---|---|
/// | [`name`](CookieConfigBuilder::name) | `__Host-Http-session` |
/// | [`same_site`](CookieConfigBuilder::same_site) | [`SameSite::Lax`] |
/// | [`domain`](CookieConfigBuilder::domain) | none |
/// | [`path`](CookieConfigBuilder::path) | `/` |
/// | [`insecure_on_localhost`](CookieConfigBuilder::insecure_on_localhost) | no |
///
/// # How long a browser keeps it
///
/// If [`max_lifetime`](cloakroom::ConfigBuilder::max_lifetime) is set, `Max-Age` leads to the end of the session's
/// absolute lifetime. Otherwise it is 400 days, the most that browsers allow. It does not lead to the session's expiry,
/// because the expiry moves: any use of the session extends it, such as another layer, a WebSocket, or a fetch by the
/// server itself, and the browser does not learn of that. A cookie that ended with an earlier expiry would log out a
/// user who comes every day. So the server alone decides when a session is over, and the first request that then asks
/// for the session clears the cookie.
///
/// This costs little. The token of a session that has ended is worth nothing, so a cookie that outlives its session
/// reveals only that there was one. If the cookie must not stay for so long, set `max_lifetime`: it ends the session
/// and its cookie alike. The cookie is sent again when a request extends the session. If the session may live for more
/// than 400 days, the cookie is also sent again on two days of each hundred, so that it does not end while only other
/// uses extend the session.
#[derive(Clone, Debug)]
pub struct CookieConfig {
    name: Cow<'static, str>,
    same_site: SameSite,
    domain: Option<String>,
    path: Cow<'static, str>,
    insecure_on_localhost: bool,
}

/// Which requests from other sites a browser sends the cookie with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Never, not even when a link is followed.
    Strict,
    /// Only when a link is followed.
    #[default]
    Lax,
    /// Always. Every form then needs its own defence against forged requests.
    None,
}

impl CookieConfig {
    /// Returns a builder with the defaults.
    pub fn builder() -> CookieConfigBuilder {
        CookieConfigBuilder::default()
    }

    /// Returns the cookie's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns `true` if the cookie of this request is the one for development on localhost.
    pub(crate) fn is_for_localhost(&self, uri: &Uri, headers: &HeaderMap, extensions: &Extensions) -> bool {
        self.insecure_on_localhost && is_local(uri, headers, extensions)
    }

    /// On localhost the name has no prefix, because browsers demand `Secure` for a prefix.
    pub(crate) fn name_for(&self, localhost: bool) -> &str {
        if localhost { without_prefix(&self.name) } else { &self.name }
    }

    /// Returns `true` if browsers would keep a cookie with this token.
    pub(crate) fn fits(&self, token: &str, localhost: bool) -> bool {
        is_cookie_value(token.as_bytes()) && self.name_for(localhost).len() + token.len() <= LONGEST_COOKIE
    }

    /// Returns `Set-Cookie` with this token; `None` if no cookie can hold it.
    pub(crate) fn set(&self, token: &str, max_age: Duration, localhost: bool) -> Option<HeaderValue> {
        if !self.fits(token, localhost) {
            return None;
        }
        self.header(token, Duration::seconds(max_age.whole_seconds()), localhost)
    }

    /// Returns `Set-Cookie` that makes the browser forget the cookie.
    pub(crate) fn clear(&self, localhost: bool) -> Option<HeaderValue> {
        self.header("", Duration::ZERO, localhost)
    }

    /// Clears the cookie of this name that has neither a domain nor a path of its own, if the configured cookie differs
    /// from that.
    pub(crate) fn clear_host_only(&self, localhost: bool) -> Option<HeaderValue> {
        let is_same = self.path == "/" && (localhost || self.domain.is_none());
        let host_only = || Self { domain: None, path: Cow::Borrowed("/"), ..self.clone() };
        (!is_same).then(|| host_only().clear(localhost)).flatten()
    }

    /// Clears every cookie of this name that a browser may send with a request for `path`: for each path above it, the
    /// cookie of this host and the shared one. Empty if browsers keep only one cookie of this name.
    pub(crate) fn clear_above(&self, path: &str, localhost: bool) -> Vec<HeaderValue> {
        if has_prefix(self.name_for(localhost), HOST_PREFIX) {
            return Vec::new();
        }
        let shared = self.domain.clone().filter(|_| !localhost);
        let domains = [Some(None), shared.map(Some)];
        let forms = paths_above(path).into_iter().flat_map(|path| {
            domains.clone().into_iter().flatten().map(move |domain| (path.to_owned(), domain))
        });
        forms
            .filter_map(|(path, domain)| {
                Self { path: Cow::Owned(path), domain, ..self.clone() }.clear(localhost)
            })
            .collect()
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
            name: Cow::Borrowed(DEFAULT_NAME),
            same_site: SameSite::default(),
            domain: None,
            path: Cow::Borrowed("/"),
            insecure_on_localhost: false,
        }
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
    /// 4. its connection comes from a loopback address, if that is known: if requests have the extension
    ///    `ConnectInfo<SocketAddr>`, as with
    ///    [`into_make_service_with_connect_info`](axum::Router::into_make_service_with_connect_info).
    ///
    /// Every other request has the cookie as it is otherwise configured. The client itself decides the first three, and
    /// a request through a proxy on the same machine that rewrites `Host` and adds no header meets all four. So turn
    /// this on for development only. Chromium and Firefox do not need it, because they keep `Secure` cookies of
    /// `http://localhost`.
    pub fn insecure_on_localhost(mut self, insecure: bool) -> Self {
        self.config.insecure_on_localhost = insecure;
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

/// The paths of cookies that a browser may send with a request for this path, by
/// [RFC 6265](https://www.rfc-editor.org/rfc/rfc6265#section-5.1.4): `/`, `/a`, `/a/`, `/a/b`. Only the first
/// of them if there are many.
fn paths_above(path: &str) -> Vec<&str> {
    let ends = path.match_indices('/').flat_map(|(at, _)| [at, at + 1]).chain([path.len()]);
    let mut above: Vec<_> = ends.map(|end| &path[..end]).filter(|path| path.starts_with('/')).collect();
    above.dedup();
    above.truncate(CLEARED_PATHS);
    above.retain(|path| path.len() <= LONGEST_ATTRIBUTE && is_cookie_value(path.as_bytes()));
    above
}

/// Browsers compare prefixes without regard to case.
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn without_prefix(name: &str) -> &str {
    let prefix = PREFIXES.into_iter().find(|prefix| has_prefix(name, prefix));
    prefix.map_or(name, |prefix| without_prefix(&name[prefix.len()..]))
}

/// Keeps the response out of every cache, unless the application has already done so.
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

    #[test]
    fn without_the_setting_nothing_is_for_localhost() {
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))]);
        let is_local = |config: CookieConfig| {
            config.is_for_localhost(&Uri::from_static("/"), &headers, &Extensions::new())
        };
        assert!(!is_local(CookieConfig::default()));
        assert!(is_local(CookieConfig::builder().insecure_on_localhost(true).build().unwrap()));
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
        let long = format!("/{}", "a".repeat(LONGEST_ATTRIBUTE));
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
        assert!(build().name("a").path(long[..LONGEST_ATTRIBUTE].to_owned()).build().is_ok());
    }

    #[test]
    fn on_localhost_a_name_has_no_prefix() {
        for name in
            ["__Host-Http-a", "__host-http-a", "__Host-a", "__Http-a", "__SECURE-a", "__Host-__Secure-a", "a"]
        {
            let config = CookieConfig::builder().name(name).build().unwrap();
            assert_eq!((config.name_for(true), config.name_for(false)), ("a", name));
        }
        assert_eq!(CookieConfig::default().name_for(true), "session");
    }

    #[test]
    fn a_cookie_of_more_bytes_than_browsers_keep_is_not_set() {
        let config = CookieConfig::default();
        let longest = "a".repeat(LONGEST_COOKIE - config.name().len());
        assert!(config.set(&longest, Duration::DAY, false).is_some());
        let too_long = format!("{longest}a");
        assert!(config.set(&too_long, Duration::DAY, false).is_none());
        // On localhost the name is shorter.
        assert!(config.set(&too_long, Duration::DAY, true).is_some());
    }

    #[test]
    fn the_host_only_form_is_cleared_where_it_is_another_than_the_one_that_is_configured() {
        let cleared = |builder: CookieConfigBuilder, localhost| {
            let header = builder.name("a").build().unwrap().clear_host_only(localhost);
            header.map(|header| header.to_str().unwrap().to_owned())
        };
        let secure = Some("a=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0".to_owned());
        let insecure = Some("a=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0".to_owned());
        let build = CookieConfig::builder;
        assert_eq!(cleared(build(), false), None);
        assert_eq!(cleared(build().domain("example.com"), false), secure);
        assert_eq!(cleared(build().domain("example.com"), true), None);
        assert_eq!(cleared(build().path("/a"), false), secure);
        assert_eq!(cleared(build().path("/a"), true), insecure);
    }

    #[test]
    fn the_paths_above_one_are_those_of_the_cookies_that_go_with_it() {
        assert_eq!(paths_above("/"), ["/"]);
        assert_eq!(paths_above("/a"), ["/", "/a"]);
        assert_eq!(paths_above("/a/bc/"), ["/", "/a", "/a/", "/a/bc", "/a/bc/"]);
        assert_eq!(paths_above("//a"), ["/", "//", "//a"]);
        assert_eq!(paths_above("*"), [""; 0]);
        assert_eq!(paths_above(&"/a".repeat(1000)).len(), CLEARED_PATHS);
        assert_eq!(paths_above("/a;b/c"), ["/"]);
    }

    #[test]
    fn a_token_that_no_cookie_can_hold_is_not_put_into_one() {
        for token in ["a; Domain=example.com", "a b", "a\"", "a\r\nb", "é"] {
            assert!(CookieConfig::default().set(token, Duration::DAY, false).is_none(), "{token:?}");
        }
    }

    #[test]
    fn the_header_is_marked_as_sensitive() {
        let header = CookieConfig::default().set("a-token", Duration::DAY, false).unwrap();
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
