use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use cloakroom::Clock;
use time::{Duration, OffsetDateTime};

/// A process's clock, which can be set.
#[derive(Clone, Debug, Default)]
pub(crate) struct SteppingClock(Arc<AtomicI64>);

impl SteppingClock {
    /// Sets it to this many seconds before or after the right time.
    pub(crate) fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for SteppingClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + Duration::seconds(self.0.load(Ordering::SeqCst))
    }
}
