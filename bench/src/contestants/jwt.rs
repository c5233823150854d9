//! A JSON Web Token with the same claims, verified and decoded. No store is asked, and nothing can be revoked. By
//! AWS-LC, the quicker of the two libraries that `jsonwebtoken` offers.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::{Authenticate, Performs, found, pick};
use crate::dataset::{Payload, secret};
use crate::failure::Outcome;

/// The bytes before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410).
const PKCS8: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// This many tokens are signed and then verified again and again.
const TOKENS: u64 = 10_000;

#[derive(Debug, Deserialize, Serialize)]
struct Claims {
    sub: String,
    role: String,
    data: Value,
    exp: i64,
}

#[derive(Clone)]
pub struct Jwt {
    key: Arc<DecodingKey>,
    validation: Arc<Validation>,
    tokens: Arc<[String]>,
}

impl Jwt {
    pub fn hs256() -> Outcome<Self> {
        let secret = secret()?;
        let (sign, verify) = (EncodingKey::from_secret(&secret), DecodingKey::from_secret(&secret));
        Self::new(Algorithm::HS256, &sign, verify)
    }

    pub fn eddsa() -> Outcome<Self> {
        let secret = secret()?;
        let public = SigningKey::from_bytes(&secret).verifying_key();
        let sign = EncodingKey::from_ed_der(&[&PKCS8[..], &secret].concat());
        Self::new(Algorithm::EdDSA, &sign, DecodingKey::from_ed_der(public.as_bytes()))
    }

    fn new(algorithm: Algorithm, sign: &EncodingKey, verify: DecodingKey) -> Outcome<Self> {
        let exp = (OffsetDateTime::now_utc() + Duration::days(7)).unix_timestamp();
        let token = |row| {
            let Payload { user_id, role, data } = Payload::of(row);
            let claims = Claims { sub: user_id, role: role.to_owned(), data, exp };
            encode(&Header::new(algorithm), &claims, sign)
        };
        Ok(Self {
            key: Arc::new(verify),
            validation: Arc::new(Validation::new(algorithm)),
            tokens: (0..TOKENS).map(token).collect::<Result<_, _>>()?,
        })
    }
}

impl Performs<Authenticate> for Jwt {
    async fn perform(&self, random: u64) -> Outcome {
        let token: &String = pick(&self.tokens, random);
        found(Some(decode::<Claims>(token, &self.key, &self.validation)?.claims))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_algorithms_accept_what_they_signed() {
        for jwt in [Jwt::hs256().unwrap(), Jwt::eddsa().unwrap()] {
            jwt.perform(7).await.unwrap();
        }
    }
}
