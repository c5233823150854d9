//! The locks and atomics of the modules that are also compiled with a model checker's in place of these.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

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
