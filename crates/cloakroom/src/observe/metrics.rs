use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

#[cfg(feature = "dbsc")]
use super::Device;
use super::outcome::OK;
use super::{Batched, CacheLookup, ConnectionFailure, Extended, Operation, Recorded, Retry};

const OPERATIONS: &str = "cloakroom_operations_total";
const OPERATION_DURATION: &str = "cloakroom_operation_duration_seconds";
const BATCH_SIZE: &str = "cloakroom_batch_size";
const QUEUE_WAIT: &str = "cloakroom_queue_wait_seconds";
const CONNECTION_FAILURES: &str = "cloakroom_connection_failures_total";
const STATEMENT_RETRIES: &str = "cloakroom_statement_retries_total";
const EXTENSIONS: &str = "cloakroom_extensions_total";
const USES_RECORDED: &str = "cloakroom_uses_recorded_total";
const SESSIONS_ENDED: &str = "cloakroom_sessions_ended_total";
const EVENTS_LOST: &str = "cloakroom_events_lost_total";
const PRUNED: &str = "cloakroom_pruned_sessions_total";
const REVOCATIONS: &str = "cloakroom_revocations_total";
const REVOCATIONS_HEARD: &str = "cloakroom_revocations_heard_total";
const ANNOUNCEMENTS_REFUSED: &str = "cloakroom_announcements_refused_total";
const CACHE_LOOKUPS: &str = "cloakroom_cache_lookups_total";
const CACHE_EVICTIONS: &str = "cloakroom_cache_evictions_total";
const CACHE_ENTRIES: &str = "cloakroom_cache_entries";
const LEASES_HELD: &str = "cloakroom_cache_leases_held";
const LISTENER_CONNECTIONS: &str = "cloakroom_listener_connections_total";
#[cfg(feature = "dbsc")]
const DEVICE_REGISTRATIONS: &str = "cloakroom_device_registrations_total";
#[cfg(feature = "dbsc")]
const DEVICE_RENEWALS: &str = "cloakroom_device_renewals_total";
const LISTENER_FAILURES: &str = "cloakroom_listener_failures_total";

/// Tells the recorder what each metric means.
fn describe() {
    describe_counter!(OPERATIONS, Unit::Count, "Calls that asked the database, by what became of them.");
    describe_histogram!(OPERATION_DURATION, Unit::Seconds, "How long calls that asked the database took.");
    describe_histogram!(BATCH_SIZE, Unit::Count, "How many calls shared a statement.");
    describe_histogram!(QUEUE_WAIT, Unit::Seconds, "How long a call waited for its turn.");
    describe_counter!(
        CONNECTION_FAILURES,
        Unit::Count,
        "Connections that could not be had, or were given up."
    );
    describe_counter!(STATEMENT_RETRIES, Unit::Count, "Statements that were sent again.");
    describe_counter!(EXTENSIONS, Unit::Count, "Extensions that were due, by what became of them.");
    describe_counter!(USES_RECORDED, Unit::Count, "Last uses of sessions, by what became of them.");
    describe_counter!(SESSIONS_ENDED, Unit::Count, "Sessions that calls ended or deleted, by the reason.");
    describe_counter!(EVENTS_LOST, Unit::Count, "Events for which a channel had no room.");
    describe_counter!(PRUNED, Unit::Count, "Expired sessions that were deleted.");
    describe_counter!(REVOCATIONS, Unit::Count, "Calls that revoked sessions.");
    describe_counter!(REVOCATIONS_HEARD, Unit::Count, "Revocations that were heard of by announcements.");
    describe_counter!(
        ANNOUNCEMENTS_REFUSED,
        Unit::Count,
        "Revocations that went without their announcement, because the server's queue was full."
    );
    describe_counter!(CACHE_LOOKUPS, Unit::Count, "Lookups in the cache, by what became of them.");
    describe_counter!(CACHE_EVICTIONS, Unit::Count, "Sessions that were pushed out of the cache by others.");
    describe_gauge!(CACHE_ENTRIES, Unit::Count, "Sessions in the cache, with those that no longer hold.");
    describe_gauge!(LEASES_HELD, Unit::Count, "Caches whose listeners hear what others revoke.");
    describe_counter!(LISTENER_CONNECTIONS, Unit::Count, "Connections that the listener opened.");
    describe_counter!(
        LISTENER_FAILURES,
        Unit::Count,
        "Connections that the listener lost or could not open."
    );
    #[cfg(feature = "dbsc")]
    {
        describe_counter!(
            DEVICE_REGISTRATIONS,
            Unit::Count,
            "Registrations of devices' keys, by what became of them."
        );
        describe_counter!(
            DEVICE_RENEWALS,
            Unit::Count,
            "Renewals of bound sessions, by what became of them."
        );
    }
}

