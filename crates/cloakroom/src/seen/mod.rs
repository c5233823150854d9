//! When sessions were last used, noted in memory and written behind: many in a statement, each at most once in a span.
//!
//! 1. [`Recorder::note`] puts a use into a [bounded map](entries). It is on the path of every lookup, and never waits for
//!    the database or for another thread that does.
//! 2. All uses are written together, when the [schedule] says so. A task waits for that on the runtime of the
//!    call that noted the first of them. If that runtime is not driven, or ends, the next call takes over.
//! 3. A use stays in the map until it is known to be written. So whatever becomes of a [write], nothing is lost
//!    but what a later write could not write either.
//! 4. A write names no column but those of the roles, and no row that says of a later use. So no other write is in
//!    conflict with it, and it may be repeated.
//! 5. Nothing that fails here fails a call.

mod entries;
mod schedule;
#[cfg(test)]
mod tests;
mod write;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::runtime::Handle;
use uuid::Uuid;

use entries::{CAPACITY, Entries, Noted};
use schedule::{Schedule, Step, Task};
use write::Locked;

use crate::clock::clock_reading::ClockReading;
use crate::clock::instant_of;
use crate::config::Config;
use crate::error::{ErrorKind, Result};
use crate::observe::{Metrics, Recorded};
use crate::session::seen::Client;
use crate::store::Store;
use crate::table::Role;

/// Records the last uses of the sessions of one table.
pub(crate) struct Recorder {
    store: Arc<Store>,
    entries: Entries,
    schedule: Schedule,
    is_closed: AtomicBool,
    /// Whether it was said that there is no room.
    is_full: AtomicBool,
}

impl Recorder {
    /// Makes it, if the configuration asks for it and the table has a column for it.
    pub(crate) fn of(store: &Arc<Store>) -> Option<Arc<Self>> {
        let every = store.config.record_seen()?;
        store.table.field_for(Role::LastSeen)?;
        Some(Arc::new(Self {
            store: Arc::clone(store),
            entries: Entries::new(),
            schedule: Schedule::new(every),
            is_closed: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
        }))
    }

    /// Notes that a session is used now, and by which client if that is known.
    pub(crate) fn note(self: &Arc<Self>, id: Uuid, client: Option<&Client>, now: ClockReading) {
        if self.is_closed.load(Ordering::SeqCst) {
            return;
        }
        let noted = self.entries.note(id, now.wall, client);
        let now = Duration::from_nanos(now.monotonic);
        let can_start = || Handle::try_current().is_ok();
        let crowded = match noted {
            Noted::Again | Noted::First => None,
            Noted::Crowded => self.schedule.crowded(now, can_start),
            Noted::Dropped => {
                self.note_full();
                self.schedule.crowded(now, can_start)
            }
        };
        if let Some(task) = crowded.or_else(|| self.schedule.noted(now, can_start)) {
            self.start(task);
        }
    }

    #[cold]
    fn note_full(&self) {
        self.metrics().recorded(Recorded::Dropped, 1);
        if !self.is_full.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                table = %self.store.table,
                capacity = CAPACITY,
                "the last uses of some sessions are not recorded: too many others are not written yet",
            );
        }
    }

    /// Returns when the session was last used, if that is not written yet.
    pub(crate) fn last_use(&self, id: Uuid) -> Option<OffsetDateTime> {
        self.entries.last_use(id).map(instant_of)
    }

    /// Writes what was noted before the call, and waits for locked rows. Returns how many rows were written.
    pub(crate) async fn flush(&self) -> Result<u64> {
        let written = self.write_all(Locked::WaitFor, || {}).await?;
        self.is_full.store(false, Ordering::Relaxed);
        Ok(written)
    }

    /// Writes what was noted, and notes nothing from now on.
    pub(crate) async fn close(&self) -> Result<()> {
        self.is_closed.store(true, Ordering::SeqCst);
        // A call that saw it open may still note one.
        while !self.entries.is_empty() {
            self.flush().await?;
        }
        Ok(())
    }

    fn start(self: &Arc<Self>, task: Task) {
        let running = Running { recorder: Arc::downgrade(self), task };
        tokio::spawn(running.run());
    }

    fn config(&self) -> &Config {
        &self.store.config
    }

    fn metrics(&self) -> &Metrics {
        &self.store.instruments.metrics
    }

    /// Writes what is due, and says so if that fails.
    async fn write_due(&self, task: Task) {
        let now = || self.config().monotonic();
        let written = self.write_all(Locked::Later, || self.schedule.goes_on(task, now())).await;
        let failures_in_a_row = self.schedule.written(task, now(), written.is_ok());
        let Err(error) = written else {
            self.is_full.store(false, Ordering::Relaxed);
            return;
        };
        self.metrics().recorded(Recorded::Failed, 1);
        let (table, error) = (&self.store.table, &error);
        let kind = error.kind();
        let error = error as &dyn std::error::Error;
        if failures_in_a_row > 1 && kind == ErrorKind::ReadOnly {
            // A standby takes no writes until it is promoted.
            tracing::debug!(%table, failures_in_a_row, error, "the last uses of sessions could not be written");
        } else {
            tracing::warn!(%table, failures_in_a_row, error, "the last uses of sessions could not be written");
        }
    }
}

/// A task that writes when that is due. It keeps neither the table's state nor its pool while it waits.
struct Running {
    recorder: Weak<Recorder>,
    task: Task,
}

impl Running {
    async fn run(self) {
        while let Some(wait) = self.step().await {
            tokio::time::sleep(wait).await;
        }
    }

    /// Writes if that is due. Returns how long to wait then, or `None` if the task is to end.
    async fn step(&self) -> Option<Duration> {
        let recorder = self.recorder.upgrade()?;
        loop {
            let now = recorder.config().monotonic();
            match recorder.schedule.next(self.task, now, || recorder.entries.is_empty()) {
                Step::Wait(span) => return Some(span),
                Step::Write => recorder.write_due(self.task).await,
                Step::End => return None,
            }
        }
    }
}

/// However the task ends, the next call starts another if there is something to write.
impl Drop for Running {
    fn drop(&mut self) {
        if let Some(recorder) = self.recorder.upgrade() {
            recorder.schedule.ended(self.task);
        }
    }
}
