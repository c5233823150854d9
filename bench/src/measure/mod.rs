//! Measures: callers that call without pause, for a fixed span, contestant after contestant, round after round.

mod random;
pub mod windows;

use std::future::Future;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::failure::{Failure, Outcome};
use random::generator;

/// The load: how many callers, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub callers: usize,
    pub warm_up: Duration,
    pub span: Duration,
    /// Decides the rows: other rows in every round, and the same rows for all contestants of a round.
    pub round: u64,
    /// Whether each call is timed by itself. That costs a reading of the clock, which matters for calls of less than a
    /// microsecond.
    pub latencies: bool,
}

/// The round before the first, in which all contestants warm up.
pub const WARM_UP: u64 = 1 << 32;

/// The results of one contestant in one round.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub calls: u64,
    pub elapsed: Duration,
    /// The time of each call, in nanoseconds; empty if the calls were not timed.
    pub latencies: Vec<u32>,
    /// When each of these calls was over, in microseconds since the measurement began.
    pub ends: Vec<u32>,
}

impl Sample {
    pub fn per_second(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }
}

/// One call to repeat. It is a trait and not a closure, so that each call's future can borrow from it: a reference
/// count that two threads change would be noticeable beside calls of a tenth of a microsecond.
pub trait Call: Clone + Send + Sync + 'static {
    /// Makes the call; the random number picks the row.
    fn call(&self, random: u64) -> impl Future<Output = Outcome> + Send;
}

impl<F, Fut> Call for F
where
    F: Fn(u64) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Outcome> + Send,
{
    fn call(&self, random: u64) -> impl Future<Output = Outcome> + Send {
        self(random)
    }
}

/// A contestant and its call.
pub struct Contestant {
    pub name: String,
    call: Box<dyn Drive>,
}

/// A [`Call`] with a type that is erased between measurements, and known within them.
trait Drive {
    fn drive(&self, runtime: &Runtime, load: &Load, meanwhile: &mut dyn FnMut()) -> Outcome<Sample>;
    fn count(&self, runtime: &Runtime, calls: u64, round: u64) -> Outcome<Sample>;
}

impl<C: Call> Drive for C {
    fn drive(&self, runtime: &Runtime, load: &Load, meanwhile: &mut dyn FnMut()) -> Outcome<Sample> {
        drive(runtime, load, self, meanwhile)
    }

    fn count(&self, runtime: &Runtime, calls: u64, round: u64) -> Outcome<Sample> {
        call_often(runtime, calls, round, self.clone())
    }
}

impl Contestant {
    pub fn new(name: impl Into<String>, call: impl Call) -> Self {
        Self { name: name.into(), call: Box::new(call) }
    }

    /// Runs for the load's span.
    pub fn sample(&self, runtime: &Runtime, load: &Load) -> Outcome<Sample> {
        self.sample_during(runtime, load, &mut || thread::sleep(load.span))
    }

    /// Runs for as long as something else takes.
    pub fn sample_during(
        &self,
        runtime: &Runtime,
        load: &Load,
        meanwhile: &mut dyn FnMut(),
    ) -> Outcome<Sample> {
        self.call.drive(runtime, load, meanwhile).map_err(|error| self.failure(&error))
    }

    /// Makes this many calls by one caller.
    pub fn sample_calls(&self, runtime: &Runtime, calls: u64, round: u64) -> Outcome<Sample> {
        self.call.count(runtime, calls, round).map_err(|error| self.failure(&error))
    }

    fn failure(&self, failure: &Failure) -> Failure {
        format!("{}: {failure}", self.name).into()
    }
}

/// Returns each contestant's samples, one for each round. Every round has an order of its own, which is the same in every
/// run. So no contestant always comes after the same other contestant, and finds what that has left in the processor's caches or
/// still to be written.
pub fn rounds(
    contestants: &[Contestant],
    rounds: usize,
    mut sample: impl FnMut(u64, &Contestant) -> Outcome<Sample>,
) -> Outcome<Vec<Vec<Sample>>> {
    let mut samples: Vec<Vec<Sample>> = contestants.iter().map(|_| Vec::with_capacity(rounds)).collect();
    let mut random = Rng::with_seed(0);
    let mut order: Vec<usize> = (0..contestants.len()).collect();
    for round in 0..rounds {
        random.shuffle(&mut order);
        for contestant in order.iter().copied() {
            samples[contestant].push(sample(round as u64, &contestants[contestant])?);
        }
    }
    Ok(samples)
}

