use std::fmt;
use std::str::FromStr;

#[cfg(feature = "compat-digests")]
use blake2::{Blake2b512, Blake2s256};
#[cfg(feature = "compat-digests")]
use ripemd::Ripemd160;
#[cfg(feature = "compat-digests")]
use sha1::Sha1;
use sha2::digest::{Digest, Output};
use sha2::{Sha224, Sha256, Sha384, Sha512};
#[cfg(feature = "compat-digests")]
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

use super::hash::Hash;
use super::tag::DigestForm;
use super::{MAX_TOKEN_LENGTH, TokenDigest};

/// The algorithm that makes the stored digest from a token: lower-case hex of `hash(salt ‖ token)`.
///
/// A new token has at least 132 bits from the operating system's generator, so a fast hash is enough: there is no
/// dictionary to try. [`Sha256`](Hashing::Sha256) is the default and the right choice if in doubt. The others are for
/// tables that already use them. Those outside the SHA-2 family need the feature `compat-digests`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hashing {
    /// SHA-1. Broken for signatures, sound for this use; for existing tables only.
    #[cfg(feature = "compat-digests")]
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256. The default.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA3-224.
    #[cfg(feature = "compat-digests")]
    Sha3_224,
    /// SHA3-256.
    #[cfg(feature = "compat-digests")]
    Sha3_256,
    /// SHA3-384.
    #[cfg(feature = "compat-digests")]
    Sha3_384,
    /// SHA3-512.
    #[cfg(feature = "compat-digests")]
    Sha3_512,
    /// BLAKE2b with a digest of 512 bits.
    #[cfg(feature = "compat-digests")]
    Blake2b512,
    /// BLAKE2s with a digest of 256 bits.
    #[cfg(feature = "compat-digests")]
    Blake2s256,
    /// RIPEMD-160; for existing tables only.
    #[cfg(feature = "compat-digests")]
    Ripemd160,
    /// No hashing: the database stores the token itself.
    ///
    /// Anyone who can read the table, a backup or a replica can then sign in as any user. This variant is for tables
    /// that already store plaintext tokens, and for tests. A table that also holds older, hashed rows adds one more
    /// danger: a digest stolen from such a row would be a token. For that reason, under this setting, a string that
    /// looks like a digest (lower-case hex of a digest's length) is never accepted as a token and never generated.
    DangerousPlaintext,
}

/// Every variant with its name in configuration files and on the command line.
const NAMES: &[(Hashing, &str)] = &[
    #[cfg(feature = "compat-digests")]
    (Hashing::Sha1, "sha1"),
    (Hashing::Sha224, "sha224"),
    (Hashing::Sha256, "sha256"),
    (Hashing::Sha384, "sha384"),
    (Hashing::Sha512, "sha512"),
    #[cfg(feature = "compat-digests")]
    (Hashing::Sha3_224, "sha3-224"),
    #[cfg(feature = "compat-digests")]
    (Hashing::Sha3_256, "sha3-256"),
    #[cfg(feature = "compat-digests")]
    (Hashing::Sha3_384, "sha3-384"),
    #[cfg(feature = "compat-digests")]
    (Hashing::Sha3_512, "sha3-512"),
    #[cfg(feature = "compat-digests")]
    (Hashing::Blake2b512, "blake2b-512"),
    #[cfg(feature = "compat-digests")]
    (Hashing::Blake2s256, "blake2s-256"),
    #[cfg(feature = "compat-digests")]
    (Hashing::Ripemd160, "ripemd160"),
    (Hashing::DangerousPlaintext, "none"),
];

