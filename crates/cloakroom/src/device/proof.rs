use std::fmt;

use super::json::Object;
use super::key::decoded;
use super::{DeviceAlgorithm, DeviceKey, ProofError};

/// The greatest length of a proof, in bytes. A longer one is refused before it is looked at. The longest registration, with
/// an RSA key of 4,096 bits, has some 1,750.
pub const MAX_PROOF_LENGTH: usize = 4_096;

/// The type that a proof says it has.
const TYPE: &str = "dbsc+jwt";

/// Members of a JWT's header that change what is signed, how the rest is to be read, or which key is meant: [RFC 7515, section
/// 4.1](https://www.rfc-editor.org/rfc/rfc7515#section-4.1), [RFC 7797](https://www.rfc-editor.org/rfc/rfc7797), [RFC
/// 7516](https://www.rfc-editor.org/rfc/rfc7516#section-4.1). Any other member is ignored, as RFC 7515 asks: a browser that
/// says more one day must not be logged out by it.
const REFUSED: [&str; 10] = ["crit", "b64", "jku", "kid", "x5u", "x5c", "x5t", "x5t#S256", "enc", "zip"];

/// What a device sends in `Secure-Session-Response`: a JWT that it has signed with its private key.
///
/// It says which [challenge](Self::challenge) it answers, and nothing else that counts: neither which session is meant, which
/// the token of the request tells, nor how long it is good for, which the challenge's place in the row decides. So a proof
/// is good only if the challenge [is](super::Challenge::is) the one that the session waits for *and* the signature is that of
/// [the session's key](Self::verify), or at a registration of [the key that it brings](Self::self_signed_key).
#[derive(Clone)]
pub struct Proof<'t> {
    /// Header and claims, with the dot between them.
    signed: &'t [u8],
    signature: Vec<u8>,
    algorithm: DeviceAlgorithm,
    /// The key that is in the header, for this algorithm.
    key: Option<DeviceKey>,
    challenge: String,
}

impl<'t> Proof<'t> {
    /// Reads the value of the header `Secure-Session-Response`. The signature is not checked yet.
    ///
    /// # Errors
    ///
    /// If it is not of the form that a browser gives it; see [`ProofError`].
    pub fn parse(header: &'t [u8]) -> Result<Self, ProofError> {
        if header.len() > MAX_PROOF_LENGTH {
            return Err(ProofError::TooLong);
        }
        let mut parts = header.split(|byte| *byte == b'.');
        let (Some(head), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ProofError::Form);
        };
        let signed = &header[..head.len() + 1 + claims.len()];
        let [head, claims, signature] = [part(head)?, part(claims)?, part(signature)?];

        let head = Object::parse(&head)?;
        if head.names().any(|name| REFUSED.contains(&name)) {
            return Err(ProofError::Header);
        }
        if head.text("typ")?.is_none_or(|text| text != TYPE) {
            return Err(ProofError::Type);
        }
        let algorithm = head.text("alg")?.ok_or(ProofError::Algorithm)?;
        let algorithm = DeviceAlgorithm::with_name(&algorithm).ok_or(ProofError::Algorithm)?;
        let key =
            head.get("jwk").map(|jwk| DeviceKey::from_jwk(jwk.get().as_bytes(), algorithm)).transpose()?;

        let challenge = Object::parse(&claims)?.text("jti")?.filter(|text| !text.is_empty());
        let challenge = challenge.ok_or(ProofError::NoChallenge)?;
        Ok(Self { signed, signature, algorithm, key, challenge })
    }

    /// Returns the challenge that the proof says it answers: the claim `jti`.
    pub fn challenge(&self) -> &str {
        &self.challenge
    }

    /// Returns the key that the proof registers, if the proof is signed with it.
    ///
    /// # Errors
    ///
    /// [`ProofError::NoKey`] if it brings no key, [`ProofError::Signature`] if another key has signed it.
    pub fn self_signed_key(&self) -> Result<DeviceKey, ProofError> {
        let key = self.key.as_ref().ok_or(ProofError::NoKey)?;
        key.check(self.signed, &self.signature)?;
        Ok(key.clone())
    }

    /// Checks that the device with this key has signed the proof.
    ///
    /// # Errors
    ///
    /// [`ProofError::UnexpectedKey`] if the proof brings a key, [`ProofError::Algorithm`] if it names another algorithm than
    /// the key's, [`ProofError::Signature`] if another key has signed it.
    pub fn verify(&self, key: &DeviceKey) -> Result<(), ProofError> {
        if self.key.is_some() {
            return Err(ProofError::UnexpectedKey);
        }
        if self.algorithm != key.algorithm() {
            return Err(ProofError::Algorithm);
        }
        key.check(self.signed, &self.signature)
    }
}

fn part(part: &[u8]) -> Result<Vec<u8>, ProofError> {
    if part.is_empty() {
        return Err(ProofError::Form);
    }
    std::str::from_utf8(part).ok().and_then(decoded).ok_or(ProofError::Encoding)
}

/// Shows neither the challenge nor the signature.
impl fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { algorithm, key, .. } = self;
        f.debug_struct("Proof").field("algorithm", algorithm).field("key", key).finish_non_exhaustive()
    }
}