const WARMING_UP: u8 = 0;
const MEASURING: u8 = 1;
const OVER: u8 = 2;

/// So seldom that it costs nothing, and often enough that calls which never wait let others run.
const CALLS_BETWEEN_YIELDS: u64 = 64;

/// How long to wait for the first answer.
const PATIENCE: Duration = Duration::from_secs(30);

struct Signal {
    phase: AtomicU8,
    failure: Mutex<Option<Failure>>,
}

impl Signal {
    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }

    fn enter(&self, phase: u8) {
        self.phase.fetch_max(phase, Ordering::Relaxed);
    }

    fn fail(&self, failure: Failure) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        self.enter(OVER);
    }
}

/// Written by one caller and read twice; in a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

/// How long one call took, in nanoseconds, and when it was over, in microseconds since the callers began. The numbers
/// are small, because there may be millions of them.
type Timed = (u32, u32);

fn drive(runtime: &Runtime, load: &Load, call: &impl Call, meanwhile: &mut dyn FnMut()) -> Outcome<Sample> {
    let signal = Arc::new(Signal { phase: AtomicU8::new(WARMING_UP), failure: Mutex::new(None) });
    let counters: Arc<[Counter]> = (0..load.callers).map(|_| Counter::default()).collect();
    let round = load.round;
    let begun = Instant::now();
    let timed = load.latencies.then_some(begun);
    let callers: Vec<JoinHandle<Vec<Timed>>> = (0..load.callers)
        .map(|caller| {
            let (signal, counters, call) = (Arc::clone(&signal), Arc::clone(&counters), call.clone());
            // Rows that were looked up while warming up would be found more quickly.
            let randoms = [!round, round].map(|round| generator(round, caller as u64));
            runtime
                .spawn(async move { keep_calling(&signal, &counters[caller].0, randoms, timed, call).await })
        })
        .collect();

    thread::sleep(load.warm_up);
    let before = total(&counters);
    let start = Instant::now();
    let warmed_up = microseconds(start - begun);
    signal.enter(MEASURING);
    meanwhile();
    // A span without any answer shows nothing. A commit may take that long on a slow disk.
    while total(&counters) == before && start.elapsed() < PATIENCE && signal.phase() != OVER {
        thread::sleep(Duration::from_millis(1));
    }
    let calls = total(&counters) - before;
    let elapsed = start.elapsed();
    signal.enter(OVER);

    let (mut latencies, mut ends) = (Vec::new(), Vec::new());
    for caller in callers {
        for (latency, end) in runtime.block_on(caller)? {
            latencies.push(latency);
            ends.push(end.saturating_sub(warmed_up));
        }
    }
    match signal.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(failure) => Err(failure),
        None if calls == 0 => Err("not one call came back in time".into()),
        None => Ok(Sample { calls, elapsed, latencies, ends }),
    }
}

fn nanoseconds(span: Duration) -> u32 {
    u32::try_from(span.as_nanos()).unwrap_or(u32::MAX)
}

fn microseconds(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}

async fn keep_calling(
    signal: &Signal,
    counter: &AtomicU64,
    mut randoms: [Rng; 2],
    timed: Option<Instant>,
    call: impl Call,
) -> Vec<Timed> {
    let mut latencies = Vec::new();
    let mut done = 0;
    loop {
        let random = match signal.phase() {
            OVER => break,
            phase => randoms[usize::from(phase == MEASURING)].u64(..),
        };
        let start = timed.map(|begun| (begun, Instant::now()));
        if let Err(failure) = call.call(random).await {
            signal.fail(failure);
            break;
        }
        if let Some((begun, start)) = start
            && signal.phase() == MEASURING
        {
            let end = Instant::now();
            latencies.push((nanoseconds(end - start), microseconds(end - begun)));
        }
        done += 1;
        counter.store(done, Ordering::Relaxed);
        if done % CALLS_BETWEEN_YIELDS == 0 {
            tokio::task::yield_now().await;
        }
    }
    latencies
}

fn call_often(runtime: &Runtime, calls: u64, round: u64, call: impl Call) -> Outcome<Sample> {
    let task = runtime.spawn(async move {
        let mut random = generator(round, 0);
        let mut latencies = Vec::with_capacity(calls as usize);
        let start = Instant::now();
        for _ in 0..calls {
            let start = Instant::now();
            call.call(random.u64(..)).await?;
            latencies.push(nanoseconds(start.elapsed()));
        }
        Ok(Sample { calls, elapsed: start.elapsed(), latencies, ends: Vec::new() })
    });
    runtime.block_on(task)?
}

