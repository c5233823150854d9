use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

use super::Hashing;
use super::hash::Hash;

/// How another system makes the digest of a token, for [`Scheme::adopted`](crate::Scheme::adopted).
///
/// "The hash of the token" has more than one reading: of the whole text, of the part after a separator, of the bytes
/// that the text stands for, with a secret of the system's before or after it, or hashed once more. A `Reading` names
/// one of them, and `docs/moving.md` in the repository names that of many systems. The steps are always taken in this
/// order: the part after the separator, its bytes, the secrets, the hash, and the hash of its hexadecimal form.
///
/// ```
/// use cloakroom::{Hashing, Reading};
///
/// // Laravel Sanctum: `ID|TOKEN` is presented, and SHA-256 of what follows the bar is stored.
/// let sanctum = Reading::of(Hashing::Sha256).after('|');
/// // django-rest-knox 4: SHA-512 of the bytes for which the hexadecimal text stands.
/// let knox_4 = Reading::of(Hashing::Sha512).decoded_hex();
/// ```
#[derive(Clone)]
pub struct Reading {
    after: Option<char>,
    form: Form,
    prepended: Zeroizing<Vec<u8>>,
    appended: Zeroizing<Vec<u8>>,
    hash: HashFunction,
    is_twice: bool,
}

/// What the text of a token stands for.
#[derive(Clone, Copy, Debug)]
enum Form {
    Text,
    Hex,
    Base64Url,
}

#[derive(Clone, Copy, Debug)]
enum HashFunction {
    Hashing(Hashing),
    #[cfg(feature = "compat-digests")]
    WordPress,
}

impl Reading {
    /// The hash of the token's whole text. With [`Hashing::DangerousPlaintext`] no token is accepted: import the token
    /// itself.
    pub fn of(hashing: Hashing) -> Self {
        Self::with(HashFunction::Hashing(hashing))
    }

    /// The hash that WordPress 6.8 and later store of an application password, after `$generic$` and in base64: BLAKE2b
    /// of 30 bytes, under the fixed key of `wp_fast_hash`.
    #[cfg(feature = "compat-digests")]
    pub fn wordpress() -> Self {
        Self::with(HashFunction::WordPress)
    }

    fn with(hash: HashFunction) -> Self {
        let none = || Zeroizing::new(Vec::new());
        Self { after: None, form: Form::Text, prepended: none(), appended: none(), hash, is_twice: false }
    }

    /// Takes what follows the first `separator`. A token without it is not of this scheme.
    #[must_use]
    pub fn after(self, separator: char) -> Self {
        Self { after: Some(separator), ..self }
    }

    /// Takes the bytes that the text stands for in hexadecimal. A token that is not hexadecimal is not of this scheme.
    #[must_use]
    pub fn decoded_hex(self) -> Self {
        Self { form: Form::Hex, ..self }
    }

    /// Takes the bytes that the text stands for in url-safe base64, with or without padding. A token that is not is not
    /// of this scheme.
    #[must_use]
    pub fn decoded_base64url(self) -> Self {
        Self { form: Form::Base64Url, ..self }
    }

    /// Adds a secret of the other system's before what is hashed.
    #[must_use]
    pub fn prepend(self, secret: impl Into<Vec<u8>>) -> Self {
        Self { prepended: Zeroizing::new(secret.into()), ..self }
    }

    /// Adds a secret of the other system's after what is hashed.
    #[must_use]
    pub fn append(self, secret: impl Into<Vec<u8>>) -> Self {
        Self { appended: Zeroizing::new(secret.into()), ..self }
    }

    /// Hashes the lower-case hexadecimal form of the hash once more.
    #[must_use]
    pub fn twice(self) -> Self {
        Self { is_twice: true, ..self }
    }

    /// Returns the length of a hash in bytes, or `None` if no token is accepted.
    pub(super) fn length(&self) -> Option<usize> {
        self.hash.apply(b"any")?.bytes().map(<[u8]>::len)
    }

