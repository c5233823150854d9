use std::fmt;
use std::sync::Mutex;

use time::macros::datetime;
use time::{Duration, OffsetDateTime};

/// Where the library takes the time from.
///
/// No statement asks the database for its time: each binds the instant that this clock gave. Tests inject a
/// [`ManualClock`]; an application keeps the default, [`SystemClock`].
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current instant. The library drops what is finer than a microsecond.
    fn now(&self) -> OffsetDateTime;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// A clock that stands still until it is moved; for tests.
#[derive(Debug)]
pub struct ManualClock(Mutex<OffsetDateTime>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: OffsetDateTime) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves the clock to `now`, which may be in its past.
    pub fn set(&self, now: OffsetDateTime) {
        *self.lock() = now;
    }

    /// Moves the clock by `span`; a negative span moves it back.
    pub fn advance(&self, span: impl Into<SignedSpan>) {
        *self.lock() += span.into().0;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, OffsetDateTime> {
        // A panic while the lock was held cannot have left half an instant behind.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        *self.lock()
    }
}

/// A span that may be negative: what [`ManualClock::advance`] takes, from either crate's duration.
#[derive(Clone, Copy, Debug)]
pub struct SignedSpan(Duration);

impl From<Duration> for SignedSpan {
    fn from(span: Duration) -> Self {
        Self(span)
    }
}

impl From<std::time::Duration> for SignedSpan {
    fn from(span: std::time::Duration) -> Self {
        Self(Duration::try_from(span).unwrap_or(Duration::MAX))
    }
}

/// `instant` in UTC, without what is finer than a microsecond, within the years 1 to 9999: what every
/// supported database can store.
pub(crate) fn to_stored_precision(instant: OffsetDateTime) -> OffsetDateTime {
    const FIRST: OffsetDateTime = datetime!(0001-01-01 00:00 UTC);
    let instant = instant.clamp(FIRST, LAST).to_offset(time::UtcOffset::UTC);
    let nanos = instant.nanosecond() / 1_000 * 1_000;
    // Less than a second, since it is no more than what the instant itself had.
    instant.replace_nanosecond(nanos).unwrap_or(instant)
}

/// The last instant that every supported database can store.
pub(crate) const LAST: OffsetDateTime = datetime!(9999-12-31 23:59:59.999999 UTC);
