use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::num::NonZero;
use std::process::{Command, Stdio};
use std::thread;

use cloakroom_testing::servers::{Galera, Kind, Server};

use crate::arguments::{Database, TestOptions};
use crate::install::Need;
use crate::summary::Summary;
use crate::{axe, browser, cargo, install};

/// How many tests of a binary run at once. Many wait for a server's disk or for a lock, so there are more than processors.
const THREADS: &str = "RUST_TEST_THREADS";

pub(crate) fn run(options: &TestOptions) -> Result<(), String> {
    let kinds: Vec<Kind> = options.databases.iter().filter_map(|database| database.server()).collect();
    let browser = options.has_browser().then_some(Need::Browser);
    let pooler = kinds.contains(&Kind::Postgres).then_some(Need::Pooler);
    let needs: Vec<Need> = kinds.iter().copied().map(Need::Server).chain(pooler).chain(browser).collect();
    install::ensure(&needs)?;
    if options.has_browser() {
        axe::install()?;
    }
    if kinds.contains(&Kind::MariaDb) && !Galera::is_installed() {
        // Debian's server comes with it. MySQL's knows nothing of it.
        eprintln!("no library of Galera beside MariaDB: the cases on a cluster are left out");
    }
    let mut servers = start(&kinds)?;

    let mut summary = Summary::default();
    let mut problems = Vec::new();
    // xtask is built apart: with the features of the other crates it would be rebuilt each time.
    for packages in [&["--workspace", "--exclude", "xtask", "--all-features"][..], &["--package", "xtask"]] {
        let mut command = cargo_test(packages, options, &servers);
        if !stream(&mut command, &mut summary)? {
            problems.push(format!("`cargo test {}` failed", packages.join(" ")));
        }
    }
    summary.print(options);

    problems.extend(silent_groups(&summary, options));
    for server in &mut servers {
        if !server.is_running() {
            problems.push(format!(
                "{} died during the tests; the end of its log:\n{}",
                server.name(),
                server.log_tail()
            ));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\nerror: ")) }
}

/// Starts all of them at the same time.
fn start(kinds: &[Kind]) -> Result<Vec<Server>, String> {
    thread::scope(|scope| {
        let starting: Vec<_> = kinds.iter().map(|kind| scope.spawn(|| Server::launch(*kind))).collect();
        starting
            .into_iter()
            .zip(kinds)
            .map(|(server, kind)| {
                let result = server.join().expect("starting a server does not panic");
                result.map_err(|e| format!("{kind} could not be started: {e}"))
            })
            .collect()
    })
}

fn cargo_test(packages: &[&str], options: &TestOptions, servers: &[Server]) -> Command {
    let mut command = cargo::command(&["test", "--no-fail-fast"]);
    command.args(packages).args(&options.filter).arg("--");
    let mut wanted = Vec::new();
    for database in Database::ALL {
        if options.databases.contains(&database) {
            wanted.push(database.word());
        } else {
            command.args(["--skip", &format!("{}::", database.word())]);
        }
    }
    command.env("CLOAKROOM_TEST_DATABASES", wanted.join(","));
    if env::var_os(THREADS).is_none() {
        let processors = thread::available_parallelism().map_or(2, NonZero::get);
        command.env(THREADS, (2 * processors).to_string());
    }
    if let Some(seed) = options.fuzz_seed {
        command.env("CLOAKROOM_FUZZ_SEED", seed.to_string()).env("CLOAKROOM_FUZZ_ROUNDS", "100000");
    }
    if !options.has_browser() {
        command.args(["--skip", "browser::"]);
    }
    if options.databases.contains(&Database::MariaDb) && !Galera::is_installed() {
        command.args(["--skip", "galera::"]);
    }
    browser::configure(&mut command, options.has_browser());
    for (name, kind) in
        [("CLOAKROOM_TEST_POSTGRES_URL", Kind::Postgres), ("CLOAKROOM_TEST_MARIADB_URL", Kind::MariaDb)]
    {
        match servers.iter().find(|server| server.kind() == kind) {
            Some(server) => command.env(name, server.url()),
            // A server of the caller's would be one that we did not start.
            None => command.env_remove(name),
        };
    }
    command
}

/// Runs it, passes its output on as it comes, and counts the tests. Returns `true` if it succeeded.
fn stream(command: &mut Command, summary: &mut Summary) -> Result<bool, String> {
    let failed = |e: io::Error| format!("could not run cargo: {e}");
    let mut process = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(output) = process.stdout.take() {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        // By bytes, because a test may print anything.
        while output.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            // If our output is no longer read, the tests go on all the same.
            let _ = io::stdout().write_all(&line);
            summary.read(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }
    Ok(process.wait().map_err(failed)?.success())
}

/// A run without any test is no success, because it has shown nothing.
fn silent_groups(summary: &Summary, options: &TestOptions) -> Vec<String> {
    if let Some(filter) = &options.filter {
        let is_silent = summary.total().all() == 0;
        return is_silent.then(|| format!("no test has `{filter}` in its name")).into_iter().collect();
    }
    let mut problems: Vec<String> = options
        .databases
        .iter()
        .filter(|database| summary.of(**database).all() == 0)
        .map(|database| format!("not one test ran on {database}"))
        .collect();
    if options.has_browser() && summary.browser().all() == 0 {
        problems.push("not one test ran in a browser".to_owned());
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(filter: Option<&str>) -> TestOptions {
        TestOptions { filter: filter.map(str::to_owned), ..TestOptions::default() }
    }

    #[test]
    fn a_database_or_browser_without_tests_is_a_problem_unless_a_filter_explains_it() {
        let mut summary = Summary::default();
        summary.read("test sqlite::x ... ok");
        summary.read("test mariadb::x ... FAILED");
        let problems = silent_groups(&summary, &options(None));
        assert_eq!(problems, ["not one test ran on PostgreSQL", "not one test ran in a browser"]);
        assert!(silent_groups(&summary, &options(Some("x"))).is_empty());
    }

    #[test]
    fn a_filter_that_matches_nothing_is_a_problem() {
        let problems = silent_groups(&Summary::default(), &options(Some("typo")));
        assert_eq!(problems, ["no test has `typo` in its name"]);
    }

    #[test]
    fn nobody_who_picks_databases_is_owed_a_browser() {
        let options = TestOptions { databases: vec![Database::Sqlite], ..TestOptions::default() };
        assert_eq!(silent_groups(&Summary::default(), &options), ["not one test ran on SQLite"]);
    }

    #[test]
    fn what_was_not_asked_for_is_left_out() {
        let options = TestOptions {
            filter: Some("prune".to_owned()),
            databases: vec![Database::Sqlite],
            ..TestOptions::default()
        };
        let command = cargo_test(&["--workspace"], &options, &[]);
        let arguments: Vec<_> = command.get_args().filter_map(|a| a.to_str()).collect();
        assert_eq!(
            arguments.join(" "),
            "test --no-fail-fast --workspace prune -- --skip postgres:: --skip mariadb:: --skip browser::"
        );
    }
}
