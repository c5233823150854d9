use std::fmt;
use std::str::FromStr;

use base64ct::{Base64UrlUnpadded, Encoding};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use super::ProofError;
use super::json::Object;

/// The length of a coordinate on P-256, in bytes.
const COORDINATE: usize = 32;

const LEAST_RSA_BITS: usize = 2_048;
const MOST_RSA_BITS: usize = 4_096;

/// The exponents of RSA that are taken: odd, from 2¹⁶ + 1, as [FIPS 186-5](https://doi.org/10.6028/NIST.FIPS.186-5) asks, to
/// 33 bits, which bounds the work of a verification.
const RSA_EXPONENTS: std::ops::Range<u64> = 65_537..1 << 33;

/// Members of a JWK that only a private or a secret key has: [RFC 7518, section
/// 6](https://www.rfc-editor.org/rfc/rfc7518#section-6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// How a device signs: the two algorithms that browsers have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSA as in PKCS #1 1.5, with SHA-256: a key of 2,048 to 4,096 bits.
    Rs256,
}

impl DeviceAlgorithm {
    /// Every algorithm, the preferred one first.
    pub(super) const ALL: [Self; 2] = [Self::Es256, Self::Rs256];

    /// Returns the algorithm's name in a JWT, such as `ES256`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    /// Returns the algorithm with this name, to the letter.
    pub(super) fn with_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The first part of a key's text.
    const fn tag(self) -> &'static str {
        match self {
            Self::Es256 => "es256",
            Self::Rs256 => "rs256",
        }
    }
}

/// The public half of the key pair that a device has made for one session.
///
/// A row holds it as text ([`to_text`](Self::to_text)). It is no secret, but it tells which requests come from one
/// device; `Debug` shows its [thumbprint](Self::thumbprint) alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DeviceKey(Numbers);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Numbers {
    /// The coordinates of the point, one after the other.
    Es256([u8; 2 * COORDINATE]),
    /// Modulus and exponent, without leading zeros.
    Rs256 { modulus: Box<[u8]>, exponent: Box<[u8]> },
}

impl DeviceKey {
    /// The greatest length of a key's [text](Self::to_text): of one of RSA's with 4,096 bits. A key of 2,048 bits has 353
    /// characters, and one of `ES256` has 92.
    pub const MAX_TEXT_LENGTH: usize = 697;

    /// Returns what the device signs with.
    pub fn algorithm(&self) -> DeviceAlgorithm {
        match self.0 {
            Numbers::Es256(_) => DeviceAlgorithm::Es256,
            Numbers::Rs256 { .. } => DeviceAlgorithm::Rs256,
        }
    }

    /// Returns the key as text: `es256.`, and the point's coordinates in base64url; or `rs256.`, the modulus, a dot and
    /// the exponent.
    pub fn to_text(&self) -> String {
        let tag = self.algorithm().tag();
        match &self.0 {
            Numbers::Es256(point) => format!("{tag}.{}", encoded(point)),
            Numbers::Rs256 { modulus, exponent } => {
                format!("{tag}.{}.{}", encoded(modulus), encoded(exponent))
            }
        }
    }

