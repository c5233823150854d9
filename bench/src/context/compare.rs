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

    fn compare_rates(
        &self,
        name: String,
        title: String,
        contestants: &[Contestant],
        callers: usize,
        latencies: bool,
    ) -> Outcome<Table> {
        let samples = self.rounds(&name, contestants, callers, latencies)?;
        let rows = contestants
            .iter()
            .zip(&samples)
            .map(|(contestant, samples)| Row::of_rates(&contestant.name, samples));
        Ok(Table { name, title, measure: Measure::PerSecond, rows: rows.collect(), notes: Vec::new() })
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
        let rows = contestants
            .iter()
            .zip(&samples)
            .map(|(contestant, samples)| Row::of_rates(&contestant.name, samples));
        Ok(Table { name, title, measure: Measure::PerSecond, rows: rows.collect(), notes: Vec::new() })
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
        let Plan { mut rounds, mut warm_up, mut span, .. } = self.plan;
        if callers == 1 {
            // The time of a single call depends on the cores on which the threads that wake each other run in this
            // round. So more rounds say more than longer ones.
            (rounds, warm_up, span) = (rounds * 3, warm_up / 4, span / 2);
        }
        // Otherwise the first contestant would meet cold caches, and the later ones warm caches.
        for contestant in contestants {
            self.progress.step(&format!("{name}: {} warms up", contestant.name));
            let (span, round) = (Duration::from_millis(20), measure::WARM_UP);
            let load = Load { callers, warm_up, span, round, latencies: false };
            contestant.sample(&self.runtime, &load)?;
        }
        measure::rounds(contestants, rounds, |round, contestant| {
            self.progress.step(&format!("{name}: {}, round {} of {rounds}", contestant.name, round + 1));
            contestant.sample(&self.runtime, &Load { callers, warm_up, span, round, latencies })
        })
    }
}
