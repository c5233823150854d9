//! The parts of the cache that ask nothing of anybody. They are not tested beside their code, which is also
//! compiled for a model checker, whose locks only work there.

#[cfg(feature = "postgres")]
mod announcement;
mod entries;
mod lease;
mod revocations;
mod shelf;

use super::moment::Moment;

/// So many microseconds after the first instant, on both clocks.
fn at(micros: u32) -> Moment {
    Moment { monotonic: u64::from(micros) * 1_000, wall: i64::from(micros) }
}
