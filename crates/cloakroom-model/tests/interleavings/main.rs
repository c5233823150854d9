//! What threads of one process can do to each other in the cache and in the queue of lookups, in every order
//! that there is: the library's own source, compiled with the locks and atomics of
//! [loom](https://docs.rs/loom), which tries all of them.
//!
//! Each test has a twin that breaks one rule and in which loom finds the order that shows it.

#[path = "../../../cloakroom/src/session/cache_entry.rs"]
mod cache_entry;
#[path = "../../../cloakroom/src/clock/clock_reading.rs"]
mod clock_reading;
#[path = "../../../cloakroom/src/cache/lease.rs"]
#[expect(dead_code, reason = "lapsing needs no other thread")]
mod lease;
#[path = "../../../cloakroom/src/batching/queue.rs"]
mod queue;
#[path = "../../../cloakroom/src/cache/revocations.rs"]
mod revocations;
#[path = "../../../cloakroom/src/cache/set_associative_map.rs"]
#[expect(dead_code, reason = "how much room it takes needs no other thread")]
mod set_associative_map;
#[path = "../../../cloakroom/src/cache/validated_cache.rs"]
#[expect(dead_code, reason = "removing and pruning need no other thread")]
mod validated_cache;

mod cache;
mod gathering;
mod slots;

/// Stands where the library has those of `std`.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};

    /// Each is followed through every order; one shows what many do.
    pub(crate) const STRIPES: usize = 1;

    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("no thread panicked")
        }
    }
}
