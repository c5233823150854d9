use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use super::base64;
use super::hash::{Hash, MAX_HASH_LENGTH};
use super::tag::{DigestForm, MIN_DIGEST_LENGTH, TAG_END, is_tag};
use super::{DigestError, Hashing, Key, MAX_TOKEN_LENGTH, Reading, TokenDigest};

/// One way of making the stored digest from a token. [`ConfigBuilder::digests`](crate::ConfigBuilder::digests) takes a
/// list of them, newest first.
///
/// | scheme | what is stored |
/// |---|---|
/// | [`hmac_sha256`](Self::hmac_sha256), [`hmac_sha512`](Self::hmac_sha512) | `NAME$HEX`, with the name of the key |
/// | [`hashed`](Self::hashed), [`sha256`](Self::sha256), [`salted`](Self::salted) | `HEX` |
/// | [`adopted`](Self::adopted), [`adopted_by`](Self::adopted_by) | `TAG$HEX` |
///
/// A name or tag has 1 to 32 ASCII letters, digits, `-`, `_` and `.`. A digest is found only under the scheme that made
/// it. The `Debug` output of a scheme shows neither keys nor salts.
#[derive(Clone)]
pub struct Scheme {
    tag: Option<Cow<'static, str>>,
    method: Method,
    is_incoming: bool,
}

/// Returns the bytes of a token's digest, or `None` if it is not a token of the system.
type DigestFunction = dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync;

#[derive(Clone)]
enum Method {
    Hash { hashing: Hashing, salt: Option<Arc<Zeroizing<Vec<u8>>>> },
    // With the key's own blocks hashed beforehand.
    HmacSha256(Arc<Hmac<Sha256>>),
    HmacSha512(Arc<Hmac<Sha512>>),
    Reading(Arc<Reading>),
    Other(Arc<DigestFunction>),
}

impl Scheme {
    /// HMAC-SHA-256 ([RFC 2104](https://www.rfc-editor.org/rfc/rfc2104)) of the token under a key of the application's.
    /// This is what a new table that is to have a secret should use.
    ///
    /// A thief who has the database, or can write to it, cannot make a digest for a token of their own without the key.
    /// The key's name is stored before each digest, so it is no secret. A month such as `2026-11` is a good one. A name
    /// always stands for the same key: a digest that another key of this name has made is no longer found.
    pub fn hmac_sha256(name: impl Into<Cow<'static, str>>, key: &Key) -> Self {
        Self::keyed(name, Method::HmacSha256(Arc::new(mac(key))))
    }

    /// HMAC-SHA-512 of the token under a key of the application's. See [`hmac_sha256`](Self::hmac_sha256).
    pub fn hmac_sha512(name: impl Into<Cow<'static, str>>, key: &Key) -> Self {
        Self::keyed(name, Method::HmacSha512(Arc::new(mac(key))))
    }

    /// SHA-256 of the token, the default.
    pub fn sha256() -> Self {
        Self::hashed(Hashing::Sha256)
    }

    /// A hash of the token. This is what [`ConfigBuilder::hashing`](crate::ConfigBuilder::hashing) sets.
    pub fn hashed(hashing: Hashing) -> Self {
        Self { tag: None, method: Method::Hash { hashing, salt: None }, is_incoming: false }
    }

    /// `hash(salt ‖ token)`, as `ecto_sessions` makes it. This is what
    /// [`ConfigBuilder::secret_salt`](crate::ConfigBuilder::secret_salt) sets. For tables that already use it: a new one
    /// should have [`hmac_sha256`](Self::hmac_sha256).
    pub fn salted(hashing: Hashing, salt: impl Into<Vec<u8>>) -> Self {
        let salt = Some(Arc::new(Zeroizing::new(salt.into())));
        Self { tag: None, method: Method::Hash { hashing, salt }, is_incoming: false }
    }

    /// The digests that another system has made. They are stored as `TAG$HEX`, where [`import`](crate::Sessions::import)
    /// and `cloakroom import` put them. No new token is stored under it: it cannot stand first in the list.
    pub fn adopted(tag: impl Into<Cow<'static, str>>, reading: Reading) -> Self {
        Self::keyed(tag, Method::Reading(Arc::new(reading)))
    }

    /// Like [`adopted`](Self::adopted), for a system of which no [`Reading`] tells. `digest` returns the bytes of a
    /// token's digest, or `None` if the token has not the form that this system's have.
    ///
    /// It gets what the client presented: any bytes, of 1 to [`MAX_TOKEN_LENGTH`] of them. It must return a
    /// cryptographic hash that includes all of the token's secret. A digest of fewer than 16 or more than 64 bytes is no
    /// digest: the token is then unknown.
    pub fn adopted_by(
        tag: impl Into<Cow<'static, str>>,
        digest: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self::keyed(tag, Method::Other(Arc::new(digest)))
    }

    fn keyed(tag: impl Into<Cow<'static, str>>, method: Method) -> Self {
        Self { tag: Some(tag.into()), method, is_incoming: false }
    }

