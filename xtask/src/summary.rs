//! Counts tests, from libtest's output.

use std::fmt;

use crate::arguments::{Database, TestOptions};

/// How many tests passed and failed, by database or in the browser.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    databases: [Count; Database::ALL.len()],
    browser: Count,
    others: Count,
    failures: Vec<String>,
    /// How many test binaries have begun, less those that have said how it went.
    unfinished: usize,
    /// After its list of results, libtest quotes what failed tests printed. That may look like anything, and must not
    /// be counted.
    is_quoting: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Result { test: &'a str, passed: bool },
    QuotingBegins,
    NextBinary,
    BinaryEnds,
    Other,
}

impl Summary {
    /// Reads one line of output.
    pub(crate) fn read(&mut self, line: &str) {
        match parse(line) {
            Line::QuotingBegins => self.is_quoting = true,
            Line::NextBinary => {
                self.is_quoting = false;
                self.unfinished += 1;
            }
            Line::BinaryEnds => self.unfinished = self.unfinished.saturating_sub(1),
            Line::Result { test, passed } if !self.is_quoting => self.add(test, passed),
            Line::Result { .. } | Line::Other => {}
        }
    }

    fn add(&mut self, test: &str, passed: bool) {
        let count = match group_of(test) {
            Group::Database(database) => &mut self.databases[database as usize],
            Group::Browser => &mut self.browser,
            Group::Other => &mut self.others,
        };
        if passed {
            count.passed += 1;
        } else {
            count.failed += 1;
            self.failures.push(test.to_owned());
        }
    }

    pub(crate) fn of(&self, database: Database) -> Count {
        self.databases[database as usize]
    }

    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Returns `true` if each test binary that began came to its end. One that was killed has tests that ran and were
    /// not counted.
    pub(crate) fn is_complete(&self) -> bool {
        self.unfinished == 0
    }

    pub(crate) fn browser(&self) -> Count {
        self.browser
    }

    pub(crate) fn total(&self) -> Count {
        let counts = self.databases.iter().chain([&self.browser, &self.others]);
        counts.fold(Count::default(), |sum, count| Count {
            passed: sum.passed + count.passed,
            failed: sum.failed + count.failed,
        })
    }

    /// For people: the failed tests, a line for each database, and the total as one plain line.
    pub(crate) fn print(&self, options: &TestOptions) {
        println!();
        for test in &self.failures {
            println!("failed: {test}");
        }
        for database in Database::ALL {
            let count = self.of(database);
            if options.databases.contains(&database) || count != Count::default() {
                println!("{database:<12}{count}");
            } else {
                println!("{database:<12}not asked for");
            }
        }
        if options.has_browser() {
            println!("{:<12}{}", "browser", self.browser);
        } else {
            println!("{:<12}left out by --only", "browser");
        }
        println!("{:<12}{} (unit tests, documentation)", "others", self.others);
        println!("{}", self.total());
    }
}

impl Count {
    pub(crate) fn all(self) -> usize {
        self.passed + self.failed
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

fn parse(line: &str) -> Line<'_> {
    if line == "failures:" || line == "successes:" {
        return Line::QuotingBegins;
    }
    // "running 12 tests"
    if line.strip_prefix("running ").is_some_and(|rest| rest.ends_with(" test") || rest.ends_with(" tests")) {
        return Line::NextBinary;
    }
    if line.starts_with("test result: ") {
        return Line::BinaryEnds;
    }
    line.strip_prefix("test ")
        .and_then(|rest| rest.rsplit_once(" ... "))
        .and_then(|(test, outcome)| {
            // A time may follow the outcome: "ok <0.012s>".
            let passed = match outcome.split_whitespace().next()? {
                "ok" => true,
                "FAILED" => false,
                _ => return None,
            };
            Some(Line::Result { test, passed })
        })
        .unwrap_or(Line::Other)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Database(Database),
    Browser,
    Other,
}

/// By the first part of a test's path that tells, such as `suite::postgres::an_expired_session_…`.
fn group_of(test: &str) -> Group {
    // A documentation test's name begins with its file's name, which is not a path of modules.
    if test.contains(".rs - ") {
        return Group::Other;
    }
    let group = |segment| match segment {
        "browser" => Some(Group::Browser),
        _ => Database::from_word(segment).map(Group::Database),
    };
    test.split("::").find_map(group).unwrap_or(Group::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary_of(output: &str) -> Summary {
        let mut summary = Summary::default();
        for line in output.lines() {
            summary.read(line);
        }
        summary
    }

    fn count(passed: usize, failed: usize) -> Count {
        Count { passed, failed }
    }

    #[test]
    fn tests_are_counted_by_the_database_in_their_paths() {
        let summary = summary_of(
            "
running 10 tests
test browser::two_devices ... ok
test browsers::are_found ... ok
test sqlite::a_token_authenticates ... ok
test races::sqlite::two_writers ... ok
test postgres::a_token_authenticates ... FAILED
test mariadb::a_token_authenticates ... ok
test mariadb::nothing_is_lost - should panic ... ok
test postgres::slow ... ignored, takes an hour
test token::tests::it_is_redacted ... ok
test postgres_urls::are_parsed ... ok

test result: FAILED. 8 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out
",
        );
        assert_eq!(summary.of(Database::Sqlite), count(2, 0));
        assert_eq!(summary.of(Database::Postgres), count(0, 1));
        assert_eq!(summary.of(Database::MariaDb), count(2, 0));
        assert_eq!(summary.browser(), count(1, 0));
        assert_eq!(summary.others, count(3, 0));
        assert_eq!(summary.total().to_string(), "8 passed, 1 failed");
        assert_eq!(summary.failures, ["postgres::a_token_authenticates"]);
    }

    #[test]
    fn documentation_tests_belong_to_no_database() {
        let summary = summary_of(
            "running 2 tests
test crates/cloakroom/src/database/sqlite.rs - database::sqlite::open (line 12) ... ok
test crates/cloakroom/src/lib.rs - (line 3) - compile ... ok",
        );
        assert_eq!(summary.of(Database::Sqlite), count(0, 0));
        assert_eq!(summary.others, count(2, 0));
    }

    #[test]
    fn what_failed_tests_printed_is_not_counted() {
        let summary = summary_of(
            "running 1 test
test ui ... FAILED

failures:

---- ui stdout ----
test tests/ui/good.rs ... ok
test sqlite::a_token_authenticates ... ok

failures:
    ui

test result: FAILED. 0 passed; 1 failed

running 1 test
test sqlite::a_token_authenticates ... ok",
        );
        assert_eq!(summary.of(Database::Sqlite), count(1, 0));
        assert_eq!(summary.others, count(0, 1));
    }

    #[test]
    fn a_binary_that_was_killed_is_noticed() {
        let ended = "running 1 test\ntest sqlite::a ... ok\n\ntest result: ok. 1 passed; 0 failed\n";
        assert!(summary_of(ended).is_complete());
        let killed = "running 2 tests\ntest sqlite::b ... ok\n";
        assert!(!summary_of(&format!("{killed}{ended}")).is_complete());
    }

    #[test]
    fn only_results_are_results() {
        for line in [
            "test sqlite::slow has been running for over 60 seconds",
            "test sqlite::x ... ",
            "testing sqlite::x ... ok",
            "a test sqlite::x ... ok",
            "",
        ] {
            assert_eq!(parse(line), Line::Other, "{line}");
        }
        assert_eq!(parse("test sqlite::x ... ok <0.012s>"), Line::Result { test: "sqlite::x", passed: true });
    }
}
