//! The headers that the server sends, and what stands in them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::{Challenge, DeviceAlgorithm};

const LONGEST_PATH: usize = 255;
const LONGEST_ID: usize = 128;

/// A path on the application's own host at which registrations or renewals are answered, such as `/session/device`.
///
/// It begins with one slash, has at most 255 visible ASCII characters, and neither `"`, `\` nor `#`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointPath(Cow<'static, str>);

impl EndpointPath {
    /// Takes a path that the program holds.
    ///
    /// # Panics
    ///
    /// If the text is no such path. For a constant this is an error of the compiler.
    pub const fn from_static(path: &'static str) -> Self {
        assert!(
            is_path(path),
            "a path of an endpoint begins with one slash and has visible ASCII characters"
        );
        Self(Cow::Borrowed(path))
    }

    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_path(path: &str) -> bool {
    let path = path.as_bytes();
    if path.is_empty() || path.len() > LONGEST_PATH || path[0] != b'/' {
        return false;
    }
    // Two slashes at the start begin the name of another host.
    if path.len() > 1 && path[1] == b'/' {
        return false;
    }
    let mut at = 0;
    while at < path.len() {
        if !path[at].is_ascii_graphic() || matches!(path[at], b'"' | b'\\' | b'#') {
            return false;
        }
        at += 1;
    }
    true
}

impl FromStr for EndpointPath {
    type Err = ParseEndpointPathError;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        if is_path(path) { Ok(Self(Cow::Owned(path.to_owned()))) } else { Err(ParseEndpointPathError(())) }
    }
}

impl Serialize for EndpointPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Text that is not an [`EndpointPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseEndpointPathError(());

impl fmt::Display for ParseEndpointPathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no path of an endpoint: it begins with one slash and has at most {LONGEST_PATH} visible ASCII characters, without \
             quotation marks, backslashes and #"
        )
    }
}

impl std::error::Error for ParseEndpointPathError {}

/// The name by which a browser knows a bound session: 1 to 128 letters, digits, `-` and `_`.
///
/// The browser sends it in `Sec-Secure-Session-Id`. It is no secret, and no server may let it decide which session a request
/// is about: the token does. A second registration under one name replaces the first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BoundSessionId(String);

impl BoundSessionId {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Uuid> for BoundSessionId {
    fn from(id: Uuid) -> Self {
        Self(id.simple().to_string())
    }
}

impl FromStr for BoundSessionId {
    type Err = ParseBoundSessionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_one = (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(is_allowed);
        if is_one { Ok(Self(text.to_owned())) } else { Err(ParseBoundSessionIdError(())) }
    }
}

impl Serialize for BoundSessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Text that is not a [`BoundSessionId`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseBoundSessionIdError(());

impl fmt::Display for ParseBoundSessionIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no name of a bound session: it has 1 to {LONGEST_ID} letters, digits, - and _")
    }
}

impl std::error::Error for ParseBoundSessionIdError {}

/// Returns the value of `Secure-Session-Registration`, which asks the browser to make a key for the session and to
/// register it at `path`.
///
/// The challenge is never left out: without it a browser registers without a proof.
pub fn registration_header(path: &EndpointPath, challenge: &Challenge) -> String {
    let algorithms = DeviceAlgorithm::ALL.map(DeviceAlgorithm::name).join(" ");
    format!(r#"({algorithms});path="{}";challenge="{}""#, path.as_str(), challenge.as_str())
}

/// Returns the value of `Secure-Session-Challenge`, which gives the browser the challenge for the next renewal of this
/// bound session.
pub fn challenge_header(challenge: &Challenge, id: &BoundSessionId) -> String {
    format!(r#""{}";id="{}""#, challenge.as_str(), id.as_str())
}
