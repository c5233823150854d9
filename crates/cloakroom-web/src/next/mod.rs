//! Where a browser goes once its user has logged in or confirmed who they are.

mod check;

use std::fmt;

use http::{Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Deserializer};

use check::is_on_this_origin;

/// The name of the parameter that carries it.
const PARAMETER: &str = "next";

/// All but the characters that mean nothing in a query, so that the place can be read in the address bar.
const IN_QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where a browser goes once its user has logged in or confirmed who they are: a path of this origin, or nothing.
///
/// A guard that sends a browser to the [page for logging in](crate::SessionLayer::login_page) or for
/// [confirming](crate::SessionLayer::confirm_page) puts the place that was asked for into the query, as `?next=%2Forders`.
/// Anyone can write a link to that page with any other text in it. So nothing but this type reads it, and no value of
/// this type leads to another origin.
///
/// As an extractor it reads the parameter `next` of the query, and never rejects. A page whose form is sent to the page's
/// own address (`<form method="post">` without an `action`) brings it along. It can also be a field of a form, with
/// `#[serde(default)]`.
///
/// ```
/// # use cloakroom::{NewSession, SessionTable};
/// use cloakroom_web::{Next, SessionManager, SessionRejection};
///
/// # #[derive(Clone, SessionTable)] struct UserSession { user_id: String }
/// # fn user() -> UserSession { UserSession { user_id: "1234".into() } }
/// // `POST /login?next=%2Forders`, after the password was checked. Returns where to send the browser.
/// async fn log_in(next: Next, manager: SessionManager<UserSession>) -> Result<String, SessionRejection> {
///     manager.log_in(NewSession::new(user())).await?;
///     Ok(next.or("/").to_owned())
/// }
/// ```
///
/// # What it holds
///
/// A path with its query, of 1 to 1024 bytes. Anything else counts as nothing, and [`or`](Self::or) then returns the
/// default:
///
/// - another origin, in each form that browsers read as one by the
///   [URL standard](https://url.spec.whatwg.org/#concept-basic-url-parser): with a scheme, with two slashes or a backslash
///   at the beginning, with tabs, line breaks or other control characters between them;
/// - `.` and `..` as parts of the path, and a path that begins with an encoded slash, backslash, tab or line break;
/// - spaces and other characters that no URL has, such as `"`, `<` and everything beyond ASCII;
/// - two parameters of the name, because two readers may take a different one of them.
///
/// Only `GET` and `HEAD` are sent on with a place: a browser comes back to it by `GET`. So whatever your application
/// does on `GET`, a link with `next` can do to a user who logs in. As always, let no `GET` change anything.
///
/// # Tokens
///
/// A guard leaves out a place that has one of the request's own tokens in it. What else your addresses hold goes into the
/// query as it is, as it does into the history of the browser.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Next(Option<Box<str>>);

impl Next {
    /// Returns the place that this text names. It names nothing if it is not a path of this origin.
    ///
    /// ```
    /// # use cloakroom_web::Next;
    /// assert_eq!(Next::new("/orders?page=2").as_str(), Some("/orders?page=2"));
    /// for elsewhere in ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example"] {
    ///     assert_eq!(Next::new(elsewhere).or("/"), "/");
    /// }
    /// ```
    pub fn new(text: &str) -> Self {
        Self(is_on_this_origin(text).then(|| text.into()))
    }

    /// Returns the path, with its query.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Returns the path, or `default` if there is none.
    pub fn or<'s>(&'s self, default: &'s str) -> &'s str {
        self.as_str().unwrap_or(default)
    }

    /// Returns this address of a page with the place in its query: for a form's `action`, or for a link from one page to
    /// another that leads on in the end.
    ///
    /// ```
    /// # use cloakroom_web::Next;
    /// assert_eq!(Next::new("/orders?page=2").on("/sign-up"), "/sign-up?next=/orders%3Fpage%3D2");
    /// assert_eq!(Next::default().on("/sign-up"), "/sign-up");
    /// ```
    pub fn on(&self, page: &str) -> String {
        let Some(place) = self.as_str() else { return page.to_owned() };
        let (page, fragment) = page.split_at(page.find('#').unwrap_or(page.len()));
        let separator = if page.contains('?') { '&' } else { '?' };
        format!("{page}{separator}{PARAMETER}={}{fragment}", utf8_percent_encode(place, IN_QUERY))
    }

