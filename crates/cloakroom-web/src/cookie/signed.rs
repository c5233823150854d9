use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64ct::{Base64, Base64Unpadded, Encoding};
use cookie::Cookie;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use percent_encoding::percent_decode;
use sha2::Sha256;
use time::Duration;
use zeroize::Zeroizing;

use super::config::has_prefix;
use super::header::is_cookie_value;

/// The signed cookie of another system, from which sessions were moved here: the token in it is the session's.
///
/// It is for [`TokenSource::SignedCookie`](crate::TokenSource::SignedCookie), beside
/// [`TokenSource::Cookie`](crate::TokenSource::Cookie). `docs/moving.md` in the repository says how the sessions
/// themselves are moved.
///
/// - It is read only if the request has no cookie of the layer's own. A signature that is wrong, or none, is no token: the
///   request is as without the cookie.
/// - When its session is first used, the response sets the layer's own cookie, with the same token, and clears this one.
///   A log-in and a log-out clear it too. In all other cases it is left alone: a secret that is not the right one, or a
///   session that is not moved yet, costs nobody their log-in.
/// - Its name has no protection by the browser: another host of the same site can plant one, with a session of its own, in
///   a browser that is not logged in. The old system had that weakness. Take this source away when its cookies have
///   ended.
///
/// ```
/// # use cloakroom::{SessionTable, Sessions};
/// # use cloakroom_web::{SessionLayer, SignedCookie, TokenSource};
/// # #[derive(Clone, SessionTable)] struct UserSession { user_id: String }
/// # fn example(sessions: Sessions<UserSession>, secret: String) -> Result<(), Box<dyn std::error::Error>> {
/// let express = SignedCookie::express("connect.sid", [secret])?;
/// let layer = SessionLayer::new(sessions).sources([TokenSource::Cookie, TokenSource::SignedCookie(express)]);
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SignedCookie {
    name: Cow<'static, str>,
    form: Form,
    secrets: Arc<[Zeroizing<Vec<u8>>]>,
    domain: Option<Cow<'static, str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `s:TOKEN.SIGNATURE`, the signature in base64 without padding.
    Express,
    /// `TOKEN.SIGNATURE`, the signature in base64 with padding.
    BetterAuth,
}

impl SignedCookie {
    /// The cookie of express-session, by default `connect.sid`: `s:TOKEN.SIGNATURE`, signed with HMAC-SHA-256 under any of
    /// the secrets. Give it the list that the old system has as its `secret`.
    ///
    /// # Errors
    ///
    /// If the name is no cookie's, or if there is no secret or an empty one.
    pub fn express<S: Into<Vec<u8>>>(
        name: impl Into<Cow<'static, str>>,
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Self, SignedCookieError> {
        Self::new(name.into(), Form::Express, secrets.into_iter().map(Into::into).collect())
    }

    /// The cookie of better-auth, by default `better-auth.session_token`, and behind TLS
    /// `__Secure-better-auth.session_token`: `TOKEN.SIGNATURE`, signed with HMAC-SHA-256. It has one secret: of a list
    /// only the first counts there.
    ///
    /// # Errors
    ///
    /// If the name is no cookie's, or if the secret is empty.
    pub fn better_auth(
        name: impl Into<Cow<'static, str>>,
        secret: impl Into<Vec<u8>>,
    ) -> Result<Self, SignedCookieError> {
        Self::new(name.into(), Form::BetterAuth, vec![secret.into()])
    }

    fn new(name: Cow<'static, str>, form: Form, secrets: Vec<Vec<u8>>) -> Result<Self, SignedCookieError> {
        let secrets: Arc<[_]> = secrets.into_iter().map(Zeroizing::new).collect();
        if name.is_empty() || !is_cookie_value(name.as_bytes()) || name.contains('=') {
            return Err(SignedCookieError::Name);
        }
        if secrets.is_empty() || secrets.iter().any(|secret| secret.is_empty()) {
            return Err(SignedCookieError::EmptySecret);
        }
        Ok(Self { name, form, secrets, domain: None })
    }

    /// Sets the `Domain` that the old system gave its cookie, so that it can be cleared. Default none.
    #[must_use]
    pub fn domain(self, domain: impl Into<Cow<'static, str>>) -> Self {
        Self { domain: Some(domain.into()), ..self }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the token in a value of this cookie, if the signature is right.
    pub(crate) fn token(&self, value: &[u8]) -> Option<Zeroizing<String>> {
        let decoded = Zeroizing::new(percent_decode(value).decode_utf8().ok()?.into_owned());
        let signed = match self.form {
            Form::Express => decoded.strip_prefix("s:")?,
            Form::BetterAuth => &decoded,
        };
        let (token, signature) = signed.rsplit_once('.')?;
        let mut bytes = [0; 32];
        // Both refuse another text for the same bytes.
        let signature = match self.form {
            Form::Express => Base64Unpadded::decode(signature, &mut bytes),
            Form::BetterAuth => Base64::decode(signature, &mut bytes),
        };
        let signature = signature.ok()?;
        let is_signed = |secret: &Zeroizing<Vec<u8>>| {
            let mac = Hmac::<Sha256>::new_from_slice(secret).ok();
            mac.is_some_and(|mac| mac.chain_update(token).verify_slice(signature).is_ok())
        };
        let is_right = self.secrets.iter().any(is_signed) && !token.is_empty();
        is_right.then(|| Zeroizing::new(token.to_owned()))
    }

    /// Returns the header that clears the cookie.
    pub(crate) fn clear(&self) -> Option<HeaderValue> {
        let mut cookie = Cookie::build((&*self.name, "")).path("/").max_age(Duration::ZERO).http_only(true);
        if ["__Secure-", "__Host-"].into_iter().any(|prefix| has_prefix(&self.name, prefix)) {
            cookie = cookie.secure(true);
        }
        if let Some(domain) = &self.domain {
            cookie = cookie.domain(&**domain);
        }
        HeaderValue::try_from(cookie.build().to_string()).ok()
    }
}

/// Shows no secret.
impl fmt::Debug for SignedCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedCookie")
            .field("name", &self.name)
            .field("form", &self.form)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// Why there is no [`SignedCookie`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignedCookieError {
    /// The name is empty, or holds a character that no cookie's name may hold.
    Name,
    /// There is no secret, or an empty one: it may come from a variable that was not set.
    EmptySecret,
}

impl fmt::Display for SignedCookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "this is no name of a cookie",
            Self::EmptySecret => "the secret of a signed cookie must not be empty",
        })
    }
}