/// The metrics of one table. What a call of a busy application touches is registered once, so that counting costs one
/// atomic addition.
pub(crate) struct Metrics {
    table: Arc<str>,
    calls: [OnceLock<Calls>; Operation::COUNT],
    /// In the order of [`Batched`].
    batches: [Batches; 3],
    cache: OnceLock<CacheMetrics>,
}

/// The calls of one operation.
struct Calls {
    ok: Counter,
    duration: Histogram,
}

struct Batches {
    size: Histogram,
    wait: Histogram,
}

struct CacheMetrics {
    hit: Counter,
    absent: Counter,
    void: Counter,
    lapsed: Counter,
    evictions: Counter,
    entries: Gauge,
    leases: Gauge,
}

impl Metrics {
    pub(crate) fn new(table: &str) -> Self {
        describe();
        let table: Arc<str> = table.into();
        let batches = |kind| Batches {
            size: histogram!(BATCH_SIZE, "table" => Arc::clone(&table), "kind" => kind),
            wait: histogram!(QUEUE_WAIT, "table" => Arc::clone(&table), "kind" => kind),
        };
        let batches = [batches("lookup"), batches("insert"), batches("extension")];
        Self { table, calls: [const { OnceLock::new() }; _], batches, cache: OnceLock::new() }
    }

    /// Counts a call that has ended.
    pub(crate) fn called(&self, operation: Operation, outcome: &'static str, stopwatch: &Stopwatch) {
        let calls = self.calls[operation as usize].get_or_init(|| Calls {
            ok: self.calls(operation, OK),
            duration: histogram!(
                OPERATION_DURATION, "table" => self.table(), "operation" => operation.name()
            ),
        });
        if outcome == OK {
            calls.ok.increment(1);
        } else {
            self.calls(operation, outcome).increment(1);
        }
        calls.duration.record(stopwatch.0.elapsed());
    }

    fn calls(&self, operation: Operation, outcome: &'static str) -> Counter {
        let operation = operation.name();
        counter!(OPERATIONS, "table" => self.table(), "operation" => operation, "outcome" => outcome)
    }

    /// Counts a statement that so many calls share.
    pub(crate) fn sent(&self, batched: Batched, calls: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a batch has some thousands of calls")]
        self.batches[batched as usize].size.record(calls as f64);
    }

    /// Records how long a call waited before its statement was sent.
    pub(crate) fn waited(&self, batched: Batched, span: Duration) {
        self.batches[batched as usize].wait.record(span);
    }

    pub(crate) fn extended(&self, extended: Extended) {
        let outcome = match extended {
            Extended::Written => "written",
            Extended::Lost => "lost",
            Extended::Failed => "failed",
        };
        counter!(EXTENSIONS, "table" => self.table(), "outcome" => outcome).increment(1);
    }

    /// Counts a statement that records so many last uses.
    pub(crate) fn sent_uses(&self, uses: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a statement has some hundreds of them")]
        histogram!(BATCH_SIZE, "table" => self.table(), "kind" => "use").record(uses as f64);
    }

    pub(crate) fn recorded(&self, recorded: Recorded, count: u64) {
        let outcome = match recorded {
            Recorded::Written => "written",
            Recorded::Failed => "failed",
            Recorded::Dropped => "dropped",
        };
        counter!(USES_RECORDED, "table" => self.table(), "outcome" => outcome).increment(count);
    }

    pub(crate) fn ended(&self, sessions: u64, reason: &'static str) {
        counter!(SESSIONS_ENDED, "table" => self.table(), "reason" => reason).increment(sessions);
    }