    /// Marks a scheme that other processes already store under, or will soon. Sessions are looked up under it and stay
    /// as they are stored. Without the mark, a process in whose list it stands second would store them under its first
    /// scheme again, and the others would store them back, at each read.
    ///
    /// It is for the first step of [replacing a key](crate::ConfigBuilder::digests). In the first place of a list it has
    /// no effect.
    #[must_use]
    pub fn incoming(self) -> Self {
        Self { is_incoming: true, ..self }
    }

    /// Returns the name of its key, its tag, or the name of its hash. Digests of a hash carry no name, so two schemes
    /// may have one name, with a salt and without.
    pub fn name(&self) -> Cow<'_, str> {
        match (&self.tag, &self.method) {
            (Some(tag), _) => Cow::Borrowed(tag),
            (None, Method::Hash { hashing, .. }) => Cow::Owned(hashing.to_string()),
            (None, _) => Cow::Borrowed(""),
        }
    }

    /// Returns the digest under which this scheme stores a token.
    ///
    /// # Errors
    ///
    /// Those of [`Hashing::digest`], and [`DigestError::NotOfThisScheme`] if the token cannot be one of the system whose
    /// digests are adopted.
    pub fn digest(&self, token: impl AsRef<[u8]>) -> Result<TokenDigest, DigestError> {
        self.hash(token.as_ref()).map(|hash| self.digest_of(&hash))
    }

    /// Reads a digest of this scheme as text, for [`import`](crate::Sessions::import), with a tag and without: in
    /// hexadecimal of either case, or in base64 of either alphabet, padded or not. Its length tells which it is.
    ///
    /// For [`adopted_by`](Self::adopted_by), where the length of a digest is not known, it is read in hexadecimal alone.
    /// Pass the decoded bytes of another form to [`digest_from_bytes`](Self::digest_from_bytes).
    ///
    /// # Errors
    ///
    /// [`DigestError::NotADigest`] if the text is neither, or has not the length of this scheme's digests.
    pub fn parse_digest(&self, text: &str) -> Result<TokenDigest, DigestError> {
        let untagged = self.tag.as_ref().and_then(|tag| text.strip_prefix(&**tag)?.strip_prefix(TAG_END));
        let text = untagged.unwrap_or(text);
        let bytes = match self.length() {
            // No hexadecimal of a digest is as long as its base64.
            Some(length) if text.len() != 2 * length => base64::decode(text),
            _ => base16ct::mixed::decode_vec(text).ok().map(Zeroizing::new),
        };
        self.digest_from_bytes(&bytes.ok_or(DigestError::NotADigest)?)
    }

    /// Takes the bytes of a digest of this scheme, for a system that stores it raw or in base64.
    ///
    /// # Errors
    ///
    /// [`DigestError::NotADigest`] if there are not as many as this scheme's digests have.
    pub fn digest_from_bytes(&self, bytes: &[u8]) -> Result<TokenDigest, DigestError> {
        let is_right = match self.length() {
            Some(length) => bytes.len() == length,
            None => self.tag.is_some() && is_of_digest_length(bytes),
        };
        if is_right { Ok(self.digest_of(&Hash::of(bytes))) } else { Err(DigestError::NotADigest) }
    }

    /// Returns the length of a digest in bytes, or `None` if it is the token itself or not known.
    pub(super) fn length(&self) -> Option<usize> {
        match &self.method {
            Method::Hash { hashing, .. } => hashing.length(),
            Method::HmacSha256(_) => Some(32),
            Method::HmacSha512(_) => Some(64),
            Method::Reading(reading) => reading.length(),
            Method::Other(_) => None,
        }
    }

    /// Returns the form in which its digests are stored.
    pub(crate) fn form(&self) -> DigestForm {
        match (&self.tag, self.length()) {
            (Some(tag), _) => DigestForm::Tagged(tag.to_string()),
            (None, Some(length)) => DigestForm::Hex { length },
            (None, None) => DigestForm::Text,
        }
    }

    pub(super) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub(super) fn is_incoming(&self) -> bool {
        self.is_incoming
    }

    pub(crate) fn is_adopted(&self) -> bool {
        matches!(self.method, Method::Reading(_) | Method::Other(_))
    }

    pub(crate) fn is_plaintext(&self) -> bool {
        matches!(self.method, Method::Hash { hashing: Hashing::DangerousPlaintext, .. })
    }

    /// Returns what is wrong with the scheme by itself.
    pub(super) fn problem(&self) -> Option<SchemeProblem> {
        match (&self.tag, &self.method) {
            (Some(tag), _) if !is_tag(tag) => Some(SchemeProblem::Name(tag.to_string())),
            (_, Method::Hash { hashing: Hashing::DangerousPlaintext, salt: Some(_) }) => {
                Some(SchemeProblem::SaltWithoutHashing)
            }
            (_, Method::Hash { salt: Some(salt), .. }) if salt.is_empty() => Some(SchemeProblem::EmptySalt),
            _ => None,
        }
    }

    pub(super) fn hash<'t>(&self, token: &'t [u8]) -> Result<Hash<'t>, DigestError> {
        if token.is_empty() {
            return Err(DigestError::Empty);
        }
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(DigestError::TooLong);
        }
        match &self.method {
            Method::Hash { hashing, salt } => {
                hashing.hash(salt.as_ref().map_or(&[][..], |salt| salt.as_slice()), token)
            }
            Method::HmacSha256(mac) => Ok(Hash::of(&keyed(mac, token))),
            Method::HmacSha512(mac) => Ok(Hash::of(&keyed(mac, token))),
            Method::Reading(reading) => reading.hash(token).ok_or(DigestError::NotOfThisScheme),
            Method::Other(digest) => match digest(token) {
                Some(bytes) if is_of_digest_length(&bytes) => Ok(Hash::of(&bytes)),
                _ => Err(DigestError::NotOfThisScheme),
            },
        }
    }

    pub(super) fn digest_of(&self, hash: &Hash<'_>) -> TokenDigest {
        match &self.tag {
            Some(tag) => hash.tagged_digest(tag),
            None => hash.digest(),
        }
    }
}