    /// Returns the hash, or `None` if the token is not of this scheme.
    pub(super) fn hash(&self, token: &[u8]) -> Option<Hash<'static>> {
        let text = std::str::from_utf8(token).ok()?;
        let part = match self.after {
            Some(separator) => text.split_once(separator)?.1,
            None => text,
        };
        let decoded = match self.form {
            Form::Text => Zeroizing::new(part.as_bytes().to_vec()),
            Form::Hex => Zeroizing::new(base16ct::mixed::decode_vec(part).ok()?),
            Form::Base64Url => {
                Zeroizing::new(Base64UrlUnpadded::decode_vec(part.trim_end_matches('=')).ok()?)
            }
        };
        if decoded.is_empty() {
            return None;
        }
        let hashed = [&self.prepended[..], &decoded, &self.appended].concat();
        let once = self.hash.apply(&Zeroizing::new(hashed))?;
        if self.is_twice { self.hash.apply(once.digest().expose().as_bytes()) } else { Some(once) }
    }
}

impl HashFunction {
    fn apply(self, bytes: &[u8]) -> Option<Hash<'static>> {
        match self {
            Self::Hashing(hashing) => hashing.hash(b"", bytes).ok()?.bytes().map(Hash::of),
            #[cfg(feature = "compat-digests")]
            Self::WordPress => {
                use blake2::Blake2bMac;
                use sha2::digest::{FixedOutput, KeyInit, Update, consts::U30};
                let mut mac = Blake2bMac::<U30>::new_from_slice(b"wp_fast_hash_6.8+").ok()?;
                mac.update(bytes);
                Some(Hash::of(&mac.finalize_fixed()))
            }
        }
    }
}

/// Shows no secret.
impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("after", &self.after)
            .field("form", &self.form)
            .field("hash", &self.hash)
            .field("is_twice", &self.is_twice)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(reading: &Reading, token: &str) -> Option<String> {
        reading.hash(token.as_bytes()).map(|hash| hash.digest().expose().to_owned())
    }

    fn sha256(bytes: &[u8]) -> String {
        Hashing::Sha256.digest(b"", bytes).unwrap().expose().to_owned()
    }

    #[test]
    fn each_step_is_taken_in_its_turn() {
        let reading = || Reading::of(Hashing::Sha256);
        for (reading, hashed) in [
            (reading(), &b"12|6162"[..]),
            (reading().after('|'), b"6162"),
            (reading().after('|').decoded_hex(), b"ab"),
            (reading().after('|').decoded_base64url(), &[0xeb, 0x5e, 0xb6]),
            (reading().after('|').decoded_hex().prepend("<").append(">"), b"<ab>"),
            (reading().after('|').decoded_hex().twice(), sha256(b"ab").as_bytes()),
        ] {
            assert_eq!(hex(&reading, "12|6162").unwrap(), sha256(hashed), "{reading:?}");
        }
    }

    #[test]
    fn a_token_of_another_form_is_not_of_the_scheme() {
        let reading = || Reading::of(Hashing::Sha256);
        for (reading, token) in [
            (reading().after('|'), "no-bar"),
            (reading().after('|'), "12|"),
            (reading().decoded_hex(), "abc"),
            (reading().decoded_hex(), "xy"),
            (reading().decoded_base64url(), "a+b/"),
            (reading(), ""),
            (Reading::of(Hashing::DangerousPlaintext), "a-token"),
        ] {
            assert!(hex(&reading, token).is_none(), "{reading:?} {token}");
        }
        assert!(reading().hash(b"\xff").is_none());
    }

    #[test]
    fn the_part_follows_the_first_separator() {
        let reading = Reading::of(Hashing::Sha256).after('.');
        assert_eq!(hex(&reading, "a.b.c").unwrap(), sha256(b"b.c"));
    }

    #[cfg(feature = "compat-digests")]
    #[test]
    fn the_hash_of_wordpress_is_keyed_blake2b_of_thirty_bytes() {
        // Computed with Python's hashlib: blake2b(password, key=b"wp_fast_hash_6.8+", digest_size=30).
        let hash = hex(&Reading::wordpress(), "abcdEFGH1234ijklMNOP5678").unwrap();
        assert_eq!(hash, "17a5b5f2ed10132b6f4556f9f437a6556471c93c54eaf83f54ad2cfdffa1");
        assert_eq!(Reading::wordpress().length(), Some(30));
    }

    #[test]
    fn secrets_do_not_show() {
        let reading = Reading::of(Hashing::Sha256).prepend("hush-before").append("hush-after");
        assert!(!format!("{reading:?}").contains("hush"));
    }
}