/// The names of Elixir's `:crypto`, and so of the settings of `ecto_sessions`, if they differ from these.
const NAMES_IN_ELIXIR: &[(Hashing, &str)] = &[
    #[cfg(feature = "compat-digests")]
    (Hashing::Sha1, "sha"),
    #[cfg(feature = "compat-digests")]
    (Hashing::Sha3_224, "sha3_224"),
    #[cfg(feature = "compat-digests")]
    (Hashing::Sha3_256, "sha3_256"),
    #[cfg(feature = "compat-digests")]
    (Hashing::Sha3_384, "sha3_384"),
    #[cfg(feature = "compat-digests")]
    (Hashing::Sha3_512, "sha3_512"),
    #[cfg(feature = "compat-digests")]
    (Hashing::Blake2b512, "blake2b"),
    #[cfg(feature = "compat-digests")]
    (Hashing::Blake2s256, "blake2s"),
];

impl Hashing {
    /// Returns the digest of `token` under `salt`. An empty salt is no salt.
    ///
    /// # Errors
    ///
    /// If there is a salt but no hashing to mix it into, if the token is empty or longer than [`MAX_TOKEN_LENGTH`],
    /// and, without hashing, if the token is not text that a table of plaintext tokens can hold.
    pub fn digest(self, salt: &[u8], token: &[u8]) -> Result<TokenDigest, DigestError> {
        self.hash(salt, token).map(|hash| hash.digest())
    }

    /// Reads a digest that this hashing has made, in hexadecimal, for a token that another system of your own issued.
    /// See [`ImportedSession::with_digest`](crate::ImportedSession::with_digest).
    ///
    /// # Errors
    ///
    /// [`DigestError::NotADigest`] if the text has another length or is not hexadecimal. With
    /// [`DangerousPlaintext`](Self::DangerousPlaintext), under which a token is not hashed, this is always the result.
    pub fn parse_digest(self, text: &str) -> Result<TokenDigest, DigestError> {
        let bytes = base16ct::mixed::decode_vec(text).map_err(|_| DigestError::NotADigest)?;
        match self.length() {
            Some(length) if bytes.len() == length => Ok(Hash::of(&bytes).digest()),
            _ => Err(DigestError::NotADigest),
        }
    }

    /// Returns the length of a digest in bytes, or `None` if there is no hashing.
    pub(super) fn length(self) -> Option<usize> {
        // Any token will do: all digests of one hashing have the same length.
        self.hash(b"", b"any").ok().and_then(|hash| hash.bytes().map(<[u8]>::len))
    }

    pub(super) fn hash<'t>(self, salt: &[u8], token: &'t [u8]) -> Result<Hash<'t>, DigestError> {
        if token.is_empty() {
            return Err(DigestError::Empty);
        }
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(DigestError::TooLong);
        }
        Ok(match self {
            #[cfg(feature = "compat-digests")]
            Self::Sha1 => Hash::of(&salted::<Sha1>(salt, token)),
            Self::Sha224 => Hash::of(&salted::<Sha224>(salt, token)),
            Self::Sha256 => Hash::of(&salted::<Sha256>(salt, token)),
            Self::Sha384 => Hash::of(&salted::<Sha384>(salt, token)),
            Self::Sha512 => Hash::of(&salted::<Sha512>(salt, token)),
            #[cfg(feature = "compat-digests")]
            Self::Sha3_224 => Hash::of(&salted::<Sha3_224>(salt, token)),
            #[cfg(feature = "compat-digests")]
            Self::Sha3_256 => Hash::of(&salted::<Sha3_256>(salt, token)),
            #[cfg(feature = "compat-digests")]
            Self::Sha3_384 => Hash::of(&salted::<Sha3_384>(salt, token)),
            #[cfg(feature = "compat-digests")]
            Self::Sha3_512 => Hash::of(&salted::<Sha3_512>(salt, token)),
            #[cfg(feature = "compat-digests")]
            Self::Blake2b512 => Hash::of(&salted::<Blake2b512>(salt, token)),
            #[cfg(feature = "compat-digests")]
            Self::Blake2s256 => Hash::of(&salted::<Blake2s256>(salt, token)),
            #[cfg(feature = "compat-digests")]
            Self::Ripemd160 => Hash::of(&salted::<Ripemd160>(salt, token)),
            Self::DangerousPlaintext if !salt.is_empty() => {
                return Err(DigestError::SaltWithoutHashing);
            }
            Self::DangerousPlaintext => Hash::Text(plaintext(token)?),
        })
    }
}

