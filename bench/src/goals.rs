//! The goals: ratios within one run, so that a slow machine is no excuse.

use serde::Serialize;

use crate::catalogue::name::{
    BY_HAND, CACHED, CLOAKROOM, HARNESS, HS256, NO_CHECKSUM, ONE_BY_ONE, ONE_SCHEME, RECORDED, RUSQLITE,
    SHARED, THREE_SCHEMES, TOWER_CACHED, TOWER_ONE, TOWER_SESSIONS, UNRECORDED,
};
use crate::catalogue::row::{bound, growth, prune, revocation};
use crate::format::grouped;
use crate::results::{Measure, Results, Row, Table};

struct Goal {
    what: &'static str,
    table: &'static str,
    /// The row that is judged, and the row that it is compared with.
    row: &'static str,
    against: &'static str,
    /// Compared with this row instead, if it is the better of the two.
    or: Option<&'static str>,
    bound: Bound,
}

/// How the row must compare.
#[derive(Clone, Copy)]
enum Bound {
    /// At least this many times as fast.
    Faster(f64),
    /// At most this many times as slow.
    Slower(f64),
    /// The same after the value of a third row is subtracted from both, or without that, whichever is stricter.
    SlowerBeyond(&'static str, f64),
    /// At most this many times as slow by the p99 of all calls. The values of the rounds do not matter.
    SlowerP99(f64),
    /// At most this many milliseconds; compared with nothing.
    Within(f64),
    /// At most this many milliseconds by the p99 of all calls; compared with nothing.
    P99Within(f64),
    /// At least this many calls a second; compared with nothing.
    AtLeast(f64),
    /// At most this many times as many bytes.
    Smaller(f64),
    /// At most this many bytes; compared with nothing.
    Bytes(f64),
}

use Bound::{AtLeast, Bytes, Faster, P99Within, Slower, SlowerBeyond, SlowerP99, Smaller, Within};

#[rustfmt::skip]
const GOALS: &[Goal] = &[
    goal("authenticate, PostgreSQL, strict, 1 caller", "authenticate-postgres/1", CLOAKROOM, TOWER_SESSIONS, Faster(0.97)),
    goal("authenticate, PostgreSQL, strict, 1 caller", "authenticate-postgres/1", CLOAKROOM, BY_HAND, Slower(1.15)),
    goal("authenticate, PostgreSQL, strict, 16 callers", "authenticate-postgres/16", CLOAKROOM, TOWER_SESSIONS, Faster(3.0)),
    goal("authenticate, PostgreSQL, strict, 128 callers", "authenticate-postgres/128", CLOAKROOM, TOWER_SESSIONS, Faster(7.5)),
    goal("authenticate, PostgreSQL, strict, 1,024 callers", "authenticate-postgres/1024", CLOAKROOM, TOWER_SESSIONS, Faster(9.0)),
    goal("authenticate, SQLite, strict, 1 caller", "authenticate-sqlite/1", CLOAKROOM, TOWER_SESSIONS, Faster(1.5)),
    goal("authenticate, SQLite, strict, 16 callers", "authenticate-sqlite/16", CLOAKROOM, TOWER_SESSIONS, Faster(2.5)),
    goal("authenticate, SQLite, strict, 128 callers", "authenticate-sqlite/128", CLOAKROOM, TOWER_SESSIONS, Faster(3.2)),
    goal("authenticate, SQLite, strict, 128 callers", "authenticate-sqlite/128", CLOAKROOM, RUSQLITE, Faster(0.95)),
    goal("authenticate, MariaDB, strict, 1 caller", "authenticate-mariadb/1", CLOAKROOM, TOWER_SESSIONS, Faster(0.97)),
    goal("authenticate, MariaDB, strict, 128 callers", "authenticate-mariadb/128", CLOAKROOM, TOWER_SESSIONS, Faster(6.0)),
    goal("authenticate, MariaDB, strict, 1,024 callers", "authenticate-mariadb/1024", CLOAKROOM, TOWER_SESSIONS, Faster(7.0)),
    goal("extension due, PostgreSQL, 1 caller", "extend-postgres/1", CLOAKROOM, BY_HAND, Faster(1.0)),
    goal("extension due, PostgreSQL, 128 callers", "extend-postgres/128", CLOAKROOM, TOWER_SESSIONS, Faster(5.0)),
    goal("extension due, SQLite, 1 caller", "extend-sqlite/1", CLOAKROOM, BY_HAND, Faster(1.0)),
    goal("extension due, SQLite, 128 callers", "extend-sqlite/128", CLOAKROOM, TOWER_SESSIONS, Faster(3.0)),
    goal("list ten sessions, PostgreSQL, 1 caller", "list-postgres/1", CLOAKROOM, BY_HAND, Faster(0.97)),
    goal("list ten sessions, PostgreSQL, 16 callers", "list-postgres/16", CLOAKROOM, BY_HAND, Faster(0.97)),
    goal("list ten sessions, SQLite, 1 caller", "list-sqlite/1", CLOAKROOM, BY_HAND, Faster(0.97)),
    goal("list ten sessions, SQLite, 16 callers", "list-sqlite/16", CLOAKROOM, BY_HAND, Faster(0.97)),
    goal("revoke ten sessions, PostgreSQL, 1 caller", "revoke-postgres/1", CLOAKROOM, BY_HAND, Faster(0.95)),
    goal("revoke ten sessions, SQLite, 1 caller", "revoke-sqlite/1", CLOAKROOM, BY_HAND, Faster(0.95)),
    goal("expire, announced, 128 callers, no other node listens", "expire-postgres/0", CLOAKROOM, ONE_BY_ONE, Faster(6.0)),
    goal("expire, announced, 128 callers, 10 nodes listen", "expire-postgres/10", CLOAKROOM, ONE_BY_ONE, Faster(6.0)),
    goal("expire, announced, 128 callers, 50 nodes listen", "expire-postgres/50", CLOAKROOM, ONE_BY_ONE, Faster(8.0)),
    goal("expire, announced, 128 callers, no other node listens, p99", "expire-postgres/0", CLOAKROOM, "–", P99Within(15.0)),
    goal("expire, announced, 128 callers, 10 nodes listen, p99", "expire-postgres/10", CLOAKROOM, "–", P99Within(15.0)),
    goal("expire, announced, 128 callers, 50 nodes listen, p99", "expire-postgres/50", CLOAKROOM, "–", P99Within(15.0)),
    goal("requests over HTTP, PostgreSQL, strict, 64 connections", "http/64", CLOAKROOM, TOWER_SESSIONS, Faster(3.0)),
    goal("authenticate, cached, 1 caller", "cached/1", CACHED, HS256, Faster(1.0)),
    goal("authenticate, cached, 128 callers", "cached/128", CACHED, HS256, Faster(1.0)),
    goal("authenticate, cached, without the harness, 1 caller", "cached/1", CACHED, SHARED, SlowerBeyond(HARNESS, 1.25)),
    goal("authenticate, cached, without the harness, 128 callers", "cached/128", CACHED, SHARED, SlowerBeyond(HARNESS, 1.25)),
    goal("three schemes, PostgreSQL, 128 callers, strict", "schemes-postgres/128", THREE_SCHEMES, ONE_SCHEME, Slower(1.25)),
    goal("three schemes, SQLite, 128 callers, strict", "schemes-sqlite/128", THREE_SCHEMES, ONE_SCHEME, Slower(1.25)),
    goal("three schemes, cached, 1 caller", "schemes-cached/1", THREE_SCHEMES, ONE_SCHEME, Slower(1.1)),
    goal("three schemes, cached, 128 callers", "schemes-cached/128", THREE_SCHEMES, ONE_SCHEME, Slower(1.1)),
    goal("last uses recorded, PostgreSQL, 128 callers, strict", "seen-postgres/128", RECORDED, UNRECORDED, Slower(1.05)),
    goal("last uses recorded, SQLite, 128 callers, strict", "seen-sqlite/128", RECORDED, UNRECORDED, Slower(1.05)),
    goal("a key of a device in the row, PostgreSQL, 1 caller", "bound-authenticate/1", bound::KEY, bound::NO_KEY, Slower(1.02)),
    goal("a key of a device in the row, PostgreSQL, 128 callers", "bound-authenticate/128", bound::KEY, bound::NO_KEY, Slower(1.02)),
    goal("a renewal, one core of the application", bound::CORE, bound::RENEWALS, bound::REQUESTS, Slower(30.0)),
    goal("p99 of requests while their sessions renew", bound::BESIDE, bound::RENEWING, bound::UNBOUND, SlowerP99(2.0)),
    goal("mistyped keys refused by one core", "mistyped/1", CLOAKROOM, "–", AtLeast(1_000_000.0)),
    goal("mistyped keys refused, 128 callers", "mistyped/128", CLOAKROOM, NO_CHECKSUM, Faster(10.0)),
    goal("memory for each cached session", "memory/cached", CACHED, "–", Bytes(650.0)),
    goal("memory for each cached session", "memory/cached", CACHED, TOWER_CACHED, Smaller(1.0)),
    goal("create, PostgreSQL, 128 callers", "create-postgres/128", CLOAKROOM, TOWER_SESSIONS, Faster(4.0)),
    goal("create, SQLite, synchronous = NORMAL, 1 caller", "create-sqlite-normal/1", CLOAKROOM, TOWER_SESSIONS, Faster(0.95)).or(TOWER_ONE),
    goal("create, SQLite, synchronous = NORMAL, 128 callers", "create-sqlite-normal/128", CLOAKROOM, TOWER_SESSIONS, Faster(3.5)).or(TOWER_ONE),
    goal("create, SQLite, synchronous = FULL, 128 callers", "create-sqlite-full/128", CLOAKROOM, TOWER_SESSIONS, Faster(5.0)).or(TOWER_ONE),
    goal("authenticate, PostgreSQL, 1 million rows", "growth-postgres/authenticate", growth::ONE_MILLION, growth::TEN_THOUSAND, Slower(1.3)),
    goal("authenticate, SQLite, 1 million rows", "growth-sqlite/authenticate", growth::ONE_MILLION, growth::TEN_THOUSAND, Slower(1.3)),
    goal("list by user, PostgreSQL, 1 million rows", "growth-postgres/list", growth::ONE_MILLION, growth::TEN_THOUSAND, Slower(1.3)),
    goal("list by user, SQLite, 1 million rows", "growth-sqlite/list", growth::ONE_MILLION, growth::TEN_THOUSAND, Slower(1.3)),
    goal("p99 of lookups while pruning, PostgreSQL", "prune-postgres/16", prune::DURING, prune::ALONE, SlowerP99(2.0)),
    goal("p99 of lookups while pruning, SQLite", "prune-sqlite/16", prune::DURING, prune::ALONE, SlowerP99(2.0)),
    goal("revocation delay across nodes, the other one quiet, p99", revocation::HEARD, revocation::QUIET_P99, "–", Within(20.0)),
    goal("revocation delay across nodes, the other one busy, p99", revocation::HEARD, revocation::BUSY_P99, "–", Within(20.0)),
    goal("revocation delay, listener cut off", revocation::CUT, revocation::LEASE_MOST, revocation::BOUND, Slower(1.0)),
    goal("revocation delay, listener cut off, no lease", revocation::CUT, revocation::STALENESS_MOST, revocation::BOUND, Slower(1.0)),
];

const fn goal(
    what: &'static str,
    table: &'static str,
    row: &'static str,
    against: &'static str,
    bound: Bound,
) -> Goal {
    Goal { what, table, row, against, or: None, bound }
}

/// A goal, and the result of this run.
#[derive(Debug, Serialize)]
pub struct Verdict {
    pub what: String,
    pub against: &'static str,
    pub required: String,
    /// `None` if its case did not run.
    pub measured: Option<String>,
    /// How many rounds met the bound by themselves, and out of how many; `None` if there was only one, or if all calls are
    /// judged together.
    pub rounds: Option<(usize, usize)>,
    pub is_reached: Option<bool>,
}

pub fn judge(results: &Results) -> Vec<Verdict> {
    GOALS.iter().map(|goal| goal.judge(results)).collect()
}

impl Goal {
    const fn or(self, other: &'static str) -> Self {
        Self { or: Some(other), ..self }
    }

