//! Comparisons of contestants, round after round.

use std::time::Duration;

use super::{Context, Plan};
use crate::failure::Outcome;
use crate::measure::{self, Contestant, Load, Sample};
use crate::results::{Measure, Row, Table};

impl Context {
    /// Runs the contestants in turn, with this many callers each, and compares how often they call. It also shows how long
    /// each call takes: with many callers that is not one divided by their rate.
    pub fn compare(
        &self,
        name: String,
        title: String,
        contestants: &[Contestant],
        callers: usize,
    ) -> Outcome<Table> {
        self.compare_rates(name, title, contestants, callers, true)
    }

    /// The same for calls that are so short that reading the clock would be noticeable.
    pub fn compare_untimed(
        &self,
        name: String,
        title: String,
        contestants: &[Contestant],
        callers: usize,
    ) -> Outcome<Table> {
        self.compare_rates(name, title, contestants, callers, false)
    }

    /// The same for contestants that do something by themselves once in `every`: each is measured for that long, so that
    /// each sample has one of it. What a contestant has left to do after a sample is done by `settle`, not within the sample of
    /// another.
    pub fn compare_periodic(
        &self,
        name: String,
        title: String,
        contestants: &[Contestant],
        callers: usize,
        every: Duration,
        settle: impl Fn() -> Outcome,
    ) -> Outcome<Table> {
        let Plan { rounds, warm_up, .. } = self.plan;
        let plan = Plan { rounds: rounds * 3, warm_up, span: every, ..self.plan };
        let samples = self.planned(&plan, &name, contestants, (callers, true), settle)?;
        Ok(rates(name, title, contestants, &samples))
    }

    fn compare_rates(
        &self,
        name: String,
        title: String,
        contestants: &[Contestant],
        callers: usize,
        latencies: bool,
    ) -> Outcome<Table> {
        let samples = self.rounds(&name, contestants, callers, latencies)?;
        Ok(rates(name, title, contestants, &samples))
    }

    /// The same for one caller with a limited number of calls.
    pub fn compare_calls(
        &self,
        name: String,
        title: String,
        contestants: &[Contestant],
        calls: u64,
    ) -> Outcome<Table> {
        for contestant in contestants {
            contestant.sample_calls(&self.runtime, calls, measure::WARM_UP)?;
        }
        let rounds = self.plan.rounds;
        let samples = measure::rounds(contestants, rounds, |round, contestant| {
            self.progress.step(&format!("{name}: {}, round {} of {rounds}", contestant.name, round + 1));
            contestant.sample_calls(&self.runtime, calls, round)
        })?;
        Ok(rates(name, title, contestants, &samples))
    }

    /// Runs the contestants in turn, with one caller, and compares the median latencies.
    pub fn compare_medians(&self, name: String, title: String, contestants: &[Contestant]) -> Outcome<Table> {
        let samples = self.rounds(&name, contestants, 1, true)?;
        let rows = contestants
            .iter()
            .zip(&samples)
            .map(|(contestant, samples)| Row::of_medians(&contestant.name, samples));
        Ok(Table { name, title, measure: Measure::Microseconds, rows: rows.collect(), notes: Vec::new() })
    }

    fn rounds(
        &self,
        name: &str,
        contestants: &[Contestant],
        callers: usize,
        latencies: bool,
    ) -> Outcome<Vec<Vec<Sample>>> {
        let mut plan = self.plan;
        if callers == 1 {
            // The time of a single call depends on the cores on which the threads that wake each other run in this
            // round. So more rounds say more than longer ones.
            plan = Plan { rounds: plan.rounds * 3, warm_up: plan.warm_up / 4, span: plan.span / 2, ..plan };
        }
        self.planned(&plan, name, contestants, (callers, latencies), || Ok(()))
    }

    fn planned(
        &self,
        plan: &Plan,
        name: &str,
        contestants: &[Contestant],
        (callers, latencies): (usize, bool),
        settle: impl Fn() -> Outcome,
    ) -> Outcome<Vec<Vec<Sample>>> {
        let Plan { rounds, warm_up, span, .. } = *plan;
        // Otherwise the first contestant would meet cold caches, and the later ones warm caches.
        for contestant in contestants {
            self.progress.step(&format!("{name}: {} warms up", contestant.name));
            let (span, round) = (Duration::from_millis(20), measure::WARM_UP);
            let load = Load { callers, warm_up, span, round, latencies: false };
            contestant.sample(&self.runtime, &load)?;
        }
        measure::rounds(contestants, rounds, |round, contestant| {
            self.progress.step(&format!("{name}: {}, round {} of {rounds}", contestant.name, round + 1));
            let sample =
                contestant.sample(&self.runtime, &Load { callers, warm_up, span, round, latencies })?;
            settle()?;
            Ok(sample)
        })
    }
}

fn rates(name: String, title: String, contestants: &[Contestant], samples: &[Vec<Sample>]) -> Table {
    let rows = contestants.iter().zip(samples);
    let rows = rows.map(|(contestant, samples)| Row::of_rates(&contestant.name, samples)).collect();
    Table { name, title, measure: Measure::PerSecond, rows, notes: Vec::new() }
}
