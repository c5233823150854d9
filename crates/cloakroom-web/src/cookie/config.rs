use std::borrow::Cow;
use std::net::SocketAddr;

use cloakroom::Sliding;
use cookie::{Cookie, SameSite as CookieSameSite};
use http::HeaderValue;
use http::request::Parts;
use time::Duration;

use super::header::is_cookie_value;
use super::localhost::is_local;

const DEFAULT_NAME: &str = "__Host-Http-session";

pub(super) const HOST_PREFIX: &str = "__Host-";

/// The prefixes that browsers know. If one begins with another, the longer one comes first.
const PREFIXES: [&str; 4] = ["__Host-Http-", HOST_PREFIX, "__Http-", "__Secure-"];

/// Browsers refuse a cookie if its name and value together are longer than this:
/// [RFC 6265bis](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#name-storage-model).
pub(crate) const LONGEST_COOKIE: usize = 4096;

/// Browsers ignore an attribute that is longer than this.
pub(super) const LONGEST_ATTRIBUTE: usize = 1024;

/// For how many paths a response clears a cookie at most, so that its head stays small.
const CLEARED_PATHS: usize = 16;

/// The session cookie: its name and attributes.
///
/// The default is `__Host-Http-session; Secure; HttpOnly; SameSite=Lax; Path=/` without `Domain`. Browsers send such a
/// cookie over TLS only, hide it from scripts, keep it to one host, and leave it out of posts from other sites.
/// `HttpOnly` cannot be turned off. `Secure` can be turned off only by
/// [`insecure_on_localhost`](crate::CookieConfigBuilder::insecure_on_localhost).
///
/// | setting | default |
/// |---|---|
/// | [`name`](crate::CookieConfigBuilder::name) | `__Host-Http-session` |
/// | [`same_site`](crate::CookieConfigBuilder::same_site) | [`SameSite::Lax`] |
/// | [`domain`](crate::CookieConfigBuilder::domain) | none |
/// | [`path`](crate::CookieConfigBuilder::path) | `/` |
/// | [`insecure_on_localhost`](crate::CookieConfigBuilder::insecure_on_localhost) | no |
/// | [`ends_with_browser`](crate::CookieConfigBuilder::ends_with_browser) | no |
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
///
/// A session whose end is fixed, by [`expires_in`](cloakroom::NewSession::expires_in) or
/// [`expires_at`](cloakroom::NewSession::expires_at), is never extended, and its cookie ends with it.
/// [`ends_with_browser`](crate::CookieConfigBuilder::ends_with_browser) leaves `Max-Age` out, for users who do not want to be
/// remembered.
#[derive(Clone, Debug)]
pub struct CookieConfig {
    pub(super) name: Cow<'static, str>,
    pub(super) same_site: SameSite,
    pub(super) domain: Option<String>,
    pub(super) path: Cow<'static, str>,
    pub(super) insecure_on_localhost: bool,
    pub(super) ends_with_browser: bool,
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
    /// Returns the cookie's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns `true` if the cookie of this request is the one for development on localhost.
    pub(crate) fn is_for_localhost(&self, parts: &Parts, peer: fn(&Parts) -> Option<SocketAddr>) -> bool {
        self.insecure_on_localhost && is_local(&parts.uri, &parts.headers, peer(parts))
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
    pub(crate) fn set(&self, token: &str, max_age: Option<Duration>, localhost: bool) -> Option<HeaderValue> {
        if !self.fits(token, localhost) {
            return None;
        }
        let max_age = max_age.map(|max_age| Duration::seconds(max_age.whole_seconds()));
        self.header(token, max_age, localhost)
    }

    /// Returns `true` if the browser forgets the cookie of a session with this life when it is closed.
    pub(crate) fn ends_with_browser(&self, sliding: Sliding) -> bool {
        self.ends_with_browser && sliding == Sliding::AsConfigured
    }

    /// Returns `Set-Cookie` that makes the browser forget the cookie.
    pub(crate) fn clear(&self, localhost: bool) -> Option<HeaderValue> {
        self.header("", Some(Duration::ZERO), localhost)
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

    /// Returns the cookie that is bound to the browser's device beside this one. It has the same reach, and a name that
    /// browsers bind: none that begins with `__Host-Http-`.
    #[cfg(feature = "dbsc")]
    pub(crate) fn bound(&self) -> Self {
        let prefix = match self.name.get(..2) {
            _ if has_prefix(&self.name, HOST_PREFIX) => HOST_PREFIX,
            Some("__") => "__Secure-",
            _ => "",
        };
        let name = Cow::Owned(format!("{prefix}{}-bound", without_prefix(&self.name)));
        Self { name, ends_with_browser: false, ..self.clone() }
    }

    /// Returns the cookie's attributes as they stand in `Set-Cookie`, without `Max-Age`.
    #[cfg(feature = "dbsc")]
    pub(crate) fn attributes(&self) -> String {
        let header = self.header("", None, false);
        let text = header.as_ref().and_then(|header| header.to_str().ok()).unwrap_or_default();
        text.split_once("; ").map_or("", |(_, attributes)| attributes).to_owned()
    }

    fn header(&self, value: &str, max_age: Option<Duration>, localhost: bool) -> Option<HeaderValue> {
        let same_site = match self.same_site {
            SameSite::Strict => CookieSameSite::Strict,
            // Browsers refuse it without `Secure`.
            SameSite::None if !localhost => CookieSameSite::None,
            SameSite::Lax | SameSite::None => CookieSameSite::Lax,
        };
        let mut cookie = Cookie::build((self.name_for(localhost), value))
            .path(&*self.path)
            .http_only(true)
            .same_site(same_site);
        if let Some(max_age) = max_age {
            cookie = cookie.max_age(max_age);
        }
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
            ends_with_browser: false,
        }
    }
}

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
pub(super) fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

pub(super) fn without_prefix(name: &str) -> &str {
    let prefix = PREFIXES.into_iter().find(|prefix| has_prefix(name, prefix));
    prefix.map_or(name, |prefix| without_prefix(&name[prefix.len()..]))
}

#[cfg(test)]
mod tests {
    use http::{Request, header};

