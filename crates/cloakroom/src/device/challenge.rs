use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use subtle::ConstantTimeEq;

use crate::token::TokenError;

/// The length of a challenge in bytes: 192 bits.
const LENGTH: usize = 24;

/// Text that a device is to sign, so that its proof is a new one: 24 bytes of the operating system's generator, as 32
/// characters of base64url.
///
/// A challenge is good for one proof. It is no secret of the kind that a token is, since nobody but the device can answer
/// it; its `Debug` hides it all the same.
#[derive(Clone)]
pub struct Challenge(String);

impl Challenge {
    /// Makes a new challenge.
    ///
    /// # Errors
    ///
    /// [`TokenError::Generator`] if the operating system's generator fails.
    pub fn generate() -> Result<Self, TokenError> {
        let mut random = [0; LENGTH];
        getrandom::fill(&mut random).map_err(TokenError::Generator)?;
        Ok(Self(Base64UrlUnpadded::encode_string(&random)))
    }

    /// Takes a challenge as it was stored; `None` if the text is not one.
    pub fn from_stored(text: &str) -> Option<Self> {
        let mut bytes = [0; LENGTH];
        let is_one = Base64UrlUnpadded::decode(text, &mut bytes).is_ok_and(|bytes| bytes.len() == LENGTH);
        is_one.then(|| Self(text.to_owned()))
    }

    /// Returns the challenge as text, to store it and to send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `true` if `answered`, the challenge of a [proof](super::Proof::challenge), is this one. Compares in constant
    /// time if both are of equal length.
    pub fn is(&self, answered: &str) -> bool {
        self.0.as_bytes().ct_eq(answered.as_bytes()).into()
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_new_each_time_and_is_stored_as_it_was_made() {
        let (one, other) = (Challenge::generate().unwrap(), Challenge::generate().unwrap());
        assert_eq!(one.as_str().len(), 32);
        assert!(!one.is(other.as_str()));
        let stored = Challenge::from_stored(one.as_str()).unwrap();
        assert!(stored.is(one.as_str()));
        assert!(one.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
    }

    #[test]
    fn other_text_is_no_challenge() {
        let challenge = Challenge::generate().unwrap();
        let text = challenge.as_str();
        for other in [
            String::new(),
            text[1..].to_owned(),
            text[4..].to_owned(),
            format!("{text}="),
            format!("{text}AAAA"),
            format!(" {}", &text[1..]),
            format!("+{}", &text[1..]),
        ] {
            assert!(Challenge::from_stored(&other).is_none(), "{other}");
            assert!(!challenge.is(&other));
        }
    }

    #[test]
    fn a_challenge_does_not_show_itself() {
        assert_eq!(format!("{:?}", Challenge::generate().unwrap()), "Challenge(redacted)");
    }
}
