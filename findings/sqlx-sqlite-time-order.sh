#!/usr/bin/env bash
# crates.io sqlx 0.9.0 with time 0.3 and with chrono 0.4, and the SQLite that sqlx brings
#
# Expected: instants are stored as text that sorts as they do, that is, in UTC and of fixed width, so that
#   `expires_at > ?` and ORDER BY are right; and it does not matter which of the two crates an application uses.
#
# Seen: time's OffsetDateTime is bound as RFC 3339 with its own offset and without trailing zeros, and `Z` sorts after
#   `.` and after digits: a whole second comes after its own fractions, and another offset's hour counts as it
#   stands. chrono's DateTime<Utc> ends in +00:00, which sorts before digits, and so it happens to be right.
#
#   time    2026-01-01T12:00:00Z < 2026-01-01T12:00:00.5Z: false
#   time    2026-01-01T12:00:00.1Z < 2026-01-01T12:00:00.15Z: false
#   time    2026-01-01T12:00:00Z < 2026-01-01T13:00:00+02:00: true
#   chrono  2026-01-01T12:00:00+00:00 < 2026-01-01T12:00:00.500+00:00: true
#   chrono  2026-01-01T12:00:00.100+00:00 < 2026-01-01T12:00:00.150+00:00: true
#   chrono  2026-01-01T12:00:00+00:00 < 2026-01-01T11:00:00+00:00: false
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

seen='time    2026-01-01T12:00:00Z < 2026-01-01T12:00:00.5Z: false
time    2026-01-01T12:00:00.1Z < 2026-01-01T12:00:00.15Z: false
time    2026-01-01T12:00:00Z < 2026-01-01T13:00:00+02:00: true
chrono  2026-01-01T12:00:00+00:00 < 2026-01-01T12:00:00.500+00:00: true
chrono  2026-01-01T12:00:00.100+00:00 < 2026-01-01T12:00:00.150+00:00: true
chrono  2026-01-01T12:00:00+00:00 < 2026-01-01T11:00:00+00:00: false'

expect "$seen" "$(
    cargo_run "${sqlx[@]}" <<'RUST'
use chrono::{DateTime, Utc};
use sqlx::{Connection, Row, SqliteConnection};
use time::macros::datetime;

const PROBE: &str = "select ?1, ?2, ?1 < ?2";

fn show(name: &str, row: &sqlx::sqlite::SqliteRow) {
    let (one, other, less): (&str, &str, bool) = (row.get(0), row.get(1), row.get(2));
    println!("{name:7} {one} < {other}: {less}");
}

#[tokio::main]
async fn main() {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    let pairs = [
        (datetime!(2026-01-01 12:00 UTC), datetime!(2026-01-01 12:00:00.5 UTC)),
        (datetime!(2026-01-01 12:00:00.1 UTC), datetime!(2026-01-01 12:00:00.15 UTC)),
        (datetime!(2026-01-01 12:00 UTC), datetime!(2026-01-01 13:00 +2)),
    ];
    for (one, other) in pairs {
        show("time", &sqlx::query(PROBE).bind(one).bind(other).fetch_one(&mut connection).await.unwrap());
    }
    for (one, other) in pairs {
        let [one, other]: [DateTime<Utc>; 2] =
            [one, other].map(|at| DateTime::from_timestamp_nanos(at.unix_timestamp_nanos() as i64));
        show("chrono", &sqlx::query(PROBE).bind(one).bind(other).fetch_one(&mut connection).await.unwrap());
    }
}
RUST
)"