/// What is wrong with a list of schemes.
pub(crate) enum SchemeProblem {
    Name(String),
    NameTwice(String),
    EmptySalt,
    SaltWithoutHashing,
    AdoptedFirst(String),
    Count,
}

fn is_of_digest_length(bytes: &[u8]) -> bool {
    (MIN_DIGEST_LENGTH..=MAX_HASH_LENGTH).contains(&bytes.len())
}

fn mac<M: KeyInit>(key: &Key) -> M {
    M::new_from_slice(key.bytes()).unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"))
}

fn keyed<M: Mac + Clone>(mac: &Arc<M>, token: &[u8]) -> sha2::digest::Output<M> {
    M::clone(mac).chain_update(token).finalize().into_bytes()
}

impl fmt::Debug for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match &self.method {
            Method::Hash { hashing, salt: None } => write!(f, "{hashing:?}"),
            Method::Hash { hashing, salt: Some(_) } => write!(f, "{hashing:?}(salt redacted)"),
            Method::HmacSha256(_) => write!(f, "HmacSha256({name:?}, key redacted)"),
            Method::HmacSha512(_) => write!(f, "HmacSha512({name:?}, key redacted)"),
            Method::Reading(reading) => write!(f, "Adopted({name:?}, {reading:?})"),
            Method::Other(_) => write!(f, "Adopted({name:?})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Base64Unpadded, Base64Url, Base64UrlUnpadded, Encoding};

    use super::*;

    #[test]
    fn a_digest_is_read_in_hexadecimal_and_in_each_form_of_base64() {
        let schemes = [
            Scheme::sha256(),
            Scheme::hashed(Hashing::Sha224),
            Scheme::hashed(Hashing::Sha384),
            Scheme::hashed(Hashing::Sha512),
            Scheme::hmac_sha256("2026-11", &Key::from_bytes([7; 32]).unwrap()),
            Scheme::adopted("old", Reading::of(Hashing::Sha512)),
        ];
        for scheme in schemes {
            let length = scheme.length().unwrap();
            // All four forms of base64 differ.
            let bytes: Vec<u8> = (0..=255_u8).map(|number| 0xfb ^ (number / 9)).take(length).collect();
            let hex = base16ct::lower::encode_string(&bytes);
            let stored = scheme.digest_from_bytes(&bytes).unwrap();
            let forms = [
                hex.clone(),
                hex.to_uppercase(),
                Base64::encode_string(&bytes),
                Base64Unpadded::encode_string(&bytes),
                Base64Url::encode_string(&bytes),
                Base64UrlUnpadded::encode_string(&bytes),
            ];
            assert!(forms[2] != forms[4], "{forms:?}");
            for form in &forms {
                let tagged = scheme.tag().map(|tag| format!("{tag}${form}"));
                for text in [Some(form.clone()), tagged].into_iter().flatten() {
                    let read = scheme.parse_digest(&text).unwrap();
                    assert_eq!(read.expose(), stored.expose(), "{scheme:?} {text}");
                }
                for wrong in [&form[1..], &format!("{form}A"), &format!("other${form}"), &format!(" {form}")]
                {
                    assert!(scheme.parse_digest(wrong).is_err(), "{scheme:?} {wrong}");
                }
            }
        }
    }

    #[test]
    fn where_the_length_is_not_known_base64_is_not_guessed() {
        let scheme = Scheme::adopted_by("other", |token| Some(token.to_vec()));
        let bytes = [0xfb; 33];
        let hex = base16ct::lower::encode_string(&bytes);
        assert_eq!(scheme.parse_digest(&hex).unwrap().expose(), format!("other${hex}"));
        assert!(scheme.parse_digest(&Base64::encode_string(&bytes)).is_err());
        // Hexadecimal of 48 bytes is base64 of 72, too.
        let ambiguous = "ab".repeat(48);
        assert_eq!(scheme.parse_digest(&ambiguous).unwrap().expose(), format!("other${ambiguous}"));
        assert!(Scheme::hashed(Hashing::DangerousPlaintext).parse_digest(&hex).is_err());
    }
}