fn salted<D: Digest>(salt: &[u8], token: &[u8]) -> Output<D> {
    if salt.is_empty() {
        // Hashing in one call is faster.
        return D::digest(token);
    }
    D::new().chain_update(salt).chain_update(token).finalize()
}

/// Returns the token as text that a table of plaintext tokens may hold.
fn plaintext(token: &[u8]) -> Result<&str, DigestError> {
    let text = std::str::from_utf8(token).map_err(|_| DigestError::NotText)?;
    if text.contains('\0') {
        return Err(DigestError::NotText);
    }
    if looks_like_a_digest(text) {
        return Err(DigestError::LooksLikeADigest);
    }
    Ok(text)
}

/// Returns `true` if the text has the form of a digest: as a hashing makes it, or with the tag of a scheme.
fn looks_like_a_digest(text: &str) -> bool {
    const LENGTHS: [usize; 5] = [20, 28, 32, 48, 64];
    match DigestForm::of_text(text) {
        DigestForm::Tagged(_) => true,
        DigestForm::Hex { length } => LENGTHS.contains(&length),
        DigestForm::Text => false,
    }
}

impl fmt::Display for Hashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(hashing, _)| hashing == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// Reads the names that [`Display`](fmt::Display) writes (`sha256`, `sha3-512`, `blake2b-512`, `none`…) and those of
/// `ecto_sessions` (`sha`, `sha3_512`, `blake2b`…).
impl FromStr for Hashing {
    type Err = ParseHashingError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let mut names = NAMES.iter().chain(NAMES_IN_ELIXIR);
        names
            .find(|(_, known)| *known == name)
            .map(|(hashing, _)| *hashing)
            .ok_or_else(|| ParseHashingError { needs_feature: NAMES_OF_THE_FEATURE.contains(&name) })
    }
}

/// A name that is not the name of a hashing algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseHashingError {
    /// Whether the name is that of an algorithm that needs the feature `compat-digests`.
    needs_feature: bool,
}

/// The names of the algorithms that need the feature `compat-digests`.
#[cfg(not(feature = "compat-digests"))]
const NAMES_OF_THE_FEATURE: &[&str] = &[
    "sha1",
    "sha",
    "sha3-224",
    "sha3-256",
    "sha3-384",
    "sha3-512",
    "sha3_224",
    "sha3_256",
    "sha3_384",
    "sha3_512",
    "blake2b-512",
    "blake2b",
    "blake2s-256",
    "blake2s",
    "ripemd160",
];
#[cfg(feature = "compat-digests")]
const NAMES_OF_THE_FEATURE: &[&str] = &[];

impl fmt::Display for ParseHashingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.needs_feature {
            return f.write_str(
                "this hashing algorithm needs the feature `compat-digests` of the crate `cloakroom`",
            );
        }
        f.write_str("not a hashing algorithm; the names are ")?;
        for (place, (_, name)) in NAMES.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseHashingError {}

/// Why a token has no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DigestError {
    /// The token is empty.
    Empty,
    /// The token is longer than [`MAX_TOKEN_LENGTH`] bytes.
    TooLong,
    /// A salt was given with [`Hashing::DangerousPlaintext`].
    SaltWithoutHashing,
    /// Without hashing, a token must be text: UTF-8 without U+0000.
    NotText,
    /// Without hashing, a token that has the form of a digest is not accepted.
    LooksLikeADigest,
    /// The text is not a digest of this scheme.
    NotADigest,
    /// The token has not the form that the other system's tokens have, or its digest has not.
    NotOfThisScheme,
    /// The token has none of the formats that the [`Config`](crate::Config) accepts.
    Format,
}

