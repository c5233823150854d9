//! The golden files as Rust values.

use cloakroom::Hashing;
use serde::Deserialize;
use serde_json::Value;

pub(crate) const SCHEMA: &str = include_str!("../../golden/schema.sql");
pub(crate) const ROWS: &str = include_str!("../../golden/rows.sql");

/// One digest as the original computed it, or its refusal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    pub(crate) algorithm: Option<String>,
    pub(crate) salt: Option<String>,
    pub(crate) token: String,
    pub(crate) ok: bool,
    pub(crate) digest: Option<String>,
    pub(crate) error: Option<String>,
}

pub(crate) fn vectors() -> Vec<Vector> {
    #[derive(Deserialize)]
    struct File {
        digests: Vec<Vector>,
    }
    let file: File = serde_json::from_str(include_str!("../../golden/vectors.json")).unwrap();
    file.digests
}

/// The algorithm that the original, and the crypto library beneath it, calls by this name.
pub(crate) fn hashing_named(algorithm: Option<&str>) -> Hashing {
    match algorithm {
        None => Hashing::DangerousPlaintext,
        Some("sha") => Hashing::Sha1,
        Some("sha224") => Hashing::Sha224,
        Some("sha256") => Hashing::Sha256,
        Some("sha384") => Hashing::Sha384,
        Some("sha512") => Hashing::Sha512,
        Some("sha3_224") => Hashing::Sha3_224,
        Some("sha3_256") => Hashing::Sha3_256,
        Some("sha3_384") => Hashing::Sha3_384,
        Some("sha3_512") => Hashing::Sha3_512,
        Some("blake2b") => Hashing::Blake2b512,
        Some("blake2s") => Hashing::Blake2s256,
        Some("ripemd160") => Hashing::Ripemd160,
        Some(other) => panic!("no such algorithm: {other}"),
    }
}

/// One session that the original wrote.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Golden {
    pub(crate) label: String,
    pub(crate) config: serde_json::Map<String, Value>,
    pub(crate) token: String,
    pub(crate) row: StoredRow,
    pub(crate) read_back: ReadBack,
}

/// The row as it is stored, each column cast to text.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredRow {
    pub(crate) id: String,
    pub(crate) auth_token_digest: String,
    pub(crate) data_text: String,
    pub(crate) expires_at: Option<String>,
    pub(crate) user_id: String,
    pub(crate) inserted_at: String,
    pub(crate) updated_at: String,
}

/// The session as the original returned it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadBack {
    pub(crate) id: String,
    pub(crate) auth_token: Option<String>,
    pub(crate) auth_token_digest: String,
    pub(crate) data: Value,
    pub(crate) expires_at: Option<String>,
    pub(crate) inserted_at: String,
    pub(crate) updated_at: String,
    pub(crate) user_id: String,
    pub(crate) is_expired: bool,
}

pub(crate) fn rows() -> Vec<Golden> {
    #[derive(Deserialize)]
    struct File {
        rows: Vec<Golden>,
    }
    let file: File = serde_json::from_str(include_str!("../../golden/rows.json")).unwrap();
    assert_eq!(file.rows.len(), 11, "a row was added to or lost from rows.json");
    file.rows
}

pub(crate) fn row(label: &str) -> Golden {
    rows().into_iter().find(|row| row.label == label).unwrap_or_else(|| panic!("no row {label}"))
}
