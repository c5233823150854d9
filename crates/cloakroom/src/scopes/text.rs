//! Scopes as text: <https://www.rfc-editor.org/rfc/rfc6749#section-3.3>.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{AnyScope, Scopes};

/// How much of a name an error shows.
const MOST_SHOWN: usize = 64;

/// Returns `true` if `name` is a scope-token: `1*( %x21 / %x23-5B / %x5D-7E )`.
pub(super) fn is_scope(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_allowed)
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')
}

/// Returns `name` if it is that of a known scope.
pub(super) fn known<E: AnyScope>(name: &str) -> Result<Box<str>, ParseScopesError> {
    let problem = if name.is_empty() {
        Problem::Empty
    } else if let Some(character) = name.chars().find(|it| !u8::try_from(*it).is_ok_and(is_allowed)) {
        Problem::Character(character)
    } else if E::with_name(name).is_none() {
        Problem::Unknown(shown(name))
    } else {
        return Ok(name.into());
    };
    Err(ParseScopesError(problem))
}

/// Returns a name for a message.
pub(super) fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(MOST_SHOWN).flat_map(char::escape_debug).collect();
    if name.chars().count() > MOST_SHOWN {
        shown.push('…');
    }
    shown
}

/// Reads known scopes with one space between two of them, in any order. The empty text is the empty set.
impl<E: AnyScope> FromStr for Scopes<E> {
    type Err = ParseScopesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Self::new());
        }
        let names = text.split(' ').map(known::<E>);
        Ok(Self::of(names.collect::<Result<BTreeSet<_>, _>>()?))
    }
}

/// Writes the names in their order, with a space between any two.
impl<E> fmt::Display for Scopes<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.names.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

/// Serialises the set as one string, as `Display` writes it: that of the parameter `scope` of OAuth 2.0.
impl<E> Serialize for Scopes<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads one string, as [`FromStr`] does: an unknown scope is an error.
impl<'de, E: AnyScope> Deserialize<'de> for Scopes<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Text that is no set of known scopes: RFC 6749 calls it `invalid_scope`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseScopesError(Problem);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Empty,
    Character(char),
    Unknown(String),
}

impl fmt::Display for ParseScopesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Problem::Empty => f.write_str("a scope has a name, and one space stands between two scopes"),
            Problem::Character(' ') => f.write_str("a scope's name has no space"),
            Problem::Character(character) => write!(f, "a scope's name has no {character:?}"),
            Problem::Unknown(name) => write!(f, "there is no scope {name}"),
        }
    }
}

impl std::error::Error for ParseScopesError {}