fn total(counters: &[Counter]) -> u64 {
    counters.iter().map(|counter| counter.0.load(Ordering::Relaxed)).sum()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn load(callers: usize) -> Load {
        let span = Duration::from_millis(20);
        Load { callers, warm_up: Duration::from_millis(5), span, round: 0, latencies: true }
    }

    fn runtime() -> Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    }

    #[test]
    fn calls_are_counted_and_timed() {
        let contestant = Contestant::new("yielding", |_| async {
            tokio::task::yield_now().await;
            Ok(())
        });
        let sample = contestant.sample(&runtime(), &load(4)).unwrap();
        assert!(sample.calls > 0 && !sample.latencies.is_empty());
        assert_eq!(sample.latencies.len(), sample.ends.len());
        assert!(sample.ends.iter().all(|end| *end < 10_000_000));
    }

    #[test]
    fn callers_that_never_wait_do_not_keep_the_others_out() {
        let seen: Arc<[AtomicU64]> = (0..8).map(|_| AtomicU64::new(0)).collect();
        let counted = Arc::clone(&seen);
        let contestant = Contestant::new("busy", move |random| {
            counted[usize::try_from(random % 8).unwrap()].fetch_add(1, Ordering::Relaxed);
            async { Ok(()) }
        });
        contestant.sample(&runtime(), &load(16)).unwrap();
        assert!(seen.iter().all(|count| count.load(Ordering::Relaxed) > 0));
    }

    #[test]
    fn contestants_are_asked_for_the_same_rows_in_a_round_and_for_others_in_the_next() {
        let asked = |round| {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let noted = Arc::clone(&seen);
            let contestant = Contestant::new("noting", move |random| {
                noted.lock().unwrap().push(random);
                async { Ok(()) }
            });
            contestant.sample_calls(&runtime(), 1000, round).unwrap();
            std::mem::take(&mut *seen.lock().unwrap())
        };
        let first = asked(0);
        assert_eq!(first, asked(0));
        assert!(asked(1).iter().all(|random| !first.contains(random)));
    }

    #[test]
    fn rows_looked_up_while_warming_up_are_not_those_that_are_measured() {
        let randoms = [!7, 7].map(|round| generator(round, 0).u64(..));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let contestant = Contestant::new("noting", move |random| {
            noted.lock().unwrap().push(random);
            tokio::time::sleep(Duration::from_millis(1)).map(Ok)
        });
        contestant.sample(&runtime(), &Load { round: 7, ..load(1) }).unwrap();
        let seen = seen.lock().unwrap();
        assert_eq!(seen[0], randoms[0]);
        assert!(seen.contains(&randoms[1]));
    }

    #[test]
    fn a_failing_call_fails_the_sample_and_says_whose() {
        let contestant = Contestant::new("broken", |_| async { Err("no such session".into()) });
        let error = contestant.sample(&runtime(), &load(2)).unwrap_err();
        assert_eq!(error.to_string(), "broken: no such session");
    }

    #[test]
    fn a_number_of_calls_is_kept_to() {
        let sample = Contestant::new("counted", |_| async { Ok(()) }).sample_calls(&runtime(), 7, 0).unwrap();
        assert_eq!((sample.calls, sample.latencies.len()), (7, 7));
    }

    #[test]
    fn each_contestant_comes_once_a_round_after_one_that_varies() {
        let contestants = ["a", "b", "c", "d", "e"].map(|name| Contestant::new(name, |_| async { Ok(()) }));
        let order = || {
            let mut order = String::new();
            let samples = rounds(&contestants, 7, |_, contestant| {
                order.push_str(&contestant.name);
                Ok(Sample::default())
            });
            assert!(samples.unwrap().iter().all(|samples| samples.len() == 7));
            order
        };
        let (first, second) = (order(), order());
        assert_eq!(first, second, "the order is another in another run");
        for round in 0..7 {
            let round = &first[round * 5..][..5];
            assert!("abcde".chars().all(|name| round.contains(name)), "{round}");
        }
        for name in "abcde".chars() {
            let after = first.split_terminator(name).skip(1).filter_map(|rest| rest.chars().next());
            let followers: std::collections::BTreeSet<char> = after.collect();
            assert!(followers.len() >= 3, "{name} is followed by {followers:?} alone: {first}");
        }
    }
}
