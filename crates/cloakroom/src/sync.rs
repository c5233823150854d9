//! The types that a model checker replaces, for the modules that are also compiled for it.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

/// How many stripes sessions fall into. Sessions that share a stripe void each other's answers, which costs a lookup.
pub(crate) const STRIPES: usize = 4096;

/// A lock that outlives panics: everything that is done under it leaves the state whole.
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
