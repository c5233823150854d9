//! What a request presents: the tokens in its cookies and headers.

mod secret;
mod source;

pub(crate) use secret::Secret;
pub use source::TokenSource;

use cloakroom::MAX_TOKEN_LENGTH;
use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;

use crate::cookie::{SignedCookie, cookie_values, is_cookie_value};

/// How many different tokens in cookies of one name are looked up. A browser has at most two forms of a cookie that
/// this layer has set.
const MAX_COOKIES: usize = 8;

/// Shorter tokens are no secrets, and may stand in a URL by chance.
const SHORTEST_SECRET: usize = 12;

/// The credentials that one request presents.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    /// The token of a bearer token or a header.
    pub(crate) from_api: Option<Secret>,
    /// The different tokens of cookies of the name, in their order, and at most [`MAX_COOKIES`] of them.
    pub(crate) from_cookies: Vec<Secret>,
    /// Whether there are more different tokens than that.
    pub(crate) has_too_many: bool,
    /// Why no token may be used, whichever there are.
    pub(crate) problem: Option<Problem>,
    /// Other systems' signed cookies that came with the request, with any content.
    pub(crate) signed_cookies: Vec<SignedCookie>,
    /// Whether the token in `from_cookies` is from one of those.
    pub(crate) is_moved: bool,
    /// How many cookies of the name there are, with any content.
    pub(crate) cookies: usize,
    /// Whether there is a bearer token or a header, with any content.
    pub(crate) is_from_api: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// A bearer token or a header is malformed.
    Malformed,
    /// Two tokens differ, and one of them is a bearer token or in a header.
    Ambiguous,
}

impl Credentials {
    pub(crate) fn read(sources: &[TokenSource], cookie_name: &str, headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let mut signed = Vec::new();
        for source in sources {
            match source {
                TokenSource::Cookie => found.read_cookies(cookie_name, headers),
                TokenSource::Bearer => {
                    for value in headers.get_all(header::AUTHORIZATION) {
                        if let Some(token) = after_scheme("Bearer", value.as_bytes()) {
                            found.add_from_api(token, is_token68);
                        }
                    }
                }
                TokenSource::Authorization(scheme) => {
                    for value in headers.get_all(header::AUTHORIZATION) {
                        if let Some(token) = after_scheme(scheme, value.as_bytes()) {
                            found.add_from_api(token, is_one_word);
                        }
                    }
                }
                TokenSource::SignedCookie(cookie) => signed.push(cookie),
                TokenSource::Header(name) => {
                    for value in headers.get_all(name) {
                        found.add_from_api(value.as_bytes(), is_one_word);
                    }
                }
            }
        }
        for cookie in signed {
            found.read_signed_cookie(cookie, headers);
        }
        let of_api = found.from_api.as_ref();
        let differs = found.from_cookies.iter().any(|token| of_api.is_some_and(|of_api| of_api != token));
        if differs && found.problem.is_none() {
            found.problem = Some(Problem::Ambiguous);
        }
        found
    }

    /// Returns `true` if there is a cookie of the name, with any content.
    pub(crate) fn has_cookie(&self) -> bool {
        self.cookies > 0
    }

    /// Returns `true` if one of the tokens stands in this part of a URL, as it is or encoded.
    pub(crate) fn are_in(&self, place: &str) -> bool {
        let decoded = percent_decode_str(place).decode_utf8_lossy();
        let mut tokens = self.from_api.iter().chain(&self.from_cookies).map(Secret::expose);
        tokens
            .any(|token| token.len() >= SHORTEST_SECRET && (place.contains(token) || decoded.contains(token)))
    }

    fn read_cookies(&mut self, name: &str, headers: &HeaderMap) {
        for value in cookie_values(headers, name) {
            self.cookies += 1;
            let Some(token) = str::from_utf8(value).ok().filter(|_| is_of_token_length(value)) else {
                continue;
            };
            let is_known = self.from_cookies.iter().any(|known| known.expose() == token);
            if !is_cookie_value(value) || is_known {
                continue;
            }
            if self.from_cookies.len() < MAX_COOKIES {
                self.from_cookies.push(Secret::new(token));
            } else {
                self.has_too_many = true;
            }
        }
    }

    /// Reads another system's cookie, whose token counts only if there is no cookie of the layer's own. Two of them that
    /// differ are none.
    fn read_signed_cookie(&mut self, cookie: &SignedCookie, headers: &HeaderMap) {
        let mut values = cookie_values(headers, cookie.name()).peekable();
        if values.peek().is_some() {
            self.signed_cookies.push(cookie.clone());
        }
        for token in values.filter(|value| is_of_signed_length(value)).filter_map(|value| cookie.token(value))
        {
            if self.cookies > 0 || !is_of_token_length(token.as_bytes()) {
                continue;
            }
            match &*self.from_cookies {
                [] => {
                    self.from_cookies.push(Secret::new(&token));
                    self.is_moved = true;
                }
                [known] if known.expose() == &**token => {}
                _ => {
                    self.from_cookies.clear();
                    self.is_moved = false;
                    return;
                }
            }
        }
    }

