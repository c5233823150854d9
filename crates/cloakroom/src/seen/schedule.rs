//! When the uses are written, and by which task. Nothing here reads a clock: each instant is the time since a fixed
//! instant, by the configured clock that never goes back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::sync::Mutex;

/// The wait after the first write that failed. It doubles with each further failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// How soon after a write another may begin because there is little room left.
const CROWDED_AFTER: Duration = Duration::from_secs(1);

/// How long a write may do nothing before another task takes over: its runtime may not be driven. A statement is given up
/// long before that.
const STUCK: Duration = Duration::from_mins(1);

/// How soon a task that was started must begin: its runtime may not be driven. If each call started another meanwhile, a
/// runtime on which calls never wait would have ever more tasks, and would come to none that may still write.
const SLOW_START: Duration = Duration::from_secs(1);

/// Says when the uses are written: all together, `every` so often, for as long as there are any.
pub(super) struct Schedule {
    every: Duration,
    /// When the next write is due, in nanoseconds, or [`NEVER`]. It is what `plan` says, for those who only look.
    due: AtomicU64,
    plan: Mutex<Plan>,
}

const NEVER: u64 = u64::MAX;

#[derive(Default)]
struct Plan {
    due: Option<Duration>,
    /// The task that waits or writes, by its number. An earlier one ends when it finds that it is not this one.
    task: Option<u64>,
    tasks: u64,
    /// When it was started, if it has not begun.
    started: Option<Duration>,
    /// When the task that writes last did something.
    writing: Option<Duration>,
    begun: Option<Duration>,
    failures: u32,
}

/// The number of a task that is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Task(u64);

/// What a task does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Wait(Duration),
    Write,
    /// There is nothing to write, or another task does it.
    End,
}

impl Schedule {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, due: AtomicU64::new(NEVER), plan: Mutex::new(Plan::default()) }
    }

    /// Must be called after a use was noted. Returns the task that is to be started, if one is. With `can_start` being
    /// `false` none is: a later call starts it.
    ///
    /// This is on the hot path: unless a write is due, it reads one number.
    #[inline]
    pub(super) fn noted(&self, now: Duration, can_start: impl FnOnce() -> bool) -> Option<Task> {
        let due = self.due.load(Ordering::SeqCst);
        if due != NEVER && nanoseconds(now) < due {
            return None;
        }
        self.noted_when_due(now, can_start)
    }

    #[cold]
    fn noted_when_due(&self, now: Duration, can_start: impl FnOnce() -> bool) -> Option<Task> {
        let mut plan = self.plan.lock();
        let due = match plan.due {
            // A task takes care of it.
            Some(due)
                if plan.task.is_some() && (now < due || plan.is_writing(now) || plan.is_starting(now)) =>
            {
                return None;
            }
            // There is no task, or the one that waits for this instant may not be driven, or its clock may stand still.
            Some(due) => due,
            None => now.saturating_add(self.every),
        };
        self.set_due(&mut plan, due);
        can_start().then(|| plan.start(now))
    }

    /// Must be called if there is little room left. Returns the task that is to be started, if one is.
    pub(super) fn crowded(&self, now: Duration, can_start: impl FnOnce() -> bool) -> Option<Task> {
        let mut plan = self.plan.lock();
        let is_soon = plan.begun.is_some_and(|begun| now.saturating_sub(begun) < CROWDED_AFTER);
        if is_soon || plan.failures > 0 || plan.is_writing(now) || !can_start() {
            return None;
        }
        self.set_due(&mut plan, now);
        Some(plan.start(now))
    }

    /// Returns what a task does next.
    pub(super) fn next(&self, task: Task, now: Duration, is_empty: impl Fn() -> bool) -> Step {
        let mut plan = self.plan.lock();
        if plan.task != Some(task.0) {
            return Step::End;
        }
        plan.started = None;
        if is_empty() {
            // A call that has noted a use since then either finds that no write is due, or is found here.
            self.due.store(NEVER, Ordering::SeqCst);
            if is_empty() {
                plan.due = None;
                plan.task = None;
                return Step::End;
            }
        }
        let due = plan.due.unwrap_or(now);
        if now < due {
            self.set_due(&mut plan, due);
            return Step::Wait(due.saturating_sub(now));
        }
        // What is noted from here on is written `every` later.
        self.set_due(&mut plan, now.saturating_add(self.every));
        plan.begun = Some(now);
        plan.writing = Some(now);
        Step::Write
    }

    /// Must be called by the task that writes, each time that it has done something.
    pub(super) fn goes_on(&self, task: Task, now: Duration) {
        let mut plan = self.plan.lock();
        if plan.task == Some(task.0) {
            plan.writing = Some(now);
        }
    }

    /// Must be called by the task that has written. Returns how many writes have failed in a row.
    pub(super) fn written(&self, task: Task, now: Duration, is_done: bool) -> u32 {
        let mut plan = self.plan.lock();
        if plan.task != Some(task.0) {
            return plan.failures;
        }
        plan.writing = None;
        if is_done {
            plan.failures = 0;
        } else {
            let backoff = FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(plan.failures)).min(self.every);
            plan.failures = plan.failures.saturating_add(1);
            self.set_due(&mut plan, now.saturating_add(backoff));
        }
        plan.failures
    }

    /// Must be called when a task ends, in whatever way: if it had work left, the next call starts another.
    pub(super) fn ended(&self, task: Task) {
        let mut plan = self.plan.lock();
        if plan.task == Some(task.0) {
            plan.task = None;
            plan.writing = None;
            self.due.store(0, Ordering::SeqCst);
        }
    }

    fn set_due(&self, plan: &mut Plan, due: Duration) {
        plan.due = Some(due);
        self.due.store(nanoseconds(due), Ordering::SeqCst);
    }
}

impl Plan {
    fn is_writing(&self, now: Duration) -> bool {
        self.writing.is_some_and(|since| now.saturating_sub(since) < STUCK)
    }

    fn is_starting(&self, now: Duration) -> bool {
        self.started.is_some_and(|since| now.saturating_sub(since) < SLOW_START)
    }

    fn start(&mut self, now: Duration) -> Task {
        self.tasks += 1;
        self.started = Some(now);
        self.task = Some(self.tasks);
        self.writing = None;
        Task(self.tasks)
    }
}

/// Returns the span as a number that is not [`NEVER`].
fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(NEVER).min(NEVER - 1)
}