    /// Returns the place that a request asked for, if a browser can come back to it.
    pub(crate) fn of_request(method: &Method, uri: &Uri) -> Self {
        match uri.path_and_query() {
            Some(place) if matches!(*method, Method::GET | Method::HEAD) => Self::new(place.as_str()),
            _ => Self::default(),
        }
    }

    /// Returns the place that the query names.
    pub(crate) fn in_query(query: Option<&str>) -> Self {
        let pairs =
            query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut values = pairs.filter(|(name, _)| decoded(name).as_deref() == Some(PARAMETER));
        match (values.next(), values.next()) {
            (Some((_, value)), None) => decoded(value).map_or_else(Self::default, |value| Self::new(&value)),
            _ => Self::default(),
        }
    }
}

/// Returns the text that stands encoded in a query, as a form writes it.
fn decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(Into::into)
}

/// Writes the path, or nothing: as the value of a hidden field. A template has to escape it as everything else.
impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.or(""))
    }
}

/// Reads text. What is no path of this origin is no error, and counts as nothing.
impl<'de> Deserialize<'de> for Next {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_is_given_comes_back() {
        for place in ["/", "/a/b?x=1&y=%2F&z=a+b#c", "/~a/(b)/@c;d=1,2'!$*+", "/%E2%82%AC"] {
            let next = Next::new(place);
            for page in ["/login", "/login?a=b", "/login#form", "/login?a#b"] {
                let address = next.on(page);
                let query = address.split('#').next().unwrap().split_once('?').unwrap().1;
                assert_eq!(Next::in_query(Some(query)), next, "{address}");
            }
        }
        assert_eq!(Next::new("/a").on("/login#form"), "/login?next=/a#form");
        assert_eq!(Next::new("/a?b=c&d").on("/login?x"), "/login?x&next=/a%3Fb%3Dc%26d");
    }

    #[test]
    fn a_query_is_read_strictly() {
        for (query, place) in [
            ("next=/a", Some("/a")),
            ("next=%2Fa%3Fb%3Dc", Some("/a?b=c")),
            ("x&%6eext=/a", Some("/a")),
            ("next=/a=b", Some("/a=b")),
            ("", None),
            ("next", None),
            ("next=", None),
            ("Next=/a", None),
            ("next=/a&next=/a", None),
            ("next=/a&next", None),
            ("next=/a+b", None),
            ("next=%2F%5Cevil.example", None),
            ("next=/%09/evil.example", None),
            ("next=%2F%09/evil.example", None),
            ("next=/%ff", None),
            // Decoded once, and not twice.
            ("next=%252F%252Fevil.example", None),
        ] {
            assert_eq!(Next::in_query(Some(query)).as_str(), place, "{query}");
        }
        assert_eq!(Next::in_query(None), Next::default());
    }

    #[test]
    fn only_what_can_be_asked_for_again_is_a_place() {
        let place = |method: Method, uri: &str| Next::of_request(&method, &uri.parse().unwrap());
        assert_eq!(place(Method::GET, "https://site.example/a?b").as_str(), Some("/a?b"));
        assert_eq!(place(Method::HEAD, "/a").as_str(), Some("/a"));
        assert_eq!(place(Method::POST, "/a"), Next::default());
        assert_eq!(place(Method::GET, "//evil.example/a"), Next::default());
        assert_eq!(place(Method::OPTIONS, "*"), Next::default());
    }

    #[test]
    fn a_form_with_any_text_is_read() {
        let read = |json: &str| serde_json::from_str::<Next>(json).unwrap();
        assert_eq!(read("\"/a\"").to_string(), "/a");
        assert_eq!(read("\"//evil.example\"").to_string(), "");
    }
}
