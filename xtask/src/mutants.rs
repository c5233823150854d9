//! Changes the code in small ways, one at a time, and looks whether a test notices.

use std::fs;
use std::path::Path;

use cloakroom_testing::servers::{Kind, Server};

use crate::install::{self, Need};
use crate::{cargo, tools};

/// Where the last result stands, with the reason for each mutant that no test notices.
const RESULT: &str = "docs/mutants.md";

/// How many mutants are tried at the same time. Each has a copy of the code, and of all that is built.
const JOBS: usize = 2;

/// How many seconds a test waits for what a mutant may keep from happening. Some tests wait for over ten as the code is.
const PATIENCE: &str = "20";

/// Makes cargo start each test binary so that it takes options that may still change.
const RUNNER: &str = "--cargo-arg=--config=target.'cfg(all())'.runner=['env', 'RUSTC_BOOTSTRAP=1']";

/// Code of one package that is mutated, and the tests that may notice: the quick ones first. The later ones are run for
/// the mutants that the earlier ones have missed.
struct Target {
    name: &'static str,
    package: &'static str,
    files: &'static [&'static str],
    rounds: &'static [Round],
}

/// Test binaries of one package, and a word that the names of the tests hold.
struct Round {
    package: &'static str,
    binaries: &'static [&'static str],
    tests: Option<&'static str>,
}

impl Round {
    const fn unit_tests(package: &'static str) -> Self {
        Self { package, binaries: &[], tests: None }
    }

    const fn suites(package: &'static str, binaries: &'static [&'static str], tests: &'static str) -> Self {
        Self { package, binaries, tests: Some(tests) }
    }
}

static TARGETS: [Target; 4] = [
    Target {
        name: "tokens",
        package: "cloakroom",
        files: &[
            "crates/cloakroom/src/token/*.rs",
            "crates/cloakroom/src/session/expiry.rs",
            "crates/cloakroom/src/session/data.rs",
        ],
        rounds: &[
            Round::unit_tests("cloakroom"),
            Round::suites("cloakroom-testing", &["--test=conformance"], "sqlite::"),
        ],
    },
    Target {
        name: "cache",
        package: "cloakroom",
        files: &["crates/cloakroom/src/cache/*.rs"],
        rounds: &[
            Round::unit_tests("cloakroom"),
            Round::suites("cloakroom-testing", &["--test=cache"], "sqlite::"),
            Round::suites("cloakroom-testing", &["--test=cache", "--test=observability"], "postgres::"),
            Round::suites("cloakroom-testing", &["--test=model"], "sqlite::"),
            Round::suites("cloakroom-testing", &["--test=cluster", "--test=trouble"], "postgres::"),
        ],
    },
    Target {
        name: "writes",
        package: "cloakroom",
        files: &[
            "crates/cloakroom/src/operations/guarded.rs",
            "crates/cloakroom/src/operations/end.rs",
            "crates/cloakroom/src/operations/extend.rs",
            "crates/cloakroom/src/sql/ending.rs",
        ],
        rounds: &[
            Round::suites("cloakroom-testing", &["--test=ends", "--test=coalescing"], "sqlite::"),
            Round::suites("cloakroom-testing", &["--test=conformance", "--test=race"], "sqlite::"),
            Round::suites(
                "cloakroom-testing",
                &[
                    "--test=ends",
                    "--test=coalescing",
                    "--test=conformance",
                    "--test=observability",
                    "--test=trouble",
                    "--test=race",
                ],
                "postgres::",
            ),
        ],
    },
    Target {
        name: "web",
        package: "cloakroom-web",
        files: &["crates/cloakroom-web/src/cookie/*.rs", "crates/cloakroom-web/src/credentials/*.rs"],
        rounds: &[
            Round::unit_tests("cloakroom-web"),
            Round::suites("cloakroom-testing", &["--test=http"], "sqlite::"),
        ],
    },
];

/// Returns the names of the parts that can be mutated by themselves.
pub(crate) fn parts() -> impl Iterator<Item = &'static str> {
    TARGETS.iter().map(|target| target.name)
}

/// Fails if a mutant survives all rounds and `docs/mutants.md` has no reason for it.
pub(crate) fn run(only: Option<&str>) -> Result<(), String> {
    install::ensure(&[Need::Server(Kind::Postgres)])?;
    let mut server = Server::launch(Kind::Postgres)
        .map_err(|error| format!("PostgreSQL could not be started: {error}"))?;
    let result = run_on(&server, only);
    server.stop();
    result
}

