//! The lower bound of any cache of sessions: SHA-256 of the token, and a concurrent map's `get` by the 32 bytes. And
//! the part of every figure that is the harness.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use papaya::HashMap;
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Authenticate, Performs, found};
use crate::dataset::{Payload, Tokens};
use crate::failure::Outcome;

/// The values of a session as Cloakroom knows them.
#[derive(Clone)]
#[expect(dead_code, reason = "an application would read them")]
pub struct CachedSession {
    id: Uuid,
    user_id: String,
    role: String,
    data: Value,
    expires_at: OffsetDateTime,
    inserted_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

type Map = HashMap<[u8; 32], Arc<CachedSession>, BuildHasherDefault<FirstBytes>>;

/// A digest is as random as a hash of it would be.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The contestant that gives out a shared reference to the map's value.
#[derive(Clone)]
pub struct Shared {
    map: Arc<Map>,
    tokens: Tokens,
}

/// The contestant that gives out a copy, which the caller may change.
#[derive(Clone)]
pub struct Owned(pub Shared);

/// Picks a token, reads it, and does nothing with it.
#[derive(Clone)]
pub struct Harness(pub Tokens);

impl Shared {
    pub fn new(rows: u64, tokens: &Tokens) -> Self {
        let now = OffsetDateTime::now_utc();
        let kept = |row| {
            let Payload { user_id, role, data } = Payload::of(row);
            let (id, role, expires_at) = (Uuid::now_v7(), role.to_owned(), now + Duration::days(7));
            Arc::new(CachedSession { id, user_id, role, data, expires_at, inserted_at: now, updated_at: now })
        };
        let map = Map::default();
        for row in 0..rows {
            map.pin().insert(Sha256::digest(tokens.pick(row)).into(), kept(row));
        }
        Self { map: Arc::new(map), tokens: tokens.clone() }
    }

    fn get(&self, random: u64) -> Option<Arc<CachedSession>> {
        let digest: [u8; 32] = Sha256::digest(self.tokens.pick(random)).into();
        self.map.pin().get(&digest).map(Arc::clone)
    }
}

impl Performs<Authenticate> for Shared {
    async fn perform(&self, random: u64) -> Outcome {
        found(self.get(random))
    }
}

impl Performs<Authenticate> for Owned {
    async fn perform(&self, random: u64) -> Outcome {
        found(self.0.get(random).map(|kept| CachedSession::clone(&kept)))
    }
}

impl Performs<Authenticate> for Harness {
    async fn perform(&self, random: u64) -> Outcome {
        found(self.0.pick(random).first_chunk::<64>().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_found_under_its_digest() {
        let shared = Shared::new(100, &Tokens::of(100));
        assert!((0..100).all(|row| shared.get(row).unwrap().user_id == Payload::of(row).user_id));
    }
}
