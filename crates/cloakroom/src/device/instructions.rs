use std::fmt;

use serde::Serialize;

use super::{BoundSessionId, EndpointPath};

/// What the browser is told when it has registered a key: which cookie is bound, where it is renewed, and for which requests.
///
/// It is serialised as the JSON that answers a registration.
#[derive(Clone, Debug, Serialize)]
pub struct Instructions {
    session_identifier: BoundSessionId,
    refresh_url: EndpointPath,
    scope: Scope,
    credentials: [BoundCookie; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_refresh_initiators: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Scope {
    include_site: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scope_specification: Vec<Rule>,
}

#[derive(Clone, Debug, Serialize)]
struct Rule {
    r#type: &'static str,
    domain: &'static str,
    path: EndpointPath,
}

impl Instructions {
    /// Instructs the browser to renew the cookie at `refresh_url` before any request to this host.
    pub fn new(id: BoundSessionId, refresh_url: EndpointPath, cookie: BoundCookie) -> Self {
        Self {
            session_identifier: id,
            refresh_url,
            scope: Scope { include_site: false, scope_specification: Vec::new() },
            credentials: [cookie],
            allowed_refresh_initiators: Vec::new(),
        }
    }

    /// Lets requests at and below this path go without a renewal: for files that are the same for everybody.
    #[must_use]
    pub fn exclude(mut self, path: EndpointPath) -> Self {
        self.scope.scope_specification.push(Rule { r#type: "exclude", domain: "*", path });
        self
    }

    /// Renews the cookie also before pages that are opened from this host, such as `example.com`, or `*.example.com` for all of
    /// its subdomains, or `*` for any host: an ordinary link there. Without it, such a request arrives without the cookie when
    /// it has expired. A host has no scheme and no port.
    ///
    /// # Errors
    ///
    /// If the text is not the name of a host in small letters, `*.` and one, or `*`. A browser takes a scheme, a port and
    /// capitals too, and never finds a host that matches.
    pub fn allow_initiator(mut self, host: &str) -> Result<Self, InstructionsError> {
        if !is_host_pattern(host) {
            return Err(InstructionsError::Initiator);
        }
        self.allowed_refresh_initiators.push(host.to_owned());
        Ok(self)
    }
}

fn is_host_pattern(host: &str) -> bool {
    let labels = host.strip_prefix("*.").unwrap_or(host);
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    host == "*" || (labels.len() <= 253 && labels.split('.').all(is_label))
}

/// The beginning of the names that Chromium does not bind: it makes the cookie of the name and the attributes, and finds that a
/// response has not set it.
const UNBOUND: &str = "__Host-Http-";

/// The attributes that a bound cookie may have.
const ATTRIBUTES: [&str; 5] = ["Path", "Domain", "Secure", "HttpOnly", "SameSite"];

/// The cookie that is bound, by its name and the attributes with which it is set.
#[derive(Clone, Debug, Serialize)]
pub struct BoundCookie {
    r#type: &'static str,
    name: String,
    attributes: String,
}

impl BoundCookie {
    /// Names the cookie and its attributes as they stand in `Set-Cookie`, without `Max-Age`: `Path=/; Secure; HttpOnly;
    /// SameSite=Lax`. If they differ from those of the cookie, the browser renews it before each request.
    ///
    /// # Errors
    ///
    /// If the name is not one of a cookie, or begins with `__Host-Http-`, which Chromium 156 binds under no circumstances; if
    /// there is another attribute than `Path`, `Domain`, `Secure`, `HttpOnly` and `SameSite`, since it refuses the
    /// registration for `Max-Age`, `Expires` and `Partitioned`.
    pub fn new(name: &str, attributes: &str) -> Result<Self, InstructionsError> {
        // RFC 9110's token.
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(InstructionsError::CookieName);
        }
        if name.get(..UNBOUND.len()).is_some_and(|start| start.eq_ignore_ascii_case(UNBOUND)) {
            return Err(InstructionsError::CookiePrefix);
        }
        let is_known = |attribute: &str| {
            let name = attribute.split('=').next().unwrap_or_default().trim();
            ATTRIBUTES.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        let is_text = attributes.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !is_text || !(attributes.is_empty() || attributes.split(';').all(is_known)) {
            return Err(InstructionsError::CookieAttributes);
        }
        Ok(Self { r#type: "cookie", name: name.to_owned(), attributes: attributes.to_owned() })
    }
}

/// Returns the JSON that answers a renewal of a session that is over: the browser forgets its key.
pub fn end_of_binding(id: &BoundSessionId) -> String {
    format!(r#"{{"session_identifier":"{}","continue":false}}"#, id.as_str())
}

/// Why a browser would not take the [`Instructions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstructionsError {
    /// The cookie's name is not one.
    CookieName,
    /// The cookie's name begins with `__Host-Http-`, and browsers bind no such cookie.
    CookiePrefix,
    /// The cookie's attributes have a character that none has, or there is one that browsers do not bind a cookie with.
    CookieAttributes,
    /// A host that may begin requests is not the name of one.
    Initiator,
}

impl fmt::Display for InstructionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CookieName => "the bound cookie's name is not the name of a cookie",
            Self::CookiePrefix => {
                "browsers bind no cookie whose name begins with __Host-Http-; __Host- is bound"
            }
            Self::CookieAttributes => {
                "the bound cookie's attributes are not Path, Domain, Secure, HttpOnly and SameSite alone"
            }
            Self::Initiator => "a host that may begin a renewal is not the name of one",
        })
    }
}

impl std::error::Error for InstructionsError {}
