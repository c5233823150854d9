//! Filling the tables before anything is measured.

pub mod mariadb;
pub mod postgres;
pub mod sqlite;

use std::sync::Arc;

use crate::payload::token;

/// The tokens of the first `rows` rows.
pub fn tokens(rows: u64) -> Arc<[String]> {
    (0..rows).map(token).collect()
}

/// How many rows one statement brings in.
const CHUNK: u64 = 10_000;

fn chunks(rows: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..rows.div_ceil(CHUNK)).map(move |chunk| chunk * CHUNK..((chunk + 1) * CHUNK).min(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_row_once() {
        let rows: Vec<u64> = chunks(25_000).flatten().collect();
        assert!(rows.iter().copied().eq(0..25_000));
        assert_eq!(chunks(0).count(), 0);
    }
}