    /// Returns the row that the goal compares with in this run.
    fn against(&self, table: &Table) -> &'static str {
        let is_better =
            |other: &&str| table.better(other, self.against).is_some_and(|ratio| ratio.of_medians > 1.0);
        self.or.filter(is_better).unwrap_or(self.against)
    }

    fn judge(&self, results: &Results) -> Verdict {
        let table = results.table(self.table);
        let measured = table.and_then(|table| {
            self.bound.figure(table.measure, self.row, self.against(table), |row| self.whole(table.row(row)?))
        });
        // A quick run prunes fewer rows than requested: the table says how many.
        let title = table.filter(|_| matches!(self.bound, SlowerP99(_))).map(|table| table.title.clone());
        Verdict {
            what: title.unwrap_or_else(|| self.what.to_owned()),
            against: table.map_or(self.against, |table| self.against(table)),
            required: self.bound.required(),
            measured: measured.map(|figure| self.bound.shown(figure)),
            rounds: table.and_then(|table| self.rounds(table)),
            is_reached: measured.map(|figure| self.bound.is_met(figure)),
        }
    }

    /// Returns the value of a row that is judged.
    fn whole(&self, row: &Row) -> Option<f64> {
        match self.bound {
            SlowerP99(_) => Some(row.latency?.p99),
            // The latencies are in microseconds.
            P99Within(_) => Some(row.latency?.p99 / 1e3),
            _ => row.median(),
        }
    }

