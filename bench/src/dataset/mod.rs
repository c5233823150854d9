//! The payload of every contestant, under keys that follow from the row's number.

use std::borrow::Cow;
use std::sync::Arc;

use cloakroom::SessionTable;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::failure::Outcome;

/// How many sessions each user has.
pub const SESSIONS_PER_USER: u64 = 10;

/// Cloakroom's table. The statements by hand read the same columns.
#[derive(Clone, Debug, PartialEq, SessionTable)]
pub struct UserSession {
    #[session(index)]
    pub user_id: String,
    pub role: String,
}

/// The payload of a row.
#[derive(Clone, Debug)]
pub struct Payload {
    pub user_id: String,
    pub role: &'static str,
    pub data: Value,
}

impl Payload {
    pub fn of(row: u64) -> Self {
        Self { user_id: user(row / SESSIONS_PER_USER), role: "member", data: data(row) }
    }

    /// Returns the same as one JSON object, for stores that have no columns.
    pub fn flat(&self) -> serde_json::Map<String, Value> {
        let mut all = self.data.as_object().cloned().unwrap_or_default();
        all.insert("user_id".to_owned(), self.user_id.clone().into());
        all.insert("role".to_owned(), self.role.into());
        all
    }

    pub fn fields(&self) -> UserSession {
        UserSession { user_id: self.user_id.clone(), role: self.role.to_owned() }
    }
}

pub fn user(number: u64) -> String {
    format!("user-{number}")
}

fn data(row: u64) -> Value {
    let (third, fourth) = (row / 256 % 256, row % 256);
    json!({
        "device": "Firefox 140 on Linux",
        "address": format!("203.0.{third}.{fourth}"),
        "remember": true,
    })
}

/// Returns the token of a row: 64 characters that look random.
pub fn token(row: u64) -> String {
    digest(row.to_string().as_bytes())
}

/// Returns 32 random bytes that cannot be guessed.
pub fn secret() -> Outcome<[u8; 32]> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    Ok(secret)
}

/// Returns the digest of a token, which a database stores.
pub fn digest(token: &[u8]) -> String {
    hex(&Sha256::digest(token))
}

pub fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// A token in a cache line of its own, which is read without following a pointer.
#[repr(align(64))]
struct Line([u8; 64]);

impl Line {
    fn of(row: u64) -> Self {
        let mut line = [0; 64];
        line.copy_from_slice(token(row).as_bytes());
        Self(line)
    }
}

/// The tokens of a table's rows.
#[derive(Clone)]
pub struct Tokens {
    rows: u64,
    /// The tokens of the first rows; the others are made when they are picked.
    made: Arc<[Line]>,
}

impl Tokens {
    pub fn of(rows: u64) -> Self {
        Self { rows, made: (0..rows.min(100_000)).map(Line::of).collect() }
    }

    /// Returns the token of the row that a random number picks.
    pub fn pick(&self, random: u64) -> Cow<'_, [u8]> {
        let row = random % self.rows;
        match self.made.get(row as usize) {
            Some(line) => Cow::Borrowed(&line.0),
            None => Cow::Owned(token(row).into_bytes()),
        }
    }

    pub fn pick_user(&self, random: u64) -> String {
        user(random % self.rows / SESSIONS_PER_USER)
    }
}

/// Returns the number of the id of a row, for stores with keys that are 128-bit numbers: spread over all of them.
pub fn key(row: u64) -> u128 {
    let digest = Sha256::digest(row.to_be_bytes());
    u128::from_be_bytes(digest[..16].try_into().expect("a digest has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_64_characters_and_differ() {
        assert_eq!(token(1).len(), 64);
        assert_ne!(token(1), token(2));
    }

    #[test]
    fn every_row_has_its_token_whether_made_before_or_not() {
        let tokens = Tokens::of(200_000);
        assert_eq!(*tokens.pick(99_999), *token(99_999).as_bytes());
        assert_eq!(*tokens.pick(100_000), *token(100_000).as_bytes());
        assert_eq!(*tokens.pick(200_001), *token(1).as_bytes());
        assert_eq!(tokens.pick_user(200_025), "user-2");
    }

    #[test]
    fn hexadecimal_is_lower_case_and_padded() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }

    #[test]
    fn a_flat_payload_has_every_column() {
        let flat = Payload::of(25).flat();
        assert_eq!(flat["user_id"], "user-2");
        assert_eq!(flat["role"], "member");
        assert_eq!(flat["address"], "203.0.0.25");
    }
}