    pub(crate) fn pruned(&self, sessions: u64) {
        counter!(PRUNED, "table" => self.table()).increment(sessions);
    }

    pub(crate) fn revoked(&self, is_announced: bool) {
        let announced = if is_announced { "true" } else { "false" };
        counter!(REVOCATIONS, "table" => self.table(), "announced" => announced).increment(1);
    }

    pub(crate) fn announcement_refused(&self) {
        counter!(ANNOUNCEMENTS_REFUSED, "table" => self.table()).increment(1);
    }

    /// Counts what a device has asked for, by what became of it.
    #[cfg(feature = "dbsc")]
    pub(crate) fn device(&self, device: Device, outcome: &'static str) {
        let name = match device {
            Device::Registration => DEVICE_REGISTRATIONS,
            Device::Renewal => DEVICE_RENEWALS,
        };
        counter!(name, "table" => self.table(), "outcome" => outcome).increment(1);
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn heard(&self) {
        counter!(REVOCATIONS_HEARD, "table" => self.table()).increment(1);
    }

    /// Counts a lookup in the cache. This is on the hot path.
    #[inline]
    pub(crate) fn looked_up(&self, lookup: CacheLookup) {
        let cache = self.cache();
        let counter = match lookup {
            CacheLookup::Hit => &cache.hit,
            CacheLookup::Absent => &cache.absent,
            CacheLookup::Void => &cache.void,
            CacheLookup::Lapsed => &cache.lapsed,
        };
        counter.increment(1);
    }

    pub(crate) fn evicted(&self) {
        self.cache().evictions.increment(1);
    }

    /// Records that so many more sessions are in the cache.
    pub(crate) fn kept(&self, more: i32) {
        self.cache().entries.increment(more);
    }

    /// Records that one cache more, or one fewer, hears what others revoke.
    pub(crate) fn lease_changed(&self, is_held: bool) {
        self.cache().leases.increment(if is_held { 1 } else { -1 });
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn listener_connected(&self) {
        counter!(LISTENER_CONNECTIONS, "table" => self.table()).increment(1);
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn listener_failed(&self) {
        counter!(LISTENER_FAILURES, "table" => self.table()).increment(1);
    }

    /// Registered when a cache is first used: a table without one shows none of these.
    #[inline]
    fn cache(&self) -> &CacheMetrics {
        self.cache.get_or_init(|| {
            let lookups = |outcome| counter!(CACHE_LOOKUPS, "table" => self.table(), "outcome" => outcome);
            CacheMetrics {
                hit: lookups("hit"),
                absent: lookups("absent"),
                void: lookups("void"),
                lapsed: lookups("lapsed"),
                evictions: counter!(CACHE_EVICTIONS, "table" => self.table()),
                entries: gauge!(CACHE_ENTRIES, "table" => self.table()),
                leases: gauge!(LEASES_HELD, "table" => self.table()),
            }
        })
    }

    fn table(&self) -> Arc<str> {
        Arc::clone(&self.table)
    }
}

/// When a call began.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

/// Counts a connection of a pool that failed. A pool is not of one table.
pub(crate) fn connection_failed(database: &'static str, failure: ConnectionFailure) {
    let reason = match failure {
        ConnectionFailure::Exhausted => "exhausted",
        ConnectionFailure::Refused => "refused",
        ConnectionFailure::Lost => "lost",
        ConnectionFailure::Silent => "silent",
    };
    counter!(CONNECTION_FAILURES, "database" => database, "reason" => reason).increment(1);
}

/// Counts a statement that is sent again.
pub(crate) fn statement_retried(database: &'static str, retry: Retry) {
    let reason = match retry {
        Retry::Deadlock => "deadlock",
        Retry::Reconnected => "reconnected",
        Retry::Stale => "stale",
    };
    counter!(STATEMENT_RETRIES, "database" => database, "reason" => reason).increment(1);
}

/// Counts an event for which a channel had no room. A channel may be of several tables.
pub(crate) fn event_lost() {
    counter!(EVENTS_LOST).increment(1);
}
