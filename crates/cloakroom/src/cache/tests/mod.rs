//! Tests of the parts of the cache that use no clock and no I/O. They are not beside their code, because that is also
//! compiled for a model checker, and its locks work only there.

#[cfg(feature = "postgres")]
mod announcement;
mod lease;
mod revocations;
mod set_associative_map;
mod validated_cache;

use super::clock_reading::ClockReading;

/// The clocks `micros` microseconds after the first instant.
fn at(micros: u32) -> ClockReading {
    ClockReading { monotonic: u64::from(micros) * 1_000, wall: i64::from(micros) }
}