    fn rounds(&self, table: &Table) -> Option<(usize, usize)> {
        if let P99Within(_) = self.bound {
            return None;
        }
        let against = self.against(table);
        let rounds = table.row(self.row)?.values.len();
        let value = |name: &str, round: usize| {
            let row = table.row(name)?;
            // The other row has the same rounds, unless it was measured at another time.
            let is_of_round = name == self.row || !matches!(self.bound, SlowerP99(_));
            if is_of_round { row.values.get(round).copied() } else { self.whole(row) }
        };
        let is_met = |round: &usize| {
            let value = |name: &str| value(name, *round);
            let figure = self.bound.figure(table.measure, self.row, against, value);
            figure.is_some_and(|figure| self.bound.is_met(figure))
        };
        (rounds > 1).then(|| ((0..rounds).filter(is_met).count(), rounds))
    }
}

impl Bound {
    /// Returns the value that is compared with the bound, from each row's value.
    fn figure(
        self,
        measure: Measure,
        row: &str,
        against: &str,
        value: impl Fn(&str) -> Option<f64>,
    ) -> Option<f64> {
        let time = |row: &str| {
            let value = value(row)?;
            Some(if measure == Measure::PerSecond { value.recip() } else { value })
        };
        match self {
            Faster(_) => Some(time(against)? / time(row)?),
            Slower(_) | SlowerP99(_) | Smaller(_) => Some(time(row)? / time(against)?),
            SlowerBeyond(common, _) => {
                let (row, against, common) = (time(row)?, time(against)?, time(common)?);
                // The common part takes less than the whole, unless something disturbed it.
                (against > common).then(|| ((row - common) / (against - common)).max(row / against))
            }
            Within(_) | P99Within(_) | AtLeast(_) | Bytes(_) => value(row),
        }
    }

