//! The results, in a form that does not depend on how they are shown.

pub mod machine;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::measure::Sample;
use crate::statistics::{Ratio, histogram, median, microseconds};
use machine::Machine;

#[derive(Debug, Default, Serialize)]
pub struct Results {
    pub quick: bool,
    pub machine: Machine,
    pub tables: Vec<Table>,
    /// Cases that could not be measured, and why.
    pub failures: Vec<String>,
}

/// One comparison: contestants that do the same under the same load.
#[derive(Debug, Serialize)]
pub struct Table {
    /// A name such as `authenticate-postgres/128`.
    pub name: String,
    pub title: String,
    pub measure: Measure,
    pub rows: Vec<Row>,
    pub notes: Vec<String>,
}

/// The unit of the values of a table's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Calls a second of all callers together: more is better.
    PerSecond,
    /// Microseconds: less is better.
    Microseconds,
    /// Milliseconds: less is better.
    Milliseconds,
    /// Less is better.
    Bytes,
}

#[derive(Debug, Serialize)]
pub struct Row {
    pub contestant: String,
    /// One value for each round.
    pub values: Vec<f64>,
    /// Over all rounds, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
}

impl Row {
    pub fn of_rates(contestant: &str, samples: &[Sample]) -> Self {
        let latencies: Vec<u32> = samples.iter().flat_map(|sample| sample.latencies.clone()).collect();
        Self {
            contestant: contestant.to_owned(),
            values: samples.iter().map(Sample::per_second).collect(),
            latency: Latency::of(&histogram(&latencies)),
        }
    }

    pub fn of_medians(contestant: &str, samples: &[Sample]) -> Self {
        let medians =
            samples.iter().filter_map(|sample| Some(Latency::of(&histogram(&sample.latencies))?.p50));
        Self { values: medians.collect(), ..Self::of_rates(contestant, samples) }
    }

    pub fn median(&self) -> Option<f64> {
        median(&self.values)
    }
}

impl Latency {
    /// `None` where there are none.
    pub fn of(latencies: &Histogram<u64>) -> Option<Self> {
        let at = |percent| microseconds(latencies, percent);
        Some(Self { p50: at(50.0)?, p99: at(99.0)? })
    }
}

impl Table {
    pub fn row(&self, contestant: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.contestant == contestant)
    }

    /// Returns how many times better the first is than the second.
    pub fn better(&self, first: &str, second: &str) -> Option<Ratio> {
        let (first, second) = (&self.row(first)?.values, &self.row(second)?.values);
        match self.measure {
            Measure::PerSecond => Ratio::between(first, second),
            Measure::Microseconds | Measure::Milliseconds | Measure::Bytes => Ratio::between(second, first),
        }
    }
}

impl Results {
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(measure: Measure) -> Table {
        let row = |contestant: &str, value| Row {
            contestant: contestant.to_owned(),
            values: vec![value; 3],
            latency: None,
        };
        let rows = vec![row("Cloakroom", 40.0), row("other", 10.0)];
        Table { name: "x/1".into(), title: "x".into(), measure, rows, notes: Vec::new() }
    }

    #[test]
    fn better_means_more_calls_or_less_time() {
        let better = |measure| table(measure).better("Cloakroom", "other").unwrap().of_medians;
        assert!((better(Measure::PerSecond) - 4.0).abs() < 1e-9);
        assert!((better(Measure::Microseconds) - 0.25).abs() < 1e-9);
        assert!(table(Measure::PerSecond).better("Cloakroom", "nobody").is_none());
    }

    #[test]
    fn latencies_are_told_in_microseconds() {
        let nanoseconds: Vec<u32> = (1..=100).map(|n| n * 1000).collect();
        let latency = Latency::of(&histogram(&nanoseconds)).unwrap();
        // To three digits, as the histogram keeps them.
        let is_near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 1e-3;
        assert!(is_near(latency.p50, 50.0) && is_near(latency.p99, 99.0), "{latency:?}");
        assert!(Latency::of(&histogram(&[])).is_none());
    }
}