fn run_on(server: &Server, only: Option<&str>) -> Result<(), String> {
    let targets = TARGETS.iter().filter(|target| only.is_none_or(|name| target.name == name));
    let listed = fs::read_to_string(cargo::root().join(RESULT)).unwrap_or_default();
    let mut unexplained = Vec::new();
    for target in targets {
        let directory = cargo::root().join("target/mutants").join(target.name);
        let progress = Progress::of(&directory)?;
        for (number, round) in target.rounds.iter().enumerate().skip(progress.rounds) {
            println!("== {}, round {} of {}", target.name, number + 1, target.rounds.len());
            let is_further = number > 0 || progress.is_begun;
            target.round(&directory, is_further, round, server)?;
            Progress::note(&directory, number + 1)?;
        }
        Progress::end(&directory)?;
        let results = directory.join("mutants.out");
        let lines = |file: &str| fs::read_to_string(results.join(file)).unwrap_or_default();
        let survivors = lines("missed.txt");
        println!("== {}: {} survived", target.name, survivors.lines().count());
        for survivor in survivors.lines() {
            let is_listed = listed.contains(&without_place(survivor));
            println!("{}{survivor}", if is_listed { "explained: " } else { "" });
            if !is_listed {
                unexplained.push(survivor.to_owned());
            }
        }
    }
    if unexplained.is_empty() {
        return Ok(());
    }
    Err(format!("{} mutants survive for which {RESULT} gives no reason", unexplained.len()))
}

/// How far a run came that was stopped. The next one goes on from there.
struct Progress {
    rounds: usize,
    /// Whether some mutants of the next round were tried.
    is_begun: bool,
}

impl Progress {
    const FILE: &str = "rounds";

    fn of(directory: &Path) -> Result<Self, String> {
        let file = directory.join(Self::FILE);
        if let Some(rounds) = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()) {
            let is_begun = directory.join("mutants.out").exists();
            println!("going on after {rounds} rounds; without {} it begins anew", directory.display());
            return Ok(Self { rounds, is_begun });
        }
        let _ = fs::remove_dir_all(directory);
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        Self::note(directory, 0)?;
        Ok(Self { rounds: 0, is_begun: false })
    }

    fn note(directory: &Path, rounds: usize) -> Result<(), String> {
        let file = directory.join(Self::FILE);
        fs::write(&file, rounds.to_string()).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// What comes next is a run of its own.
    fn end(directory: &Path) -> Result<(), String> {
        let file = directory.join(Self::FILE);
        fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))
    }
}

impl Round {
    /// Runs the tests on the code as it is: a test that always fails would notice every mutant.
    fn check_without_mutants(&self, server: &Server) -> Result<(), String> {
        let mut command = cargo::command(&["test", "--quiet", "--all-features", "--package", self.package]);
        command.arg("--lib").args(self.binaries).args(self.tests);
        command.env("CLOAKROOM_TEST_POSTGRES_URL", server.url()).env("CLOAKROOM_TEST_PATIENCE", PATIENCE);
        let status = command.status().map_err(|error| format!("cargo: {error}"))?;
        if status.success() { Ok(()) } else { Err("the tests fail without any mutant".into()) }
    }
}

impl Target {
    fn round(
        &self,
        directory: &Path,
        is_further: bool,
        round: &Round,
        server: &Server,
    ) -> Result<(), String> {
        let mut command = tools::command("mutants")?;
        command.arg("--package").arg(self.package).args(["--all-features", "--no-shuffle"]);
        // What the target folder holds is not copied.
        command.args(["--gitignore=true", "--colors=never", "--output"]).arg(directory);
        // Unit tests take a second, the suites up to two minutes.
        command.arg(if round.tests.is_none() { "--timeout=40" } else { "--timeout=400" });
        command.env("CLOAKROOM_TEST_POSTGRES_URL", server.url());
        // A mutant is not debugged; without it each is linked in half the time.
        command.env("CARGO_PROFILE_DEV_DEBUG", "none").env("CARGO_PROFILE_TEST_DEBUG", "none");
        command.env("CLOAKROOM_TEST_PATIENCE", PATIENCE);
        command.args(["--jobs", &JOBS.to_string()]);
        if is_further {
            command.arg("--iterate");
        }
        for file in self.files {
            command.args(["--file", file]);
        }
        if round.package != self.package {
            // cargo-mutants would look for these tests in the mutated package.
            round.check_without_mutants(server)?;
            command.arg("--baseline=skip");
        }
        command.arg(format!("--test-package={}", round.package));
        // Without it each target of the mutated package is built first, its examples among them.
        command.arg("--cargo-arg=--lib");
        if let Some(tests) = round.tests {
            // A mutant that one test notices needs no other.
            command.arg(RUNNER).arg("--").args(round.binaries).args([
                tests,
                "--",
                "-Zunstable-options",
                "--fail-fast",
            ]);
        }
        let status = command.status().map_err(|error| format!("cargo-mutants: {error}"))?;
        match status.code() {
            // All were noticed; some were not; some ran out of time.
            Some(0 | 2 | 3) => Ok(()),
            _ => Err(format!("the tests fail without any mutant, or cargo-mutants could not run: {status}")),
        }
    }
}

/// Returns what is mutated and how, without the line, which changes with the code above it.
fn without_place(mutant: &str) -> String {
    let mut parts = mutant.splitn(4, ':');
    let (file, how) = (parts.next().unwrap_or_default(), parts.nth(2).unwrap_or_default());
    format!("{file}:{how}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_known_again_when_its_line_has_moved() {
        let text = "crates/cloakroom/src/token/mod.rs:96:9: replace <impl PartialEq for Token>::eq -> bool with false";
        let known =
            "crates/cloakroom/src/token/mod.rs: replace <impl PartialEq for Token>::eq -> bool with false";
        assert_eq!(without_place(text), known);
    }
}
