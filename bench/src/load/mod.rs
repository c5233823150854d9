//! Fills the tables before anything is measured.

pub mod mariadb;
pub mod postgres;
pub mod sqlite;

use time::Duration;

/// How long the loaded sessions live. With the default settings no extension is due during a run.
pub const LIFETIME: Duration = Duration::days(7);

/// The lifetime of sessions that expired an hour ago.
pub const EXPIRED: Duration = Duration::hours(-1);

/// How many rows one statement inserts.
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
