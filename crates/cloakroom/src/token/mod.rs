mod base64;
mod format;
mod formats;
mod hash;
mod hashing;
mod key;
mod reading;
mod scheme;
mod schemes;
mod seal;
mod tag;

pub use format::{ParseTokenError, TokenFormat, TokenPrefixError};
pub(crate) use formats::TokenFormats;
pub use hashing::{DigestError, Hashing, ParseHashingError};
pub use key::{Key, KeyError, MIN_KEY_LENGTH};
pub use reading::Reading;
pub use scheme::Scheme;
pub(crate) use scheme::SchemeProblem;
pub(crate) use schemes::{DigestAge, HashedToken, MAX_SCHEMES, PossibleDigests, Schemes};
pub(crate) use seal::Seal;
pub(crate) use tag::{DigestForm, MAX_TAG_LENGTH, MIN_DIGEST_LENGTH};

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The url-safe base64 alphabet of [RFC 4648, section 5](https://www.rfc-editor.org/rfc/rfc4648#section-5).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The least length of a new token, in characters.
///
/// Each character carries 6 bits: 132 bits at this length, 384 at the default length of 64. [RFC
/// 6749](https://www.rfc-editor.org/rfc/rfc6749#section-10.10) asks for 128 bits; OWASP's [cheat
/// sheet](https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html) asks for at least 64.
/// Shorter tokens that a table already holds are still accepted.
pub const MIN_TOKEN_LENGTH: usize = 22;

/// The least length of a token that another system has issued, in bytes: that of the shortest tokens of
/// `ecto_sessions`.
const MIN_IMPORTED_LENGTH: usize = 16;

/// The greatest length of a token, in bytes. A longer string from a client is rejected before it is hashed.
pub const MAX_TOKEN_LENGTH: usize = 4096;

/// The plaintext secret that a client holds. The database never sees it.
///
/// It has no `Display`, its `Debug` is redacted, and its memory is wiped when it is dropped. [`expose`](Token::expose)
/// is the only way to the text: call it to send the token to the client.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Generates a new token of `length` characters `A–Z a–z 0–9 - _`, from the operating system's generator.
    ///
    /// # Errors
    ///
    /// If `length` is under [`MIN_TOKEN_LENGTH`] or over [`MAX_TOKEN_LENGTH`], or if the operating system's generator
    /// fails.
    pub fn generate(length: usize) -> Result<Self, TokenError> {
        check_length(length, MIN_TOKEN_LENGTH)?;
        let mut random = Zeroizing::new(vec![0_u8; length]);
        getrandom::fill(&mut random).map_err(TokenError::Generator)?;
        // 64 symbols divide 256 evenly, so six bits of each byte are as uniform as the byte.
        let text = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect();
        Ok(Self(Zeroizing::new(text)))
    }

    /// Takes a token that another system of your own has issued, so that it still works after a move to this library.
    /// See [`NewSession::import_token`](crate::NewSession::import_token).
    ///
    /// # Errors
    ///
    /// If its length in bytes is under 16 or over [`MAX_TOKEN_LENGTH`].
    pub fn import(issued: impl Into<String>) -> Result<Self, TokenError> {
        let issued = Zeroizing::new(issued.into());
        check_length(issued.len(), MIN_IMPORTED_LENGTH)?;
        Ok(Self(issued))
    }

    /// Returns the secret itself. Send it to the client, once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

fn check_length(length: usize, least: usize) -> Result<(), TokenError> {
    if length < least {
        Err(TokenError::TooShort { least })
    } else if length > MAX_TOKEN_LENGTH {
        Err(TokenError::TooLong)
    } else {
        Ok(())
    }
}

/// Lets a new token be passed in place of a client's token.
impl AsRef<[u8]> for Token {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// Compares in constant time if the tokens are of equal length.
impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Token {}

/// Why a token could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum TokenError {
    /// The length is under the minimum: [`MIN_TOKEN_LENGTH`], or the minimum for a token that another system has
    /// issued.
    #[non_exhaustive]
    TooShort {
        /// The minimum, in characters.
        least: usize,
    },
    /// The length is over [`MAX_TOKEN_LENGTH`].
    TooLong,
    /// The operating system's generator failed.
    Generator(getrandom::Error),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { least } => write!(f, "a token's length must be at least {least}"),
            Self::TooLong => write!(f, "a token's length must be at most {MAX_TOKEN_LENGTH}"),
            Self::Generator(_) => f.write_str("the operating system's random generator failed"),
        }
    }
}

impl std::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Generator(error) => Some(error),
            _ => None,
        }
    }
}