impl fmt::Display for DigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the token is empty",
            Self::TooLong => "the token is longer than any token can be",
            Self::SaltWithoutHashing => "a token that is not hashed cannot be salted",
            Self::NotText => "a token that is not hashed must be text",
            Self::LooksLikeADigest => "a token that is not hashed must not look like a digest",
            Self::NotOfThisScheme => "the token has not the form of those of this scheme",
            Self::NotADigest => {
                "this is no digest of the configured scheme: its length or its characters are others"
            }
            Self::Format => "the token has none of the accepted formats",
        })
    }
}

impl std::error::Error for DigestError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let always = [
            (Hashing::Sha224, "sha224"),
            (Hashing::Sha256, "sha256"),
            (Hashing::Sha384, "sha384"),
            (Hashing::Sha512, "sha512"),
            (Hashing::DangerousPlaintext, "none"),
        ];
        #[cfg(feature = "compat-digests")]
        let with_feature = [
            (Hashing::Sha1, "sha1"),
            (Hashing::Sha3_224, "sha3-224"),
            (Hashing::Sha3_256, "sha3-256"),
            (Hashing::Sha3_384, "sha3-384"),
            (Hashing::Sha3_512, "sha3-512"),
            (Hashing::Blake2b512, "blake2b-512"),
            (Hashing::Blake2s256, "blake2s-256"),
            (Hashing::Ripemd160, "ripemd160"),
        ];
        #[cfg(not(feature = "compat-digests"))]
        let with_feature: [(Hashing, &str); 0] = [];
        assert_eq!(NAMES.len(), always.len() + with_feature.len());
        for (hashing, name) in always.into_iter().chain(with_feature) {
            assert_eq!(hashing.to_string(), name);
            assert_eq!(name.parse(), Ok(hashing));
        }
        let error = "md5".parse::<Hashing>().unwrap_err().to_string();
        assert!(error.contains("sha256") && error.contains("none"), "{error}");
    }

    #[test]
    fn a_token_that_is_empty_or_too_long_has_no_digest() {
        let longest = [b'a'; 4096];
        for hashing in [Hashing::Sha256, Hashing::DangerousPlaintext] {
            assert!(matches!(hashing.digest(b"", b""), Err(DigestError::Empty)));
            assert!(hashing.digest(b"", &longest).is_ok());
            assert!(matches!(hashing.digest(b"", &[b'a'; 4097]), Err(DigestError::TooLong)));
        }
    }

    #[test]
    fn plain_text_takes_no_salt_and_its_digests_are_not_read_as_hexadecimal() {
        let plain = Hashing::DangerousPlaintext;
        assert!(matches!(plain.digest(b"salt", b"token"), Err(DigestError::SaltWithoutHashing)));
        assert!(matches!(plain.parse_digest("abc"), Err(DigestError::NotADigest)));
        assert_eq!(Hashing::Sha256.parse_digest(&"aB".repeat(32)).unwrap().expose(), "ab".repeat(32));
        assert!(matches!(Hashing::Sha256.parse_digest(&"ab".repeat(31)), Err(DigestError::NotADigest)));
    }

    #[test]
    fn in_plain_text_only_what_has_the_form_of_a_digest_is_refused() {
        let plain = |token: &str| Hashing::DangerousPlaintext.digest(b"", token.as_bytes());
        for length in [40, 56, 64, 96, 128] {
            assert!(matches!(plain(&"0a".repeat(length / 2)), Err(DigestError::LooksLikeADigest)));
            assert!(plain(&"0g".repeat(length / 2)).is_ok());
            assert!(plain(&"0A".repeat(length / 2)).is_ok());
        }
        assert!(plain(&"0a".repeat(19)).is_ok());
        assert!(matches!(plain("a\0b"), Err(DigestError::NotText)));
        assert!(matches!(Hashing::DangerousPlaintext.digest(b"", &[0xff]), Err(DigestError::NotText)));
    }

    #[test]
    fn each_error_says_what_is_wrong_with_the_token() {
        for (error, part) in [
            (DigestError::Empty, "is empty"),
            (DigestError::TooLong, "longer"),
            (DigestError::SaltWithoutHashing, "salted"),
            (DigestError::NotText, "must be text"),
            (DigestError::LooksLikeADigest, "look like a digest"),
            (DigestError::NotADigest, "no digest"),
            (DigestError::Format, "accepted formats"),
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
        let unknown = "md5".parse::<Hashing>().unwrap_err().to_string();
        assert!(unknown.contains("the names are ") && !unknown.contains("are ,"), "{unknown}");
        assert!(unknown.contains(", sha256,"), "{unknown}");
    }

    #[test]
    fn the_key_in_memory_is_the_same_for_one_token_and_another_for_another() {
        for hashing in [Hashing::Sha224, Hashing::Sha256, Hashing::Sha512, Hashing::DangerousPlaintext] {
            let key = |token: &[u8]| hashing.hash(b"", token).unwrap().key();
            assert_eq!(key(b"one-token"), key(b"one-token"), "{hashing}");
            assert_ne!(key(b"one-token"), key(b"another-token"), "{hashing}");
        }
    }

    #[cfg(feature = "compat-digests")]
    #[test]
    fn the_names_of_elixir_are_read_and_not_written() {
        for (name, written) in [
            ("sha", "sha1"),
            ("sha3_224", "sha3-224"),
            ("sha3_256", "sha3-256"),
            ("sha3_384", "sha3-384"),
            ("sha3_512", "sha3-512"),
            ("blake2b", "blake2b-512"),
            ("blake2s", "blake2s-256"),
        ] {
            assert_eq!(name.parse::<Hashing>().unwrap().to_string(), written);
        }
    }

    #[cfg(not(feature = "compat-digests"))]
    #[test]
    fn a_name_that_needs_the_feature_says_so() {
        for name in ["sha1", "sha", "sha3-224", "sha3_512", "blake2b-512", "blake2b", "blake2s", "ripemd160"]
        {
            let error = name.parse::<Hashing>().unwrap_err().to_string();
            assert!(error.contains("compat-digests"), "{name}: {error}");
        }
    }

    #[test]
    fn an_empty_token_is_never_hashed() {
        for (hashing, _) in NAMES {
            assert_eq!(hashing.digest(b"", b"").unwrap_err(), DigestError::Empty);
        }
    }

    #[test]
    fn a_token_beyond_all_length_is_never_hashed() {
        let endless = vec![b'a'; 10_000_000];
        assert_eq!(Hashing::Sha256.digest(b"", &endless).unwrap_err(), DigestError::TooLong);
    }

    #[test]
    fn without_hashing_the_digest_of_an_older_row_is_no_token() {
        let stolen = Hashing::Sha256.digest(b"", b"a token of long ago").unwrap();
        let error = Hashing::DangerousPlaintext.digest(b"", stolen.expose().as_bytes()).unwrap_err();
        assert_eq!(error, DigestError::LooksLikeADigest);
    }

    #[test]
    fn a_digest_is_read_as_its_own_hashing_writes_it() {
        for (hashing, _) in NAMES {
            let digest = hashing.digest(b"", b"a token").unwrap();
            let text = digest.expose();
            if *hashing == Hashing::DangerousPlaintext {
                assert_eq!(hashing.parse_digest(text).unwrap_err(), DigestError::NotADigest);
                continue;
            }
            assert_eq!(hashing.parse_digest(&text.to_uppercase()).unwrap().expose(), text);
            for other in [&text[1..], &format!("{text}0"), &format!("g{}", &text[1..]), ""] {
                assert_eq!(hashing.parse_digest(other).unwrap_err(), DigestError::NotADigest);
            }
        }
    }

    #[test]
    fn without_hashing_only_text_is_a_token() {
        for garbage in [&b"\xff\xfe"[..], b"with\0nul"] {
            let error = Hashing::DangerousPlaintext.digest(b"", garbage).unwrap_err();
            assert_eq!(error, DigestError::NotText);
        }
    }
}