    use super::super::builder::CookieConfigBuilder;
    use super::*;

    #[test]
    fn without_the_setting_nothing_is_for_localhost() {
        let request = Request::get("/").header(header::HOST, "localhost").body(()).unwrap();
        let (parts, ()) = request.into_parts();
        let is_local = |config: CookieConfig| config.is_for_localhost(&parts, |_| None);
        assert!(!is_local(CookieConfig::default()));
        assert!(is_local(CookieConfig::builder().insecure_on_localhost(true).build().unwrap()));
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
        let longest = "a".repeat(4096 - config.name().len());
        assert!(config.set(&longest, Some(Duration::DAY), false).is_some());
        let too_long = format!("{longest}a");
        assert!(config.set(&too_long, Some(Duration::DAY), false).is_none());
        // On localhost the name is shorter.
        assert!(config.set(&too_long, Some(Duration::DAY), true).is_some());
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
    fn above_a_request_the_cookie_of_this_host_and_the_shared_one_are_cleared() {
        let texts = |config: &CookieConfig, localhost| {
            let cleared = config.clear_above("/x", localhost).into_iter();
            cleared.map(|header| header.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let has = |text: &str, attribute: &str| text.split("; ").any(|part| part == attribute);
        let shared = CookieConfig::builder().name("a").domain("example.com").build().unwrap();
        let cleared = texts(&shared, false);
        assert_eq!(cleared.len(), 4);
        assert!(cleared.iter().all(|text| text.starts_with("a=;") && has(text, "Max-Age=0")), "{cleared:?}");
        for path in ["Path=/", "Path=/x"] {
            for is_shared in [false, true] {
                let is_it = |text: &&String| has(text, path) && has(text, "Domain=example.com") == is_shared;
                assert_eq!(cleared.iter().filter(is_it).count(), 1, "{path} {cleared:?}");
            }
        }
        let local = texts(&shared, true);
        assert_eq!(local.len(), 2);
        assert!(local.iter().all(|text| !text.contains("Domain")), "{local:?}");
        // Browsers keep one cookie of such a name.
        assert!(texts(&CookieConfig::default(), false).is_empty());
    }

    #[test]
    fn a_cookie_for_other_sites_is_secure_and_for_localhost_it_is_neither() {
        let config = CookieConfig::builder().name("a").same_site(SameSite::None).build().unwrap();
        let text = |localhost| config.clear(localhost).unwrap().to_str().unwrap().to_owned();
        assert!(text(false).contains("SameSite=None") && text(false).contains("Secure"));
        assert!(text(true).contains("SameSite=Lax") && !text(true).contains("Secure"));
    }

    #[test]
    fn the_paths_above_one_are_those_of_the_cookies_that_go_with_it() {
        assert_eq!(paths_above("/"), ["/"]);
        assert_eq!(paths_above("/a"), ["/", "/a"]);
        assert_eq!(paths_above("/a/bc/"), ["/", "/a", "/a/", "/a/bc", "/a/bc/"]);
        assert_eq!(paths_above("//a"), ["/", "//", "//a"]);
        assert_eq!(paths_above("*"), [""; 0]);
        assert_eq!(paths_above(&"/a".repeat(1000)).len(), 16);
        assert_eq!(paths_above("/a;b/c"), ["/"]);
    }

    #[test]
    fn a_token_that_no_cookie_can_hold_is_not_put_into_one() {
        for token in ["a; Domain=example.com", "a b", "a\"", "a\r\nb", "é"] {
            assert!(CookieConfig::default().set(token, Some(Duration::DAY), false).is_none(), "{token:?}");
        }
    }

    #[test]
    fn the_header_is_marked_as_sensitive() {
        let header = CookieConfig::default().set("a-token", Some(Duration::DAY), false).unwrap();
        assert_eq!(format!("{header:?}"), "Sensitive");
    }
}
