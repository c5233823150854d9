pub(crate) mod clock_reading;
pub(crate) mod system;

use std::fmt;
use std::sync::Mutex;

use time::macros::datetime;
use time::{Duration, OffsetDateTime};

/// The source of the time for this library.
///
/// No statement asks the database for its time: each one binds the instant that this clock returned. Tests use a
/// [`ManualClock`]; an application keeps the default, [`SystemClock`].
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the current instant. The library drops what is finer than a microsecond.
    fn now(&self) -> OffsetDateTime;

    /// Returns the time since some fixed instant. It must never go back, even if the clock is set back: it measures the
    /// age of the sessions in a [`Cache`](crate::Cache). By default this is the operating system's monotonic clock.
    fn monotonic(&self) -> std::time::Duration {
        system::monotonic()
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// A clock for tests that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(Mutex<Reading>);

#[derive(Debug)]
struct Reading {
    now: OffsetDateTime,
    /// The sum of all moves ahead.
    monotonic: std::time::Duration,
}

impl ManualClock {
    /// Makes a clock that shows `now`.
    pub fn new(now: OffsetDateTime) -> Self {
        Self(Mutex::new(Reading { now, monotonic: std::time::Duration::ZERO }))
    }

    /// Moves the clock to `now`, which may lie in the clock's past.
    pub fn set(&self, now: OffsetDateTime) {
        self.lock().move_to(now);
    }

    /// Moves the clock by `span`; a negative span moves it back.
    pub fn advance(&self, span: impl Into<SignedSpan>) {
        let mut reading = self.lock();
        let now = reading.now + span.into().0;
        reading.move_to(now);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Reading> {
        // A panic while the lock was held cannot have left half an instant behind.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Reading {
    fn move_to(&mut self, now: OffsetDateTime) {
        // The monotonic clock never goes back, so it ignores a move back.
        self.monotonic += std::time::Duration::try_from(now - self.now).unwrap_or_default();
        self.now = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        self.lock().now
    }

    fn monotonic(&self) -> std::time::Duration {
        self.lock().monotonic
    }
}

/// A span that may be negative, for [`ManualClock::advance`]. It converts from either crate's duration.
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

/// Returns `instant` in UTC, without what is finer than a microsecond, within the years 1 to 9999. Every supported
/// database can store that.
pub(crate) fn to_stored_precision(instant: OffsetDateTime) -> OffsetDateTime {
    let nearest = || instant.clamp(FIRST, LAST).to_offset(time::UtcOffset::UTC);
    let instant = in_range(instant).unwrap_or_else(nearest);
    let nanos = instant.nanosecond() / 1_000 * 1_000;
    // This is less than a second, since it is no more than the nanoseconds of the instant itself.
    instant.replace_nanosecond(nanos).unwrap_or(instant)
}

/// Returns `instant` in UTC, if it lies in the years that every supported database can store.
pub(crate) fn in_range(instant: OffsetDateTime) -> Option<OffsetDateTime> {
    // So is nearly every instant, and to compare instants takes longer: they may be of any offset.
    if instant.offset().is_utc() && (1..LAST.year()).contains(&instant.year()) {
        return Some(instant);
    }
    (FIRST..=LAST).contains(&instant).then(|| instant.to_offset(time::UtcOffset::UTC))
}

/// Returns `instant` in microseconds since 1970.
pub(crate) fn unix_microseconds(instant: OffsetDateTime) -> i64 {
    i64::try_from(instant.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

/// Returns the instant so many microseconds after 1970, or the nearest one that every supported database can store.
pub(crate) fn instant_of(unix_microseconds: i64) -> OffsetDateTime {
    let nearest = if unix_microseconds < 0 { FIRST } else { LAST };
    let instant = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_microseconds) * 1_000);
    instant.map_or(nearest, to_stored_precision)
}

/// Returns a span in nanoseconds.
#[inline]
pub(crate) fn nanoseconds(span: std::time::Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(span.subsec_nanos().into())
}

/// Returns `instant` less `span`, but no earlier than the first instant that every supported database can store.
pub(crate) fn earlier(instant: OffsetDateTime, span: std::time::Duration) -> OffsetDateTime {
    let span = Duration::try_from(span).unwrap_or(Duration::MAX);
    instant.checked_sub(span).map_or(FIRST, |instant| instant.max(FIRST))
}

/// The first instant that every supported database can store.
pub(crate) const FIRST: OffsetDateTime = datetime!(0001-01-01 00:00 UTC);

/// The last instant that every supported database can store.
pub(crate) const LAST: OffsetDateTime = datetime!(9999-12-31 23:59:59.999999 UTC);
