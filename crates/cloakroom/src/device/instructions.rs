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

    /// Renews the cookie also before requests that this host's pages begin, such as `example.com`, or `*.example.com` for
    /// all of its subdomains: an ordinary link there. Without it, such a request arrives without the cookie when it
    /// has expired.
    ///
    /// # Errors
    ///
    /// If the text is not the name of a host, or `*.` and one.
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
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    host == "*" || (labels.len() <= 253 && labels.split('.').all(is_label))
}

/// The cookie that is bound, by its name and the attributes with which it is set.
#[derive(Clone, Debug, Serialize)]
pub struct BoundCookie {
    r#type: &'static str,
    name: String,
    attributes: String,
}

impl BoundCookie {
    /// Names the cookie and its attributes as they stand in `Set-Cookie`, without `Max-Age` and `Expires`: `Path=/; Secure;
    /// HttpOnly; SameSite=Lax`. If they differ from those of the cookie, the browser renews it before each request.
    ///
    /// # Errors
    ///
    /// If the name is not one of a cookie, or the attributes have a character that none has.
    pub fn new(name: &str, attributes: &str) -> Result<Self, InstructionsError> {
        // RFC 9110's token.
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(InstructionsError::CookieName);
        }
        if !attributes.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
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
    /// The cookie's attributes have a character that none has.
    CookieAttributes,
    /// A host that may begin requests is not the name of one.
    Initiator,
}

impl fmt::Display for InstructionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CookieName => "the bound cookie's name is not the name of a cookie",
            Self::CookieAttributes => "the bound cookie's attributes are not visible ASCII characters",
            Self::Initiator => "a host that may begin a renewal is not the name of one",
        })
    }
}

impl std::error::Error for InstructionsError {}
