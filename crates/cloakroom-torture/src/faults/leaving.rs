//! Callers that are dropped midway, as a handler is if its browser disconnects.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::Fault;
use crate::settings::Settings;

/// After a minute a call counts as hung.
const PATIENCE: Duration = Duration::from_mins(1);

/// When a call is dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaving {
    Never,
    /// After this many steps: the first of them has sent something.
    AfterSteps(u32),
    After(Duration),
}

/// How a call ended.
pub(crate) enum Ending<V> {
    Answered(V),
    Dropped,
    Hung,
}

impl Leaving {
    /// Draws when to drop a call. `weight` is the likelihood compared with most calls.
    pub(crate) fn draw(random: &mut fastrand::Rng, settings: &Settings, weight: f64) -> Self {
        if !settings.faults.contains(&Fault::Dropped) || random.f64() >= settings.dropped * weight {
            return Self::Never;
        }
        if random.bool() {
            return Self::AfterSteps(random.u32(1..=3));
        }
        let longest = u64::try_from(settings.latency.as_micros()).unwrap_or(0) * 5 + 2_000;
        Self::After(Duration::from_micros(random.u64(0..longest)))
    }
}

/// Polls the call until it answers or is dropped.
pub(crate) async fn until<F: Future>(leaving: Leaving, call: F) -> Ending<F::Output> {
    match leaving {
        Leaving::Never => answered(PATIENCE, call).await.map_or(Ending::Hung, Ending::Answered),
        Leaving::After(time) => answered(time, call).await.map_or(Ending::Dropped, Ending::Answered),
        Leaving::AfterSteps(steps) => {
            let mut left = steps;
            let mut call = pin!(call);
            let stepped = poll_fn(|context| match call.as_mut().poll(context) {
                Poll::Ready(answer) => Poll::Ready(Ending::Answered(answer)),
                Poll::Pending if left <= 1 => Poll::Ready(Ending::Dropped),
                Poll::Pending => {
                    left -= 1;
                    Poll::Pending
                }
            });
            answered(PATIENCE, stepped).await.unwrap_or(Ending::Hung)
        }
    }
}

async fn answered<F: Future>(time: Duration, call: F) -> Option<F::Output> {
    tokio::time::timeout(time, call).await.ok()
}
