//! Names that are made from those of tables and columns.

use sha2::{Digest, Sha256};

use super::MAX_NAME;

/// Returns the name, or as much of it as fits and a hash of all of it. If the server shortened them, two long names
/// could become one.
pub(crate) fn shortened(mut name: String) -> String {
    if name.len() <= MAX_NAME {
        return name;
    }
    let hash = hash_of(&name);
    name.truncate(name.floor_char_boundary(MAX_NAME - hash.len()));
    name + &hash
}

pub(crate) fn hash_of(name: &str) -> String {
    format!("_{:x}", base16ct::HexDisplay(&Sha256::digest(name.as_bytes())[..4]))
}