/// The digest of a token, which the database stores: lower-case hex of the hash, or the token itself under
/// [`Hashing::DangerousPlaintext`].
///
/// It is a different type from [`Token`], so that one is never taken for the other. Its `Debug` is redacted too: a
/// digest in a log tells which log lines belong to one session, and under plaintext storage the digest is the token.
#[derive(Clone)]
pub struct TokenDigest(Zeroizing<String>);

impl TokenDigest {
    pub(crate) fn new(digest: String) -> Self {
        Self(Zeroizing::new(digest))
    }

    /// Returns the stored text, for queries of your own.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns bits that stand for the digest if it must not show itself: of a hash of it, from which it cannot be
    /// found.
    pub(crate) fn fingerprint(&self) -> [u8; 10] {
        let hash =
            Sha256::new().chain_update(b"cloakroom digest\0").chain_update(self.0.as_bytes()).finalize();
        std::array::from_fn(|index| hash[index])
    }

    /// Returns `true` if `stored`, as read from the database, is this digest. Compares in constant time.
    pub(crate) fn matches(&self, stored: &str) -> bool {
        self.0.as_bytes().ct_eq(stored.as_bytes()).into()
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_token_has_the_length_asked_for_and_only_url_safe_characters() {
        for length in [22, 23, 64, 4096] {
            let token = Token::generate(length).unwrap();
            assert_eq!(token.expose().len(), length);
            let is_url_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            assert!(token.expose().bytes().all(is_url_safe));
        }
    }

    #[test]
    fn a_token_is_of_sixty_four_symbols() {
        let token = Token::generate(MAX_TOKEN_LENGTH).unwrap();
        let symbols: HashSet<u8> = token.expose().bytes().collect();
        // The chance that one of 64 symbols is missing among 4,096 draws is under 10⁻²⁶.
        assert_eq!(symbols.len(), 64);
    }

    #[test]
    fn a_digest_is_compared_to_the_byte() {
        for text in ["6ca13d52ca70c883e0f0bb101e425a89", "In plain text, of any case"] {
            let digest = TokenDigest::new(text.to_owned());
            assert!(digest.matches(text));
            for other in [
                text.to_uppercase(),
                text.to_lowercase() + " ",
                format!("{text} "),
                format!("{text}\0"),
                text[1..].to_owned(),
                text[..text.len() - 1].to_owned(),
                String::new(),
            ] {
                assert!(!digest.matches(&other), "{other:?}");
            }
        }
    }

    #[test]
    fn a_token_equals_itself_alone_and_is_read_as_its_bytes() {
        let token = Token::import("a-token-of-the-client").unwrap();
        assert_eq!(token, Token::import("a-token-of-the-client").unwrap());
        assert_ne!(token, Token::import("a-token-of-the-cliens").unwrap());
        assert_ne!(token, Token::import("a-token-of-the-client.").unwrap());
        assert_eq!(token.as_ref(), b"a-token-of-the-client");
    }

    #[test]
    fn an_error_says_which_bound_was_passed_and_what_the_generator_said() {
        use std::error::Error;
        let said = |error: TokenError| (error.to_string(), error.source().is_some());
        assert_eq!(
            said(Token::generate(21).unwrap_err()),
            ("a token's length must be at least 22".into(), false)
        );
        assert_eq!(
            said(Token::generate(4097).unwrap_err()),
            ("a token's length must be at most 4096".into(), false)
        );
        let (text, has_source) = said(TokenError::Generator(getrandom::Error::UNSUPPORTED));
        assert!(text.contains("random generator failed") && has_source);
    }

    #[test]
    fn two_tokens_differ() {
        assert_ne!(Token::generate(64).unwrap(), Token::generate(64).unwrap());
    }

    #[test]
    fn a_length_out_of_bounds_is_refused() {
        assert!(matches!(Token::generate(21), Err(TokenError::TooShort { least: 22 })));
        assert!(matches!(Token::generate(0), Err(TokenError::TooShort { .. })));
        assert!(matches!(Token::generate(4097), Err(TokenError::TooLong)));
        assert!(matches!(Token::import("fifteen-letters"), Err(TokenError::TooShort { least: 16 })));
        assert!(matches!(Token::import(""), Err(TokenError::TooShort { .. })));
        assert!(Token::import("sixteen-letters!").is_ok());
    }

    #[test]
    fn neither_a_token_nor_a_digest_shows_itself() {
        let token = Token::import("a-secret-of-the-client").unwrap();
        assert_eq!(format!("{token:?}"), "Token(redacted)");
        assert_eq!(format!("{:?}", TokenDigest::new("c0ffee".into())), "TokenDigest(redacted)");
    }
}
