//! The errors of every part of the benchmark.

use std::error::Error;

/// An error. It can only be reported.
pub type Failure = Box<dyn Error + Send + Sync>;

pub type Outcome<T = ()> = Result<T, Failure>;
