use std::fmt;

/// Why a proof was refused. It never quotes what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProofError {
    /// It is longer than [`MAX_PROOF_LENGTH`](super::MAX_PROOF_LENGTH).
    TooLong,
    /// It does not consist of three parts with a dot between two of them.
    Form,
    /// A part, or a number of a key, is not base64url as RFC 7515 has it: without padding, in its one form.
    Encoding,
    /// A part is not a JSON object, or a member is of the wrong type.
    Json,
    /// A JSON object has two members of one name, or more members than any proof has.
    Members,
    /// Its `typ` is missing, or not `dbsc+jwt`.
    Type,
    /// Its `alg` is missing, not one of [`DeviceAlgorithm`](super::DeviceAlgorithm), or not that of the key.
    Algorithm,
    /// Its header has a member that changes what the signature is about, such as `crit`.
    Header,
    /// It answers no challenge: `jti` is missing or empty.
    NoChallenge,
    /// It registers no key, or was sent in place of a registration: `jwk` is missing.
    NoKey,
    /// It brings a key, and the session has one.
    UnexpectedKey,
    /// Its `jwk` is not the public half of a key for its algorithm, or says more than a browser does.
    Key,
    /// Its `jwk` has the private half of the key too, which was to stay on the device.
    PrivateKey,
    /// Its RSA key has fewer than 2,048 bits, or more than 4,096.
    KeySize,
    /// Its signature is not that of the key. A point that is not on the curve has no signatures.
    Signature,
}

impl ProofError {
    /// Returns one short word for the reason, such as `signature`, that stays the same from version to version: for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Form => "form",
            Self::Encoding => "encoding",
            Self::Json => "json",
            Self::Members => "members",
            Self::Type => "type",
            Self::Algorithm => "algorithm",
            Self::Header => "header",
            Self::NoChallenge => "no_challenge",
            Self::NoKey => "no_key",
            Self::UnexpectedKey => "unexpected_key",
            Self::Key => "key",
            Self::PrivateKey => "private_key",
            Self::KeySize => "key_size",
            Self::Signature => "signature",
        }
    }
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the proof is too long",
            Self::Form => "the proof is not a signed JWT in its compact form",
            Self::Encoding => "a part of the proof is not base64url",
            Self::Json => "a part of the proof is not JSON of the right form",
            Self::Members => "a part of the proof has a member twice, or too many members",
            Self::Type => "the proof is not of the type dbsc+jwt",
            Self::Algorithm => "the proof is not signed with the algorithm of the key",
            Self::Header => "the proof's header has a member that is not supported",
            Self::NoChallenge => "the proof answers no challenge",
            Self::NoKey => "the proof has no key",
            Self::UnexpectedKey => "the proof brings a key of its own",
            Self::Key => "the proof's key is not a public key of the right form",
            Self::PrivateKey => "the proof's key is a private key",
            Self::KeySize => "the proof's key is too short or too long",
            Self::Signature => "the proof's signature is not that of the key",
        })
    }
}

impl std::error::Error for ProofError {}
