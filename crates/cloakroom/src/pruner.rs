use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::error::Result;
use crate::sessions::Sessions;
use crate::table::SessionFields;

/// The wait after the first run that failed. It doubles with each further failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// A background task that deletes expired sessions at intervals.
///
/// A run deletes sessions as [`Sessions::delete_expired`] does, in batches with pauses between them. Any number of
/// pruners may work on one table, in one process or in many: they take different rows, or wait for each other briefly.
/// They delete only sessions that have expired, and that did so at least [`keep`](PrunerBuilder::keep) ago. A run that
/// fails is reported to `tracing` and tried again, after a wait that doubles with each failure, up to the interval. The
/// number of deleted sessions is reported too.
///
/// The pruner stops when its handle is dropped. [`stop`](Pruner::stop) also waits until it has stopped.
///
/// ```no_run
/// # use std::time::Duration;
/// # use cloakroom::{Pruner, SessionTable, Sessions};
/// # #[derive(Clone, SessionTable)]
/// # struct UserSession { user_id: String }
/// # async fn example(sessions: Sessions<UserSession>) {
/// let pruner = Pruner::spawn(sessions, Duration::from_hours(1));
/// // … serve …
/// pruner.stop().await;
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the pruner stops when its handle is dropped"]
pub struct Pruner {
    /// Dropped to stop the task.
    stop: oneshot::Sender<()>,
    progress: watch::Receiver<Progress>,
    task: JoinHandle<()>,
}

/// The work that a [`Pruner`] has done since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Runs that completed.
    pub runs: u64,
    /// Runs that failed.
    pub failures: u64,
    /// Sessions deleted in all runs together.
    pub deleted: u64,
}

impl Pruner {
    /// Starts a pruner that runs at once and then after each interval of `every`. The interval varies by up to a tenth,
    /// so that the processes of an application spread out. Must be called within a tokio runtime.
    pub fn spawn<T: SessionFields>(sessions: Sessions<T>, every: Duration) -> Self {
        Self::builder(every).spawn(sessions)
    }

    /// Returns a builder for a pruner with settings of its own.
    pub fn builder(every: Duration) -> PrunerBuilder {
        PrunerBuilder { every, batch: None, keep: Duration::ZERO, jitter: 0.1 }
    }

    /// Returns what has been done so far.
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Waits until another run has ended, completed or failed, since this was last called.
    pub async fn run_ended(&mut self) -> Progress {
        // This fails only if the task has ended. The last progress is then still valid.
        let _ = self.progress.changed().await;
        *self.progress.borrow_and_update()
    }

    /// Stops the pruner and waits until it has stopped. A batch that is out is abandoned: the database has then either
    /// deleted all of it or none.
    pub async fn stop(self) {
        drop(self.stop);
        // The task neither panics nor is it cancelled.
        let _ = self.task.await;
    }
}

/// Settings of a [`Pruner`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PrunerBuilder {
    every: Duration,
    batch: Option<u64>,
    keep: Duration,
    jitter: f64,
}

impl PrunerBuilder {
    /// Sets how many sessions one statement deletes. Default 200, on SQLite 50; at least 1.
    pub fn batch(self, batch: u64) -> Self {
        Self { batch: Some(batch.max(1)), ..self }
    }

    /// Sets how long a session is kept after it has expired or was ended. Default zero: the next run deletes it.
    ///
    /// Use it in applications that show recent log-ins, or that must keep a record of them.
    pub fn keep(self, keep: Duration) -> Self {
        Self { keep, ..self }
    }

    /// Sets by what part the time between two runs varies, from 0 to 1. Default 0.1.
    pub fn jitter(self, jitter: f64) -> Self {
        Self { jitter: if jitter.is_nan() { 0.0 } else { jitter.clamp(0.0, 1.0) }, ..self }
    }

    /// Starts the pruner. Must be called within a tokio runtime.
    pub fn spawn<T: SessionFields>(self, sessions: Sessions<T>) -> Pruner {
        let (stop, stopped) = oneshot::channel();
        let (report, progress) = watch::channel(Progress::default());
        let task = tokio::spawn(async move {
            tokio::select! {
                // The sender is only ever dropped.
                _ = stopped => {}
                () = self.run(sessions, report) => {}
            }
        });
        Pruner { stop, progress, task }
    }

    async fn run<T: SessionFields>(self, sessions: Sessions<T>, report: watch::Sender<Progress>) {
        let table = sessions.definition().to_string();
        let mut failures_in_a_row = 0;
        if sessions.config().schemes().are_named()
            && let Err(error) = sessions.count_by_scheme().await
        {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(%table, error, "the sessions could not be counted by scheme");
        }
        loop {
            match self.prune(&sessions, &report).await {
                Ok(0) => {
                    failures_in_a_row = 0;
                    tracing::debug!(%table, "no expired sessions to delete");
                }
                Ok(deleted) => {
                    failures_in_a_row = 0;
                    tracing::info!(%table, deleted, "deleted expired sessions");
                }
                Err(error) => {
                    failures_in_a_row += 1;
                    tracing::warn!(
                        %table,
                        failures_in_a_row,
                        error = &error as &dyn std::error::Error,
                        "expired sessions could not be deleted",
                    );
                    report.send_modify(|progress| progress.failures += 1);
                }
            }
            tokio::time::sleep(self.pause(failures_in_a_row, random_part())).await;
        }
    }

    async fn prune<T: SessionFields>(
        &self,
        sessions: &Sessions<T>,
        report: &watch::Sender<Progress>,
    ) -> Result<u64> {
        let before = report.borrow().deleted;
        // A batch counts even if a later batch fails, but it does not end a run.
        let count = |deleted| {
            report.send_if_modified(|progress| {
                progress.deleted = before + deleted;
                false
            });
        };
        let deleted = sessions.on_pool().prune(self.batch, self.keep, count).await?;
        report.send_modify(|progress| progress.runs += 1);
        Ok(deleted)
    }

    /// Returns how long to wait before the next run; `random` is a number from 0 to 1.
    fn pause(&self, failures_in_a_row: u32, random: f64) -> Duration {
        let pause = match failures_in_a_row.checked_sub(1) {
            None => self.every,
            Some(doublings) => FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(doublings)).min(self.every),
        };
        // From `1 - jitter` to `1 + jitter`.
        let factor = 1.0 + self.jitter * (2.0 * random - 1.0);
        Duration::try_from_secs_f64(pause.as_secs_f64() * factor).unwrap_or(pause)
    }
}

/// Returns a random number from 0 to 1, or the middle if the operating system has no randomness to give.
fn random_part() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn runs_spread_out_around_their_interval() {
        let pruner = Pruner::builder(HOUR);
        assert_eq!(pruner.pause(0, 0.5), HOUR);
        assert_eq!(pruner.pause(0, 0.0), HOUR.mul_f64(0.9));
        assert_eq!(pruner.pause(0, 1.0), HOUR.mul_f64(1.1));
    }

    #[test]
    fn after_failures_the_pause_doubles_up_to_the_interval() {
        let pruner = Pruner::builder(HOUR).jitter(0.0);
        let seconds: Vec<u64> = (1..=4).map(|failures| pruner.pause(failures, 0.5).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8]);
        assert_eq!(pruner.pause(1_000, 0.5), HOUR);
    }

    #[test]
    fn settings_out_of_bounds_do_no_harm() {
        let pruner = Pruner::builder(Duration::MAX).batch(0).jitter(f64::NAN);
        assert_eq!(pruner.batch, Some(1));
        assert!(pruner.pause(0, 1.0) > HOUR);
    }
}