impl std::error::Error for SignedCookieError {}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    fn vectors(name: &str) -> Value {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cloakroom-testing/tests/moving/vectors");
        serde_json::from_str(&fs::read_to_string(folder.join(format!("{name}.json"))).unwrap()).unwrap()
    }

    fn secrets(vectors: &Value) -> Vec<String> {
        let secrets = vectors["secret"].as_array().unwrap().iter();
        secrets.map(|secret| secret.as_str().unwrap().to_owned()).collect()
    }

    /// Holds a cookie to what its system was seen to accept.
    fn hold(cookie: &SignedCookie, vectors: &Value) -> usize {
        let presented = vectors["presented"].as_array().unwrap();
        for one in presented {
            let token = cookie.token(one["value"].as_str().unwrap().as_bytes());
            let mut expected = one["token"].as_str();
            if one["what"] == "another character for the same 32 bytes" {
                // better-auth takes it, and has never given it to anyone.
                expected = None;
            }
            assert_eq!(token.as_deref().map(String::as_str), expected, "{}", one["what"]);
        }
        presented.len()
    }

    #[test]
    fn the_cookies_that_the_systems_made_are_read_and_the_others_are_not() {
        let express = vectors("connect-pg-simple");
        let cookie = SignedCookie::express("connect.sid", secrets(&express)).unwrap();
        assert!(hold(&cookie, &express) > 10);
        let better_auth = vectors("better-auth-sessions");
        let secret = secrets(&better_auth).remove(0);
        let cookie = SignedCookie::better_auth("better-auth.session_token", secret).unwrap();
        assert!(hold(&cookie, &better_auth) > 10);
    }

    /// A value as express-session makes it.
    fn signed(token: &str, secret: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(token);
        format!("s:{token}.{}", Base64Unpadded::encode_string(&mac.finalize().into_bytes()))
    }

    #[test]
    fn a_value_with_one_character_changed_or_missing_has_no_token() {
        let cookie = SignedCookie::express("a", ["older-secret", "secret"]).unwrap();
        let value = signed("a.token-of-the-old-system", "secret");
        assert_eq!(&**cookie.token(value.as_bytes()).unwrap(), "a.token-of-the-old-system");
        for place in 0..value.len() {
            let mut changed = value.clone().into_bytes();
            for byte in (0..=u8::MAX).filter(|byte| *byte != value.as_bytes()[place]) {
                changed[place] = byte;
                assert!(cookie.token(&changed).is_none(), "{place} {byte}");
            }
            changed.remove(place);
            assert!(cookie.token(&changed).is_none(), "{place}");
        }
        for other in ["", "s:", "s:.", ".", "s:a.", "%", "%%", "s%3", "s%253Aa.b", "\u{feff}s:a.b"] {
            assert!(cookie.token(other.as_bytes()).is_none(), "{other}");
        }
        assert!(cookie.token(signed("", "secret").as_bytes()).is_none(), "an empty token");
        assert!(cookie.token(signed("token", "another").as_bytes()).is_none());
    }

    #[test]
    fn a_secret_is_not_empty_and_does_not_show() {
        let none: [&str; 0] = [];
        assert_eq!(SignedCookie::express("a", none).unwrap_err(), SignedCookieError::EmptySecret);
        assert_eq!(SignedCookie::express("a", ["b", ""]).unwrap_err(), SignedCookieError::EmptySecret);
        assert_eq!(SignedCookie::better_auth("a", "").unwrap_err(), SignedCookieError::EmptySecret);
        for name in ["", "a b", "a=b", "a;b", "é"] {
            let error = SignedCookie::better_auth(name, "b").unwrap_err();
            assert_eq!(error, SignedCookieError::Name, "{name}");
        }
        let cookie = SignedCookie::express("connect.sid", ["hush-hush"]).unwrap();
        let shown = format!("{cookie:?}");
        assert!(shown.contains("connect.sid") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn it_is_cleared_as_it_was_set() {
        let cleared = |cookie: SignedCookie| cookie.clear().unwrap().to_str().unwrap().to_owned();
        let cookie = |name: &'static str| SignedCookie::better_auth(name, "secret").unwrap();
        assert_eq!(cleared(cookie("a")), "a=; HttpOnly; Path=/; Max-Age=0");
        assert!(cleared(cookie("__Secure-a")).contains("; Secure"));
        assert!(cleared(cookie("a").domain("example.com")).contains("; Domain=example.com"));
    }
}
