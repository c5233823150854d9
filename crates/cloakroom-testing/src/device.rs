//! What a browser does that binds its sessions to a device, without the browser.

use base64ct::{Base64UrlUnpadded, Encoding};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};

/// A device with one pair of keys. It signs proofs as Chromium does.
pub struct Device {
    keys: Keys,
    random: SystemRandom,
}

enum Keys {
    Es256(Box<EcdsaKeyPair>),
    Rs256(Box<RsaKeyPair>),
}

impl Device {
    /// Makes a device with a new key on P-256.
    ///
    /// # Panics
    ///
    /// If the operating system's generator fails.
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let pair = pair.expect("there is randomness");
        let keys = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pair.as_ref(), &random);
        Self { keys: Keys::Es256(Box::new(keys.expect("the key is one"))), random }
    }

    /// Makes a device with a key of RSA's, which is given as PKCS #8.
    ///
    /// # Panics
    ///
    /// If it is none.
    pub fn with_rsa(pkcs8: &[u8]) -> Self {
        let keys = RsaKeyPair::from_pkcs8(pkcs8).expect("the key is one");
        Self { keys: Keys::Rs256(Box::new(keys)), random: SystemRandom::new() }
    }

    /// Returns the proof of a registration: it brings the key.
    pub fn registration(&self, challenge: &str) -> Vec<u8> {
        let header = format!(r#"{{"alg":"{}","jwk":{},"typ":"dbsc+jwt"}}"#, self.algorithm(), self.jwk());
        self.signed(&header, &claims(challenge))
    }

    /// Returns the proof of a renewal.
    pub fn proof(&self, challenge: &str) -> Vec<u8> {
        self.signed(&format!(r#"{{"alg":"{}","typ":"dbsc+jwt"}}"#, self.algorithm()), &claims(challenge))
    }

    /// Signs any header and any claims.
    ///
    /// # Panics
    ///
    /// If the operating system's generator fails.
    pub fn signed(&self, header: &str, claims: &str) -> Vec<u8> {
        let encoded = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
        let signed = format!("{}.{}", encoded(header), encoded(claims));
        let signature = match &self.keys {
            Keys::Es256(keys) => {
                keys.sign(&self.random, signed.as_bytes()).expect("there is randomness").as_ref().to_vec()
            }
            Keys::Rs256(keys) => {
                let mut signature = vec![0; keys.public().modulus_len()];
                keys.sign(&RSA_PKCS1_SHA256, &self.random, signed.as_bytes(), &mut signature)
                    .expect("there is randomness");
                signature
            }
        };
        format!("{signed}.{}", Base64UrlUnpadded::encode_string(&signature)).into_bytes()
    }

    /// Returns the public half of the key as a browser sends it.
    pub fn jwk(&self) -> String {
        let encoded = Base64UrlUnpadded::encode_string;
        match &self.keys {
            Keys::Es256(keys) => {
                let point = &keys.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, encoded(x), encoded(y))
            }
            Keys::Rs256(keys) => {
                let public = ring::signature::RsaPublicKeyComponents::<Vec<u8>>::from(keys.public_key());
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encoded(&public.e), encoded(&public.n))
            }
        }
    }

    fn algorithm(&self) -> &'static str {
        match self.keys {
            Keys::Es256(_) => "ES256",
            Keys::Rs256(_) => "RS256",
        }
    }
}

impl Default for Device {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

fn claims(challenge: &str) -> String {
    format!(r#"{{"jti":"{challenge}"}}"#)
}