    fn add_from_api(&mut self, token: &[u8], is_well_formed: fn(&[u8]) -> bool) {
        self.is_from_api = true;
        match str::from_utf8(token) {
            Ok(text) if is_of_token_length(token) && is_well_formed(token) => match &self.from_api {
                None => self.from_api = Some(Secret::new(text)),
                Some(first) if first.expose() == text => {}
                Some(_) => self.problem = Some(Problem::Ambiguous),
            },
            _ => self.problem = Some(Problem::Malformed),
        }
    }
}

fn is_of_token_length(token: &[u8]) -> bool {
    (1..=MAX_TOKEN_LENGTH).contains(&token.len())
}

/// Each byte may be encoded as three, and the signature follows.
fn is_of_signed_length(value: &[u8]) -> bool {
    value.len() <= 3 * (MAX_TOKEN_LENGTH + 64)
}

/// Returns what follows this scheme, in upper or lower case; `None` if the scheme is another one.
fn after_scheme<'v>(scheme: &str, value: &'v [u8]) -> Option<&'v [u8]> {
    let (name, rest) = value.split_at_checked(scheme.len())?;
    let is_it = name.eq_ignore_ascii_case(scheme.as_bytes()) && rest.first().is_none_or(|byte| *byte == b' ');
    let start = rest.iter().position(|byte| *byte != b' ').unwrap_or(rest.len());
    is_it.then(|| &rest[start..])
}

fn is_one_word(token: &[u8]) -> bool {
    token.iter().all(u8::is_ascii_graphic)
}

