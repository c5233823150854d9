use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The most bytes that a reason has.
const LONGEST: usize = 64;

/// Why a session was ended: short text in the column with the role `ended_because`, which the same statement writes that
/// ends the session.
///
/// The library writes the reasons that have a constant here. An application has reasons of its own beside them:
///
/// ```
/// use cloakroom::EndReason;
///
/// const PASSWORD_CHANGED: EndReason = EndReason::from_static("password_changed");
/// assert_eq!(PASSWORD_CHANGED.as_str(), "password_changed");
/// ```
///
/// A reason has 1 to 64 bytes, without control characters, and is not blank. It is stored and shown as it is: write no
/// secret into it.
///
/// The first reason stays. A session that has ended is not ended again, so its reason is never overwritten. A session
/// that reaches its expiry was ended by no call, and has none: its column is null.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndReason(Cow<'static, str>);

impl EndReason {
    /// The user logged out, or the session was ended without a reason of the application's: the default of
    /// [`expire`](crate::Sessions::expire) and [`expire_all`](crate::SessionQuery::expire_all).
    pub const LOGGED_OUT: Self = Self::from_static("logged_out");

    /// A new session of the same owner took its place; see [`Sessions::with_limit`](crate::Sessions::with_limit).
    pub const EVICTED: Self = Self::from_static("evicted");

    /// Another session took its place, to which its client has changed.
    pub const ROTATED_AWAY: Self = Self::from_static("rotated_away");

    /// A token was presented that had been replaced before, so that two parties have it.
    pub const REUSE: Self = Self::from_static("reuse");

    /// Makes a reason of text that the program holds.
    ///
    /// # Panics
    ///
    /// If the text is no reason. For a constant this is an error of the compiler.
    pub const fn from_static(reason: &'static str) -> Self {
        assert!(is_reason(reason), "a reason has 1 to 64 bytes, no control character, and is not blank");
        Self(Cow::Borrowed(reason))
    }

    /// Returns the reason as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_reason(reason: &str) -> bool {
    let bytes = reason.as_bytes();
    if bytes.len() > LONGEST {
        return false;
    }
    let (mut at, mut is_blank) = (0, true);
    while at < bytes.len() {
        // U+0080 to U+009F are control characters too: C2 and a byte of that range.
        let is_control = bytes[at].is_ascii_control()
            || (bytes[at] == 0xc2 && at + 1 < bytes.len() && bytes[at + 1] < 0xa0);
        if is_control {
            return false;
        }
        is_blank = is_blank && bytes[at] == b' ';
        at += 1;
    }
    !is_blank
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AsRef<str> for EndReason {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for EndReason {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for EndReason {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl TryFrom<String> for EndReason {
    type Error = ParseEndReasonError;

    fn try_from(reason: String) -> Result<Self, Self::Error> {
        if is_reason(&reason) { Ok(Self(Cow::Owned(reason))) } else { Err(ParseEndReasonError(())) }
    }
}

impl FromStr for EndReason {
    type Err = ParseEndReasonError;

    fn from_str(reason: &str) -> Result<Self, Self::Err> {
        reason.to_owned().try_into()
    }
}

/// Written as text.
impl Serialize for EndReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EndReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.try_into().map_err(de::Error::custom)
    }
}

/// Text that is not an [`EndReason`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseEndReasonError(());

impl fmt::Display for ParseEndReasonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no reason for the end of a session: a reason has 1 to {LONGEST} bytes, no control character, and is not blank"
        )
    }
}

impl std::error::Error for ParseEndReasonError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_short_text_on_one_line() {
        let longest = "x".repeat(LONGEST);
        for text in ["logged_out", "Kennwort geändert", "é", "\u{a0}", " x", &longest] {
            assert_eq!(text.parse::<EndReason>().unwrap().to_string(), text);
        }
        let too_long = "é".repeat(LONGEST / 2 + 1);
        for text in ["", " ", "   ", "a\nb", "\0", "a\u{7f}", "\u{85}", "a\u{9f}", &too_long] {
            assert_eq!(text.parse::<EndReason>(), Err(ParseEndReasonError(())), "{text:?}");
            assert_eq!(EndReason::try_from(text.to_owned()), Err(ParseEndReasonError(())), "{text:?}");
        }
    }

    #[test]
    fn a_reason_is_serialized_as_its_text() {
        let json = serde_json::to_string(&EndReason::EVICTED).unwrap();
        assert_eq!(json, r#""evicted""#);
        assert_eq!(serde_json::from_str::<EndReason>(&json).unwrap(), EndReason::EVICTED);
        assert!(serde_json::from_str::<EndReason>(r#""""#).is_err());
    }
}
