use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::checker::{Rule, Violation};
use crate::faults::Caused;
use crate::journal::{Action, Call, Outcome};
use crate::story;

/// How many violations of each kind are shown in full.
const SHOWN: usize = 5;

/// The results of a run.
#[derive(Debug)]
pub struct Report {
    target: String,
    seed: u64,
    took: Duration,
    /// By the operation's name and whether it ran in a transaction.
    counts: BTreeMap<(&'static str, bool), Count>,
    errors: BTreeMap<String, u64>,
    longest: Option<(&'static str, Duration)>,
    faults: Vec<(&'static str, u64)>,
    caused: Caused,
    sessions: usize,
    rows: usize,
    violations: Vec<Violation>,
    /// The history of the first session of each kind of violation.
    stories: BTreeMap<Rule, Vec<String>>,
}

#[derive(Debug, Default)]
struct Count {
    outcomes: BTreeMap<Outcome, u64>,
    longest: Duration,
}

impl Report {
    pub(crate) fn new(
        target: String,
        seed: u64,
        took: Duration,
        calls: &[Call],
        violations: Vec<Violation>,
    ) -> Self {
        let mut report = Self {
            target,
            seed,
            took,
            counts: BTreeMap::new(),
            errors: BTreeMap::new(),
            longest: None,
            faults: Vec::new(),
            caused: Caused::default(),
            sessions: 0,
            rows: 0,
            violations,
            stories: BTreeMap::new(),
        };
        for violation in &report.violations {
            let story = || story::of(violation.label, calls);
            report.stories.entry(violation.rule).or_insert_with(story);
        }
        for call in calls {
            report.count(call);
        }
        let is_left = |call: &&Call| call.outcome == Outcome::Dropped;
        let dropped = |of: fn(Action) -> bool| {
            let dropped = calls.iter().filter(is_left).filter(|call| of(call.action)).count();
            u64::try_from(dropped).unwrap_or(u64::MAX)
        };
        report.faults = vec![
            ("calls dropped midway", dropped(|_| true)),
            ("of them pool.begin()", dropped(|action| matches!(action, Action::OwnBegin { .. }))),
            ("of them tx.begin()", dropped(|action| matches!(action, Action::InnerBegin { .. }))),
            ("of them commits", dropped(|action| matches!(action, Action::Commit { .. }))),
        ];
        report
    }

    pub(crate) fn with_rows(mut self, sessions: usize, rows: usize) -> Self {
        (self.sessions, self.rows) = (sessions, rows);
        self
    }

    pub(crate) fn add(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    pub(crate) fn with_caused(mut self, caused: Caused) -> Self {
        self.caused = caused;
        self
    }

    fn count(&mut self, call: &Call) {
        let name = call.action.name();
        let count = self.counts.entry((name, call.within.is_some())).or_default();
        *count.outcomes.entry(call.outcome).or_default() += 1;
        count.longest = count.longest.max(call.took);
        if self.longest.is_none_or(|(_, longest)| longest < call.took) {
            self.longest = Some((name, call.took));
        }
        if let Some(error) = &call.error {
            *self.errors.entry(error.clone()).or_default() += 1;
        }
    }

    /// Returns the violations.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Returns how many calls there were.
    pub fn calls(&self) -> u64 {
        self.counts.values().flat_map(|count| count.outcomes.values()).sum()
    }

    /// Returns how many calls were dropped midway.
    pub fn dropped(&self) -> u64 {
        self.with_outcome(Outcome::Dropped)
    }

    fn with_outcome(&self, outcome: Outcome) -> u64 {
        self.counts.values().filter_map(|count| count.outcomes.get(&outcome)).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, seed {}: {} calls in {:.0?}", self.target, self.seed, self.calls(), self.took)?;
        writeln!(
            f,
            "\n  {:<28}{:>9}{:>9}{:>9}{:>9}{:>9}  longest",
            "", "yes", "no", "refused", "unknown", "dropped"
        )?;
        for ((name, is_within), count) in &self.counts {
            write!(f, "  {:<28}", format!("{name}{}", if *is_within { " (tx)" } else { "" }))?;
            for outcome in [Outcome::Yes, Outcome::No, Outcome::Refused, Outcome::Unknown, Outcome::Dropped] {
                write!(f, "{:>9}", count.outcomes.get(&outcome).copied().unwrap_or(0))?;
            }
            writeln!(f, "  {:.1?}", count.longest)?;
        }
        writeln!(f, "\n  faults:")?;
        for (name, times) in &self.faults {
            writeln!(f, "  {times:>9}  {name}")?;
        }
        for (fault, times) in &self.caused.times {
            let recovery = self.caused.recovery.get(fault).copied().unwrap_or_default();
            writeln!(f, "  {times:>9}  {fault}; the next answer came within {recovery:.1?}")?;
        }
        writeln!(f, "\n  errors:")?;
        for (error, times) in &self.errors {
            writeln!(f, "  {times:>9}  {error}")?;
        }
        if let Some((name, longest)) = self.longest {
            writeln!(f, "\n  longest call: {name}, {longest:.1?}")?;
        }
        writeln!(f, "  hung: {}", self.with_outcome(Outcome::Hung))?;
        writeln!(f, "  sessions begun: {}, rows in the end: {}", self.sessions, self.rows)?;
        writeln!(f, "  violations: {}", self.violations.len())?;
        let mut by_rule: BTreeMap<Rule, Vec<&Violation>> = BTreeMap::new();
        for violation in &self.violations {
            by_rule.entry(violation.rule).or_default().push(violation);
        }
        for (rule, violations) in by_rule {
            let sessions: BTreeSet<i64> = violations.iter().map(|violation| violation.label).collect();
            writeln!(f, "  {:>9}  {rule} ({} sessions)", violations.len(), sessions.len())?;
            for violation in violations.iter().take(SHOWN) {
                writeln!(f, "             session {}: {}", violation.label, violation.detail)?;
            }
            for line in self.stories.get(&rule).into_iter().flatten() {
                writeln!(f, "               {line}")?;
            }
        }
        Ok(())
    }
}
