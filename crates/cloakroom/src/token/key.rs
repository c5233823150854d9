use std::fmt;

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::base64;

/// The least length of a key, in bytes: that of an output of SHA-256, as [RFC 2104, section
/// 3](https://www.rfc-editor.org/rfc/rfc2104#section-3) advises.
pub const MIN_KEY_LENGTH: usize = 32;

/// A secret key of the application's, under which the digests of tokens are made. See
/// [`Scheme::hmac_sha256`](crate::Scheme::hmac_sha256).
///
/// It has at least [`MIN_KEY_LENGTH`] bytes. Keep it outside the database. It has no `Display`, its `Debug` is redacted,
/// and its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// Generates a new key of 32 bytes, from the operating system's generator.
    ///
    /// # Errors
    ///
    /// [`KeyError::Generator`] if the operating system's generator fails.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new(vec![0; MIN_KEY_LENGTH]);
        getrandom::fill(&mut bytes).map_err(KeyError::Generator)?;
        Ok(Self(bytes))
    }

    /// Takes the bytes of a key. They must come from a random generator: a pass phrase is not a key.
    ///
    /// # Errors
    ///
    /// [`KeyError::TooShort`] if there are fewer than [`MIN_KEY_LENGTH`].
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, KeyError> {
        Self::checked(Zeroizing::new(bytes.into()))
    }

    /// Reads a key from base64 ([RFC 4648](https://www.rfc-editor.org/rfc/rfc4648)), in the standard or the url-safe
    /// alphabet, with or without padding. White space at the ends is ignored. The text is decoded in constant time.
    ///
    /// # Errors
    ///
    /// If the text is not base64, or is of fewer than [`MIN_KEY_LENGTH`] bytes. The error does not hold the text.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        Self::checked(base64::decode(text.trim()).ok_or(KeyError::NotBase64)?)
    }

    fn checked(bytes: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        if bytes.len() < MIN_KEY_LENGTH {
            return Err(KeyError::TooShort { bytes: bytes.len() });
        }
        Ok(Self(bytes))
    }

    /// Returns the key in base64 of the standard alphabet, with padding. Keep it as the secret that it is.
    pub fn expose_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(Base64::encode_string(&self.0))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// Why there is no key.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// The key has fewer than [`MIN_KEY_LENGTH`] bytes. An empty key may come from an environment variable that was not
    /// set.
    #[non_exhaustive]
    TooShort {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The text is not base64.
    NotBase64,
    /// The operating system's generator failed.
    Generator(getrandom::Error),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { bytes: 0 } => {
                write!(f, "the key is empty: it must have at least {MIN_KEY_LENGTH} bytes")
            }
            Self::TooShort { bytes } => {
                write!(f, "the key has {bytes} bytes: it must have at least {MIN_KEY_LENGTH}")
            }
            Self::NotBase64 => f.write_str("the key is not base64"),
            Self::Generator(_) => f.write_str("the operating system's random generator failed"),
        }
    }
}

impl std::error::Error for KeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Generator(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_in_each_form_of_base64() {
        let bytes: Vec<u8> = (0..34).map(|number| 0xef ^ number).collect();
        let key = Key::from_bytes(bytes.clone()).unwrap();
        let standard = key.expose_base64();
        assert!(standard.contains(['+', '/']) && standard.ends_with('='));
        let url_safe = standard.replace('+', "-").replace('/', "_");
        for text in [standard.as_str(), &url_safe] {
            for text in [text.to_owned(), text.trim_end_matches('=').to_owned(), format!(" {text}\n")] {
                assert_eq!(Key::from_base64(&text).unwrap().bytes(), bytes, "{text}");
            }
        }
    }

    #[test]
    fn an_empty_or_short_key_is_refused_and_says_why() {
        let said = |key: Result<Key, KeyError>| key.unwrap_err().to_string();
        assert_eq!(said(Key::from_base64("")), "the key is empty: it must have at least 32 bytes");
        assert_eq!(said(Key::from_bytes("")), "the key is empty: it must have at least 32 bytes");
        assert_eq!(said(Key::from_bytes([7; 31])), "the key has 31 bytes: it must have at least 32");
        assert!(Key::from_bytes([7; 32]).is_ok());
        let secret = "hush, this is no base64";
        let error = Key::from_base64(secret).unwrap_err();
        assert_eq!(error.to_string(), "the key is not base64");
        assert!(!format!("{error:?}").contains("hush"));
    }

    #[test]
    fn new_keys_differ_and_none_shows_itself() {
        let (one, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        assert_ne!(one.bytes(), other.bytes());
        assert_eq!(one.bytes().len(), 32);
        assert_eq!(format!("{one:?}"), "Key(redacted)");
    }
}