/// `b64token` of RFC 6750: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_token68(token: &[u8]) -> bool {
    let end = token.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    end > 0
        && token[..end].iter().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
        })
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn read(headers: &[(&'static str, &[u8])]) -> Credentials {
        let sources = [TokenSource::Cookie, TokenSource::Bearer, TokenSource::header("x-api-key")];
        let headers = headers.iter().map(|(name, value)| {
            (HeaderName::from_static(name), http::HeaderValue::from_bytes(value).unwrap())
        });
        Credentials::read(&sources, "session", &headers.collect())
    }

    /// The one token that there is.
    fn token(found: &Credentials) -> Option<&str> {
        let mut tokens: Vec<_> =
            found.from_api.iter().chain(&found.from_cookies).map(Secret::expose).collect();
        tokens.dedup();
        assert!(tokens.len() < 2, "several");
        tokens.pop()
    }

    #[test]
    fn a_bearer_token_is_read_as_rfc_6750_has_it() {
        for value in ["Bearer aB1-._~+/==", "bearer aB1-._~+/==", "BEARER   aB1-._~+/=="] {
            let found = read(&[("authorization", value.as_bytes())]);
            assert_eq!(token(&found), Some("aB1-._~+/=="), "{value}");
            assert_eq!(found.problem, None);
        }
    }

    #[test]
    fn another_scheme_is_no_token_at_all() {
        for value in ["Basic dTpw", "Bearerless abc", "Digest a", "Bea", ""] {
            let found = read(&[("authorization", value.as_bytes())]);
            assert!(token(&found).is_none() && found.problem.is_none() && !found.is_from_api, "{value}");
        }
    }

    #[test]
    fn what_follows_bearer_and_is_not_one_token_is_malformed() {
        let long = format!("Bearer {}", "a".repeat(MAX_TOKEN_LENGTH + 1));
        for value in
            ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer =", "Bearer a=b", "Bearer \"a\"", &long]
        {
            let found = read(&[("authorization", value.as_bytes())]);
            assert!(found.problem == Some(Problem::Malformed) && token(&found).is_none(), "{value}");
        }
        assert_eq!(read(&[("authorization", b"Bearer \xff")]).problem, Some(Problem::Malformed));
    }

    #[test]
    fn another_systems_scheme_is_read_if_it_is_listed() {
        let sources = [TokenSource::authorization("Api-Key"), TokenSource::authorization("Token")];
        let read = |value: &[u8]| {
            let value = http::HeaderValue::from_bytes(value).unwrap();
            Credentials::read(&sources, "session", &HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
        };
        for value in ["Token ab.c", "token   ab.c", "API-KEY ab.c"] {
            assert_eq!(token(&read(value.as_bytes())), Some("ab.c"), "{value}");
        }
        for value in ["Bearer ab.c", "Tokens ab.c", "Api ab.c", "Api-Keys ab.c", "Basic Token"] {
            let found = read(value.as_bytes());
            assert!(token(&found).is_none() && found.problem.is_none() && !found.is_from_api, "{value}");
        }
        for value in [&b"Token"[..], b"Token ", b"Token a b", b"Api-Key \xff"] {
            assert_eq!(read(value).problem, Some(Problem::Malformed), "{value:?}");
        }
        let bearer = self::read(&[("authorization", b"Token abc")]);
        assert!(token(&bearer).is_none() && bearer.problem.is_none(), "it is not listed");
    }

    #[test]
    fn a_header_holds_one_visible_word() {
        assert_eq!(token(&read(&[("x-api-key", b"k;e\"y,")])), Some("k;e\"y,"));
        let long = "a".repeat(MAX_TOKEN_LENGTH + 1);
        for value in [&b""[..], b"a b", b"a, a", b"a\tb", b"\xff", "é".as_bytes(), long.as_bytes()] {
            assert_eq!(read(&[("x-api-key", value)]).problem, Some(Problem::Malformed), "{value:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others_whatever_they_hold() {
        for value in [
            &b"session=abc"[..],
            b"a=b; session=abc; c",
            b"x=\xff; session=abc",
            b" ;;\tsession=abc \t;=",
            b"session=\"abc\"",
        ] {
            assert_eq!(token(&read(&[("cookie", value)])), Some("abc"), "{value:?}");
        }
    }

    #[test]
    fn a_cookie_of_another_name_is_absent() {
        for value in
            [&b"sessions=abc"[..], b"Session=abc", b"a=session=abc", b"session", b"", b"session =abc"]
        {
            let found = read(&[("cookie", value)]);
            assert!(token(&found).is_none() && !found.has_cookie(), "{value:?}");
        }
    }

    #[test]
    fn a_malformed_cookie_is_there_and_holds_no_token() {
        let long = format!("session={}", "a".repeat(MAX_TOKEN_LENGTH + 1));
        for value in [
            &b"session="[..],
            b"session=\"\"",
            b"session=a b",
            b"session= abc",
            b"session=\xff",
            b"session=a,b",
            long.as_bytes(),
        ] {
            let found = read(&[("cookie", value)]);
            assert!(token(&found).is_none() && found.has_cookie() && found.problem.is_none(), "{value:?}");
        }
    }

    #[test]
    fn the_same_token_twice_is_one_and_two_that_differ_are_ambiguous() {
        let same: [&[(&str, &[u8])]; 4] = [
            &[("cookie", b"session=abc"), ("authorization", b"Bearer abc")],
            &[("cookie", b"session=abc"), ("cookie", b"session=abc")],
            &[("authorization", b"Basic x"), ("authorization", b"Bearer abc"), ("x-api-key", b"abc")],
            &[("cookie", b"session=abc; session=abc; session=")],
        ];
        for headers in same {
            let found = read(headers);
            assert_eq!(token(&found), Some("abc"));
            assert_eq!(found.problem, None);
        }
        let different: [&[(&str, &[u8])]; 5] = [
            &[("cookie", b"session=abc"), ("authorization", b"Bearer abd")],
            &[("cookie", b"session=abc; session=abd"), ("authorization", b"Bearer abc")],
            &[("authorization", b"Bearer abc"), ("cookie", b"session=abd"), ("cookie", b"session=abc")],
            &[("authorization", b"Bearer abc"), ("authorization", b"Bearer abd")],
            &[("authorization", b"Bearer abc"), ("x-api-key", b"abd")],
        ];
        for headers in different {
            assert_eq!(read(headers).problem, Some(Problem::Ambiguous), "{headers:?}");
        }
    }

    #[test]
    fn several_cookies_are_no_problem_and_their_tokens_are_bounded() {
        let found = read(&[("cookie", b"session=abc; session=ABC; session=; session=abc")]);
        let tokens: Vec<_> = found.from_cookies.iter().map(Secret::expose).collect();
        assert_eq!((tokens, found.cookies), (vec!["abc", "ABC"], 4));
        assert!(found.problem.is_none() && !found.has_too_many);
        for (more, has_too_many) in [(0, false), (1, true), (100, true)] {
            let cookies: Vec<_> = (0..8 + more).map(|n| format!("session=token-{n}")).collect();
            let found = read(&[("cookie", cookies.join("; ").as_bytes())]);
            assert_eq!((found.from_cookies.len(), found.has_too_many), (8, has_too_many));
            assert!(found.problem.is_none());
        }
    }

    #[test]
    fn only_the_listed_sources_are_read() {
        let headers = HeaderMap::from_iter([
            (header::COOKIE, http::HeaderValue::from_static("session=abc")),
            (header::AUTHORIZATION, http::HeaderValue::from_static("Bearer")),
        ]);
        let found = Credentials::read(&[TokenSource::Cookie], "session", &headers);
        assert!(token(&found) == Some("abc") && found.problem.is_none());
        let found = Credentials::read(&[TokenSource::Bearer], "session", &headers);
        assert!(token(&found).is_none() && found.problem == Some(Problem::Malformed) && !found.has_cookie());
    }

    #[test]
    fn a_token_in_a_url_is_found_encoded_or_not() {
        let found = read(&[("x-api-key", b"a+token/of=the-client"), ("cookie", b"session=short")]);
        for (place, is_in) in [
            ("/reset?token=a+token/of=the-client", true),
            ("/reset?token=a%2Btoken%2fof%3Dthe-client&x", true),
            ("/reset?token=a+token/of=another", false),
            ("/short", false),
        ] {
            assert_eq!(found.are_in(place), is_in, "{place}");
        }
    }

    #[test]
    fn a_presented_token_does_not_show() {
        let found = read(&[("x-api-key", b"a-token-of-the-client")]);
        assert!(!format!("{found:?}").contains("a-token"));
    }
}
