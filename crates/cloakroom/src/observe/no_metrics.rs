//! What [`metrics`](https://docs.rs/metrics) would be told, for an application that does not ask for it.

#![expect(clippy::unused_self, reason = "the same calls as with metrics")]

use std::time::Duration;

use super::{Batched, CacheLookup, ConnectionFailure, Extended, Operation, Recorded, Retry};

pub(crate) struct Metrics;

impl Metrics {
    pub(crate) fn new(_table: &str) -> Self {
        Self
    }

    pub(crate) fn called(&self, _operation: Operation, _outcome: &'static str, _stopwatch: &Stopwatch) {}

    pub(crate) fn sent(&self, _batched: Batched, _calls: usize) {}

    pub(crate) fn waited(&self, _batched: Batched, _span: Duration) {}

    pub(crate) fn extended(&self, _extended: Extended) {}

    pub(crate) fn sent_uses(&self, _uses: usize) {}

    pub(crate) fn recorded(&self, _recorded: Recorded, _count: u64) {}

    pub(crate) fn ended(&self, _sessions: u64, _reason: &'static str) {}

    pub(crate) fn pruned(&self, _sessions: u64) {}

    pub(crate) fn revoked(&self, _is_announced: bool) {}

    pub(crate) fn announcement_refused(&self) {}

    #[cfg(feature = "dbsc")]
    pub(crate) fn device(&self, _device: super::Device, _outcome: &'static str) {}

    #[cfg(feature = "postgres")]
    pub(crate) fn heard(&self) {}

    #[inline]
    pub(crate) fn looked_up(&self, _lookup: CacheLookup) {}

    pub(crate) fn evicted(&self) {}

    pub(crate) fn kept(&self, _more: i32) {}

    pub(crate) fn lease_changed(&self, _is_held: bool) {}

    #[cfg(feature = "postgres")]
    pub(crate) fn listener_connected(&self) {}

    #[cfg(feature = "postgres")]
    pub(crate) fn listener_failed(&self) {}
}

pub(crate) struct Stopwatch;

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self
    }
}

pub(crate) fn connection_failed(_database: &'static str, _failure: ConnectionFailure) {}

pub(crate) fn statement_retried(_database: &'static str, _retry: Retry) {}

pub(crate) fn event_lost() {}