    /// Returns the SHA-256 thumbprint of [RFC 7638](https://www.rfc-editor.org/rfc/rfc7638) in base64url: 43 characters
    /// that tell one key from another.
    pub fn thumbprint(&self) -> String {
        let json = match &self.0 {
            Numbers::Es256(point) => {
                let (x, y) = point.split_at(COORDINATE);
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, encoded(x), encoded(y))
            }
            Numbers::Rs256 { modulus, exponent } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encoded(exponent), encoded(modulus))
            }
        };
        encoded(&Sha256::digest(json))
    }

    /// Reads a JWK, which is to be for this algorithm and to have the members that a browser gives it, and no others.
    ///
    /// Refusing the others costs nothing: the registration fails, and the session stays as it was.
    pub(super) fn from_jwk(json: &[u8], algorithm: DeviceAlgorithm) -> Result<Self, ProofError> {
        let jwk = Object::parse(json)?;
        if jwk.names().any(|name| PRIVATE.contains(&name)) {
            return Err(ProofError::PrivateKey);
        }
        let numbers: &[&str] = match algorithm {
            DeviceAlgorithm::Es256 => &["crv", "x", "y"],
            DeviceAlgorithm::Rs256 => &["n", "e"],
        };
        let is_known = |name: &str| ["kty", "alg", "use"].contains(&name) || numbers.contains(&name);
        if !jwk.names().all(is_known) {
            return Err(ProofError::Key);
        }
        let is = |name: &str, value: &str| Ok(jwk.text(name)?.is_some_and(|text| text == value));
        let is_absent_or = |name: &str, value: &str| Ok(jwk.get(name).is_none() || is(name, value)?);
        if !is_absent_or("use", "sig")? {
            return Err(ProofError::Key);
        }
        if !is_absent_or("alg", algorithm.name())? {
            return Err(ProofError::Algorithm);
        }
        let number = |name| decoded(&jwk.text(name)?.ok_or(ProofError::Key)?).ok_or(ProofError::Encoding);
        match algorithm {
            DeviceAlgorithm::Es256 => {
                if !(is("kty", "EC")? && is("crv", "P-256")?) {
                    return Err(ProofError::Key);
                }
                Self::es256(&[number("x")?, number("y")?])
            }
            DeviceAlgorithm::Rs256 => {
                if !is("kty", "RSA")? {
                    return Err(ProofError::Key);
                }
                Self::rs256(number("n")?, number("e")?)
            }
        }
    }

    fn es256(coordinates: &[Vec<u8>; 2]) -> Result<Self, ProofError> {
        if coordinates.iter().any(|coordinate| coordinate.len() != COORDINATE) {
            return Err(ProofError::Key);
        }
        let point = coordinates.concat().try_into().map_err(|_| ProofError::Key)?;
        Ok(Self(Numbers::Es256(point)))
    }

    fn rs256(modulus: Vec<u8>, exponent: Vec<u8>) -> Result<Self, ProofError> {
        let is_odd_and_in_one_form =
            |number: &[u8]| number.first().is_some_and(|byte| *byte != 0) && number.ends_with_odd();
        if !is_odd_and_in_one_form(&modulus) || !is_odd_and_in_one_form(&exponent) {
            return Err(ProofError::Key);
        }
        let leading = usize::try_from(modulus[0].leading_zeros()).map_err(|_| ProofError::KeySize)?;
        if !(LEAST_RSA_BITS..=MOST_RSA_BITS).contains(&(8 * modulus.len() - leading)) {
            return Err(ProofError::KeySize);
        }
        if exponent.len() > size_of::<u64>()
            || !RSA_EXPONENTS.contains(&exponent.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
        {
            return Err(ProofError::Key);
        }
        Ok(Self(Numbers::Rs256 { modulus: modulus.into(), exponent: exponent.into() }))
    }

    /// Checks a signature of this key's.
    pub(super) fn check(&self, signed: &[u8], signature: &[u8]) -> Result<(), ProofError> {
        let checked = match &self.0 {
            Numbers::Es256(point) => {
                // How SEC 1 writes a point that is not compressed.
                let point = [&[4], &point[..]].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
            }
            Numbers::Rs256 { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature),
        };
        checked.map_err(|_| ProofError::Signature)
    }
}

trait EndsWithOdd {
    fn ends_with_odd(&self) -> bool;
}

impl EndsWithOdd for [u8] {
    fn ends_with_odd(&self) -> bool {
        self.last().is_some_and(|byte| byte & 1 == 1)
    }
}

fn encoded(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// Returns the bytes of base64url without padding, in its one form.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

/// Shows the algorithm and the [thumbprint](DeviceKey::thumbprint).
impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({} {})", self.algorithm().name(), self.thumbprint())
    }
}

/// Reads what [`to_text`](DeviceKey::to_text) writes.
impl FromStr for DeviceKey {
    type Err = ParseDeviceKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const NO_KEY: ParseDeviceKeyError = ParseDeviceKeyError(());
        if text.len() > Self::MAX_TEXT_LENGTH {
            return Err(NO_KEY);
        }
        let (tag, numbers) = text.split_once('.').ok_or(NO_KEY)?;
        let algorithm = DeviceAlgorithm::ALL.into_iter().find(|algorithm| algorithm.tag() == tag);
        match algorithm.ok_or(NO_KEY)? {
            DeviceAlgorithm::Es256 => {
                // Without an allocation: each lookup of a bound session reads its key.
                let mut point = [0; 2 * COORDINATE];
                let decoded = Base64UrlUnpadded::decode(numbers, &mut point).map_err(|_| NO_KEY)?;
                let is_whole = decoded.len() == 2 * COORDINATE;
                is_whole.then_some(Self(Numbers::Es256(point))).ok_or(NO_KEY)
            }
            DeviceAlgorithm::Rs256 => {
                let (modulus, exponent) = numbers.split_once('.').ok_or(NO_KEY)?;
                let (modulus, exponent) = decoded(modulus).zip(decoded(exponent)).ok_or(NO_KEY)?;
                Self::rs256(modulus, exponent).map_err(|_| NO_KEY)
            }
        }
    }
}

/// Written as text.
impl Serialize for DeviceKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl<'de> Deserialize<'de> for DeviceKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Text that is not a [`DeviceKey`]. It does not quote the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseDeviceKeyError(());

impl fmt::Display for ParseDeviceKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no public key of a device, as the library writes it")
    }
}

impl std::error::Error for ParseDeviceKeyError {}
