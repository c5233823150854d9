use sha2::{Digest, Sha256};

use super::TokenDigest;
use super::tag::TAG_END;

/// A token's hash, before it is written out as the digest that the database stores.
pub(super) enum Hash<'t> {
    Bytes {
        buffer: [u8; MAX_HASH_LENGTH],
        length: usize,
    },
    /// The token itself, if there is no hashing.
    Text(&'t str),
}

pub(super) const MAX_HASH_LENGTH: usize = 64;

impl Hash<'_> {
    /// Makes a hash of no more than [`MAX_HASH_LENGTH`] bytes.
    pub(super) fn of(hash: &[u8]) -> Self {
        let mut buffer = [0; MAX_HASH_LENGTH];
        buffer[..hash.len()].copy_from_slice(hash);
        Self::Bytes { buffer, length: hash.len() }
    }

    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes { buffer, length } => Some(&buffer[..*length]),
            Self::Text(_) => None,
        }
    }

    pub(super) fn digest(&self) -> TokenDigest {
        self.write_after(String::new())
    }

    pub(super) fn tagged_digest(&self, tag: &str) -> TokenDigest {
        // Large enough from the start, so that no copy of a part stays in memory.
        let mut text = String::with_capacity(tag.len() + 1 + 2 * MAX_HASH_LENGTH);
        text.push_str(tag);
        text.push(TAG_END);
        self.write_after(text)
    }

    /// Writes the stored form of the hash after a text.
    fn write_after(&self, mut text: String) -> TokenDigest {
        match self {
            Self::Bytes { buffer, length } => {
                let mut hex = [0; 2 * MAX_HASH_LENGTH];
                let hex = base16ct::lower::encode_str(&buffer[..*length], &mut hex);
                text.push_str(hex.unwrap_or_else(|_| unreachable!("there is room for the longest hash")));
            }
            Self::Text(token) => text.push_str(token),
        }
        TokenDigest::new(text)
    }

    /// Returns 256 bits that stand for the token in memory, or all bits of a shorter hash.
    pub(super) fn key(&self) -> [u8; 32] {
        match self {
            Self::Bytes { buffer, .. } => {
                let mut key = [0; 32];
                key.copy_from_slice(&buffer[..32]);
                key
            }
            Self::Text(text) => Sha256::digest(text).into(),
        }
    }
}