    fn is_met(self, figure: f64) -> bool {
        match self {
            Faster(least) | AtLeast(least) => figure >= least,
            Slower(most)
            | SlowerBeyond(_, most)
            | SlowerP99(most)
            | Within(most)
            | P99Within(most)
            | Smaller(most)
            | Bytes(most) => figure <= most,
        }
    }

    fn required(self) -> String {
        match self {
            Faster(least) => format!("{least}× as fast"),
            Slower(most) | SlowerBeyond(_, most) | SlowerP99(most) => format!("at most {most}× as long"),
            Within(most) | P99Within(most) => format!("at most {most} ms"),
            AtLeast(least) => format!("{} a second", grouped(least)),
            Smaller(most) => format!("at most {most}× as much"),
            Bytes(most) => format!("at most {} bytes", grouped(most)),
        }
    }

    fn shown(self, figure: f64) -> String {
        match self {
            Faster(_) | Slower(_) | SlowerBeyond(..) | SlowerP99(_) | Smaller(_) => format!("{figure:.2}×"),
            Within(_) | P99Within(_) => format!("{figure:.2} ms"),
            AtLeast(_) => format!("{} a second", grouped(figure)),
            Bytes(_) => format!("{} bytes", grouped(figure)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;
    use crate::results::Latency;

    fn results<const N: usize>(table: &str, measure: Measure, rows: [(&str, f64); N]) -> Results {
        let row = |(contestant, value): (&str, f64)| Row {
            contestant: contestant.to_owned(),
            values: vec![value],
            latency: None,
        };
        let rows = rows.map(row).into();
        let table = Table { name: table.to_owned(), title: String::new(), measure, rows, notes: Vec::new() };
        Results { tables: vec![table], ..Results::default() }
    }

    fn verdict(results: &Results, what: &str) -> Verdict {
        judge(results).into_iter().find(|verdict| verdict.what == what).unwrap()
    }

    #[test]
    fn a_throughput_is_judged_by_how_many_times_as_fast_it_is() {
        let rows = |own| [(CLOAKROOM, own), (TOWER_SESSIONS, 10.0)];
        let judged = |own| {
            let results = results("authenticate-postgres/128", Measure::PerSecond, rows(own));
            verdict(&results, "authenticate, PostgreSQL, strict, 128 callers").is_reached
        };
        assert_eq!((judged(75.0), judged(74.0)), (Some(true), Some(false)));
    }

    #[test]
    fn a_latency_is_judged_by_how_many_times_as_long_it_takes() {
        let rows = |million| [(growth::TEN_THOUSAND, 100.0), (growth::ONE_MILLION, million)];
        let judged = |million| {
            let results = results("growth-sqlite/list", Measure::Microseconds, rows(million));
            verdict(&results, "list by user, SQLite, 1 million rows").is_reached
        };
        assert_eq!((judged(130.0), judged(131.0)), (Some(true), Some(false)));
    }

    #[test]
    fn a_prune_is_judged_by_the_p99_of_all_lookups_and_says_how_many_rows_it_was() {
        let judged = |p99| {
            let rows = [(prune::ALONE, 1000.0), (prune::DURING, 1.0)];
            let mut results = results("prune-sqlite/16", Measure::Microseconds, rows);
            let table = &mut results.tables[0];
            table.title = "p99 while pruning 50,000 rows".to_owned();
            for (row, p99) in table.rows.iter_mut().zip([100.0, p99]) {
                row.latency = Some(Latency { p50: 1.0, p99 });
            }
            verdict(&results, "p99 while pruning 50,000 rows").is_reached
        };
        assert_eq!((judged(200.0), judged(201.0)), (Some(true), Some(false)));
    }

    #[test]
    fn what_both_share_is_taken_off_where_that_is_stricter() {
        let judged = |own, map| {
            let rows = [(CACHED, 1.0 / own), (SHARED, 1.0 / map), (HARNESS, 1.0 / 20.0)];
            let results = results("cached/1", Measure::PerSecond, rows);
            verdict(&results, "authenticate, cached, without the harness, 1 caller").measured
        };
        assert_eq!(judged(170.0, 100.0).as_deref(), Some("1.88×"));
        assert_eq!(judged(60.0, 100.0).as_deref(), Some("0.60×"));
        assert_eq!(judged(170.0, 10.0), None);
    }

    #[test]
    fn a_delay_is_judged_by_itself() {
        let rows = |p99| [(revocation::QUIET_P99, p99), ("quiet node, longest", 300.0)];
        let judged = |p99| {
            let results = results(revocation::HEARD, Measure::Milliseconds, rows(p99));
            verdict(&results, "revocation delay across nodes, the other one quiet, p99").is_reached
        };
        assert_eq!((judged(20.0), judged(20.1)), (Some(true), Some(false)));
    }

    #[test]
    fn the_p99_of_calls_is_judged_in_milliseconds() {
        let judged = |p99| {
            let rows = [(CLOAKROOM, 1000.0), (ONE_BY_ONE, 100.0)];
            let mut results = results("expire-postgres/10", Measure::PerSecond, rows);
            results.tables[0].rows[0].latency = Some(Latency { p50: 1.0, p99 });
            let verdict = verdict(&results, "expire, announced, 128 callers, 10 nodes listen, p99");
            (verdict.measured.unwrap(), verdict.is_reached.unwrap())
        };
        assert_eq!(judged(15_000.0), ("15.00 ms".to_owned(), true));
        assert_eq!(judged(15_100.0), ("15.10 ms".to_owned(), false));
    }

    #[test]
    fn a_rate_is_judged_by_itself() {
        let judged = |rate| {
            let results = results("mistyped/1", Measure::PerSecond, [(CLOAKROOM, rate)]);
            verdict(&results, "mistyped keys refused by one core").is_reached
        };
        assert_eq!((judged(1_000_000.0), judged(999_999.0)), (Some(true), Some(false)));
    }

    #[test]
    fn memory_is_judged_by_itself_and_beside_a_peer() {
        let judged = |own| {
            let results = results("memory/cached", Measure::Bytes, [(CACHED, own), (TOWER_CACHED, 600.0)]);
            let verdicts = judge(&results).into_iter().filter(|verdict| verdict.is_reached.is_some());
            verdicts
                .map(|verdict| (verdict.measured.unwrap(), verdict.is_reached.unwrap()))
                .collect::<Vec<_>>()
        };
        assert_eq!(judged(630.0), [("630 bytes".to_owned(), true), ("1.05×".to_owned(), false)]);
        assert_eq!(judged(660.0), [("660 bytes".to_owned(), false), ("1.10×".to_owned(), false)]);
        assert_eq!(judged(600.0), [("600 bytes".to_owned(), true), ("1.00×".to_owned(), true)]);
    }

    #[test]
    fn a_peer_is_judged_at_its_best() {
        let judged = |one| {
            let rows = [(CLOAKROOM, 50.0), (TOWER_SESSIONS, 10.0), (TOWER_ONE, one)];
            let results = results("create-sqlite-full/128", Measure::PerSecond, rows);
            let judged = verdict(&results, "create, SQLite, synchronous = FULL, 128 callers");
            (judged.against, judged.measured.unwrap())
        };
        assert_eq!(judged(20.0), (TOWER_ONE, "2.50×".to_owned()));
        assert_eq!(judged(5.0), (TOWER_SESSIONS, "5.00×".to_owned()));
    }

    #[test]
    fn each_round_is_judged_by_itself_too() {
        let mut results = results("cached/1", Measure::PerSecond, [(CACHED, 0.0), (HS256, 0.0)]);
        results.tables[0].rows[0].values = vec![3.0, 3.0, 1.0];
        results.tables[0].rows[1].values = vec![1.0, 2.0, 2.0];
        let judged = verdict(&results, "authenticate, cached, 1 caller");
        assert_eq!((judged.is_reached, judged.rounds), (Some(true), Some((2, 3))));
    }

    #[test]
    fn every_goal_names_rows_that_a_whole_run_has() {
        for goal in GOALS {
            let common = if let SlowerBeyond(common, _) = goal.bound { Some(common) } else { None };
            let is_alone = matches!(goal.bound, Within(_) | P99Within(_) | AtLeast(_) | Bytes(_));
            let against = Some(goal.against).filter(|_| !is_alone);
            for row in [Some(goal.row), against, goal.or, common].into_iter().flatten() {
                assert!(catalogue::knows(goal.table, row), "{}: {row} in {}", goal.what, goal.table);
            }
        }
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        assert!(judge(&Results::default()).iter().all(|verdict| verdict.is_reached.is_none()));
    }
}
