//! Runs the suites on many servers: other versions, other makers.

mod fetch;
mod list;
mod page;

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use list::{ENTRIES, Entry};
use page::Outcome;

use crate::arguments::MatrixOptions;
use crate::cargo;
use crate::install::{self, Need};
use crate::summary::{Count, Summary};

/// Returns the names of the servers.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().map(|entry| entry.name)
}

/// Runs the suites on each server that has no result yet, and writes the page from all results.
pub(crate) fn run(options: &MatrixOptions) -> Result<(), String> {
    let directory = cargo::root().join("target/matrix");
    let results = directory.join("results");
    fs::create_dir_all(&results).map_err(|error| format!("{}: {error}", results.display()))?;
    let is_wanted = |entry: &&Entry| options.only.is_empty() || options.only.contains(&entry.name);
    let wanted: Vec<&Entry> = ENTRIES.iter().filter(is_wanted).collect();
    for (number, entry) in wanted.iter().enumerate() {
        println!("== {} of {}: {}", number + 1, wanted.len(), entry.name);
        let result = results.join(entry.name);
        if result.exists() && !options.again {
            println!("has a result already; --again runs it once more");
            continue;
        }
        let outcome = entry.run(&directory)?;
        println!("{}: {}", outcome.version, outcome.count);
        outcome.write(&result)?;
    }
    let outcomes: Vec<(&Entry, Outcome)> =
        ENTRIES.iter().filter_map(|entry| Some((entry, Outcome::read(&results.join(entry.name))?))).collect();
    page::write(&outcomes)?;
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|(_, outcome)| outcome.count.failed > 0)
        .map(|(entry, _)| entry.name)
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("tests failed on {}", failed.join(", "))) }
}

impl Entry {
    fn run(&self, directory: &Path) -> Result<Outcome, String> {
        install::ensure(&[Need::Unpacking])?;
        let kind = self.database.server().ok_or("SQLite is built in")?;
        let folder = fetch::folder(self.name, self.source, &directory.join("servers"))?;
        let version = version(&kind.programs_in(folder.as_deref()))?;
        let log = directory.join(format!("{}.log", self.name));
        let mut command = Command::new(env::current_exe().map_err(|error| error.to_string())?);
        command.current_dir(cargo::root());
        command.args(["test", &format!("{}::", self.database.word()), "--only", self.database.word()]);
        match folder {
            Some(folder) => command.env(kind.folder_variable(), folder),
            None => command.env_remove(kind.folder_variable()),
        };
        let summary = watched(&mut command, &log)?;
        if !summary.is_complete() {
            return Err(format!("tests on {} were stopped midway; see {}", self.name, log.display()));
        }
        let count = summary.of(self.database);
        if count == Count::default() {
            return Err(format!("no test ran on {}; see {}", self.name, log.display()));
        }
        Ok(Outcome { version, count, failures: summary.failures().to_vec() })
    }
}

/// Runs it, writes all that it prints to `log`, and counts the tests.
fn watched(command: &mut Command, log: &Path) -> Result<Summary, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", log.display());
    let mut file = File::create(log).map_err(failed)?;
    command.stderr(file.try_clone().map_err(failed)?).stdout(Stdio::piped());
    let mut process = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let mut summary = Summary::default();
    if let Some(output) = process.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let mut line = line.map_err(failed)?;
            summary.read(String::from_utf8_lossy(&line).trim_end());
            line.push(b'\n');
            file.write_all(&line).map_err(failed)?;
            let Count { passed, failed } = summary.total();
            if (passed + failed) % 100 == 0 {
                print!("\r{passed} passed, {failed} failed");
                let _ = std::io::stdout().flush();
            }
        }
        print!("\r");
    }
    // Failures are counted; a run without any test is noticed by its count, and one that was stopped by what it began.
    let status = process.wait().map_err(failed)?;
    if status.code().is_none() { Err(format!("the tests were stopped: {status}")) } else { Ok(summary) }
}

/// What the server says of itself.
fn version(programs: &[PathBuf]) -> Result<String, String> {
    let program = programs.first().ok_or("the server's program was not found")?;
    let output = Command::new(program).arg("--version").output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    page::version_in(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| format!("{} does not say its version", program.display()))
}
