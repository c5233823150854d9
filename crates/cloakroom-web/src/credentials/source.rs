use http::HeaderName;

use crate::cookie::SignedCookie;

/// Where in a request a token may stand. It is never in the URL, which ends up in logs and histories.
///
/// A layer has a list of sources; see [`SessionLayer::sources`](crate::SessionLayer::sources). In each of them a token
/// is absent, malformed or presented:
///
/// | source | absent | malformed | presented |
/// |---|---|---|---|
/// | `Cookie` | no cookie of the name | empty, too long, or with characters that no cookie may hold | anything else |
/// | `Bearer` | no `Authorization`, or of another scheme | not exactly one token of RFC 6750 | `Bearer <token>` |
/// | `Authorization` | no `Authorization`, or of another scheme | empty, too long, or with anything but visible ASCII | `Token <token>` |
/// | `SignedCookie` | no cookie of the name, or one of the layer's own | not signed as it should be | anything else |
/// | `Header` | no such header | empty, too long, or with anything but visible ASCII | anything else |
///
/// An API client that sends a malformed token gets 400. A browser's user cannot mend a cookie, so a malformed cookie
/// counts as an unknown one: logged out, and cleared
/// (a [`SignedCookie`] is left as it is). For the same reason several cookies of the name are no bad
/// request: see [`CurrentSession`](crate::CurrentSession). [`cookie_values`](crate::cookie_values) says how a cookie is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenSource {
    /// The cookie that [`CookieConfig`](crate::CookieConfig) describes.
    Cookie,
    /// `Authorization: Bearer <token>`, by [RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-2.1).
    Bearer,
    /// `Authorization: <scheme> <token>`, with a scheme such as `Token` or `Api-Key` in upper or lower case
    /// ([RFC 9110, section 11.4](https://www.rfc-editor.org/rfc/rfc9110#section-11.4)), as the clients of other systems
    /// send it. See [`authorization`](Self::authorization).
    Authorization(&'static str),
    /// The signed cookie of another system, from which sessions were moved here.
    SignedCookie(SignedCookie),
    /// A header that holds the token alone, such as `x-api-key`.
    Header(HeaderName),
}

impl TokenSource {
    /// Returns the source for an `Authorization` of this scheme: `TokenSource::authorization("Token")` for clients of
    /// Django REST framework and of knox, `TokenSource::authorization("Api-Key")` for those of
    /// djangorestframework-api-key.
    ///
    /// # Panics
    ///
    /// If `scheme` is not 1 or more ASCII letters, digits and hyphens.
    pub const fn authorization(scheme: &'static str) -> Self {
        let (bytes, mut place) = (scheme.as_bytes(), 0);
        assert!(!bytes.is_empty(), "a scheme has a name");
        while place < bytes.len() {
            assert!(
                bytes[place].is_ascii_alphanumeric() || bytes[place] == b'-',
                "a scheme has letters, digits and hyphens"
            );
            place += 1;
        }
        Self::Authorization(scheme)
    }

    /// Returns the source for the header of this name: `TokenSource::header("x-api-key")`.
    ///
    /// # Panics
    ///
    /// If `name` is not a header's name in lower case.
    pub const fn header(name: &'static str) -> Self {
        Self::Header(HeaderName::from_static(name))
    }
}
