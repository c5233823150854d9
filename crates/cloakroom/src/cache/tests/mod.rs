//! The parts of the cache that ask nothing of anybody. They are not tested beside their code, which is also
//! compiled for a model checker, whose locks only work there.

#[cfg(feature = "postgres")]
mod announcement;
mod lease;
mod revocations;
mod set_associative_map;
mod validated_cache;

use super::clock_reading::ClockReading;

/// So many microseconds after the first instant, on both clocks.
fn at(micros: u32) -> ClockReading {
    ClockReading { monotonic: u64::from(micros) * 1_000, wall: i64::from(micros) }
}
