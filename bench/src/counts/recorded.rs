//! The counts that are recorded in the repository, and how those of this run compare with them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Cost, path};
use crate::failure::Outcome;
use crate::format::grouped;
use crate::report::aligned;

/// How much more or less a call may cost than is recorded. A wait more or less moves the counts of calls that ask a database by
/// about one in a hundred.
const TOLERANCE: f64 = 0.03;

/// The cost of each path, by its name.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Recorded(BTreeMap<String, Cost>);

impl Recorded {
    pub fn add(&mut self, path: &str, cost: Cost) {
        self.0.insert(path.to_owned(), cost);
    }

    /// Adds what one path costs more than another.
    pub fn add_difference(&mut self, name: &str, whole: &str, part: &str) {
        if let (Some(whole), Some(part)) = (self.0.get(whole), self.0.get(part)) {
            let cost = Cost {
                instructions: whole.instructions - part.instructions,
                allocations: whole.allocations - part.allocations,
                bytes: whole.bytes - part.bytes,
            };
            self.add(name, cost);
        }
    }

    /// Reads what is recorded, which is nothing if there is no file.
    pub fn read() -> Outcome<Self> {
        match fs::read_to_string(file()) {
            Ok(text) => Ok(serde_json::from_str(&text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    pub fn write(&self) -> Outcome {
        Ok(fs::write(file(), serde_json::to_string_pretty(self)? + "\n")?)
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("counts.json")
}

/// Returns a table of the counts, and how they compare with those that are recorded.
pub fn table(counted: &Recorded, recorded: &Recorded) -> String {
    let mut lines = vec![
        ["for each call", "instructions", "recorded", "allocations", "recorded", "bytes"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for path in path::names() {
        let Some(cost) = counted.0.get(path) else { continue };
        let before = recorded.0.get(path);
        let of_recorded = |part: fn(&Cost) -> f64| before.map_or("–".to_owned(), |cost| shown(part(cost)));
        lines.push(vec![
            path.to_owned(),
            shown(cost.instructions),
            of_recorded(|cost| cost.instructions),
            shown(cost.allocations),
            of_recorded(|cost| cost.allocations),
            shown(cost.bytes),
        ]);
    }
    aligned(&lines)
}

/// Allocations need their fractions, since some are made once in many calls.
fn shown(count: f64) -> String {
    if count >= 100.0 { grouped(count) } else { format!("{:.1}", count.max(0.0)) }
}

/// Fails if a call costs more than is recorded, or so much less that the record must be made anew. What is by hand moves
/// with the drivers alone, so it fails nothing.
pub fn compare(counted: &Recorded, recorded: &Recorded) -> Outcome {
    let mut problems = Vec::new();
    for (path, cost) in &counted.0 {
        let Some(before) = recorded.0.get(path) else {
            problems.push(format!("{path}: nothing is recorded"));
            continue;
        };
        if path.ends_with(path::BY_HAND) {
            continue;
        }
        let parts = [
            ("instructions", cost.instructions, before.instructions),
            ("allocations", cost.allocations, before.allocations),
        ];
        for (part, now, before) in parts {
            if is_other(now, before) {
                problems.push(format!("{path}: {} {part}, and {} are recorded", shown(now), shown(before)));
            }
        }
    }
    problems.extend(
        recorded
            .0
            .keys()
            .filter(|path| !counted.0.contains_key(*path))
            .map(|path| format!("{path}: no such path")),
    );
    if problems.is_empty() {
        return Ok(());
    }
    problems
        .push("if that is meant, record the counts with `cargo xtask bench --counts --record`".to_owned());
    Err(problems.join("\n").into())
}

/// A tenth of an allocation is no more than where a list happens to grow.
fn is_other(now: f64, before: f64) -> bool {
    (now - before).abs() > (before * TOLERANCE).max(0.1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn recorded(instructions: f64, allocations: f64) -> Recorded {
        let mut recorded = Recorded::default();
        recorded.add("a path", Cost { instructions, allocations, bytes: 100.0 });
        recorded
    }

    #[test]
    fn a_call_that_costs_more_or_less_than_is_recorded_fails() {
        let is_met = |counted| compare(&counted, &recorded(1_000.0, 10.0)).is_ok();
        assert!(is_met(recorded(1_029.0, 10.2)) && is_met(recorded(971.0, 9.8)));
        assert!(!is_met(recorded(1_031.0, 10.0)) && !is_met(recorded(969.0, 10.0)));
        assert!(!is_met(recorded(1_000.0, 11.0)) && !is_met(recorded(1_000.0, 9.0)));
    }

    #[test]
    fn what_is_by_hand_is_not_judged() {
        let of = |instructions| {
            let mut recorded = Recorded::default();
            recorded.add("a path, by hand", Cost { instructions, allocations: 1.0, bytes: 1.0 });
            recorded
        };
        assert!(compare(&of(2.0), &of(1_000.0)).is_ok());
    }

    #[test]
    fn a_path_that_is_not_recorded_fails_and_so_does_a_record_without_a_path() {
        assert!(compare(&recorded(1.0, 1.0), &Recorded::default()).is_err());
        assert!(compare(&Recorded::default(), &recorded(1.0, 1.0)).is_err());
    }

    #[test]
    fn every_path_is_recorded_and_no_other() {
        let recorded = Recorded::read().unwrap();
        let recorded: BTreeSet<_> = recorded.0.keys().map(String::as_str).collect();
        assert_eq!(recorded, path::names().collect());
    }

    #[test]
    fn a_difference_is_what_one_path_costs_more() {
        let mut counted = recorded(100.0, 3.0);
        counted.add("another", Cost { instructions: 30.0, allocations: 1.0, bytes: 10.0 });
        counted.add_difference("beyond", "a path", "another");
        assert_eq!(counted.0["beyond"], Cost { instructions: 70.0, allocations: 2.0, bytes: 90.0 });
    }
}
