use std::fmt;

use cloakroom_testing::servers::Kind;

use crate::{matrix, mutants};

pub(crate) const USAGE: &str = "\
The workspace's own commands.

Usage: cargo xtask COMMAND

  test [FILTER] [--only DATABASE]...
        Run the tests on real servers, started for the purpose and removed afterwards.
        FILTER picks the tests with that text in their names; --only picks databases:
        sqlite, postgres, mariadb (default: all three), and leaves the browser out.
        Programs of the servers and the browser that are missing are installed where
        the system's package manager lets us; what cannot be had is a failure.
  ci    test, then formatting, clippy, documentation and each single feature, with
        warnings denied.
  release
        What is checked before a release: licences and advisories of the dependencies,
        every combination of features, the oldest compiler and dependencies, the
        packages, and the interface against the last release. Installs its tools into
        target/tools.
  book  Make the book out of docs, into target/book, and compile and run its examples. Installs
        mdbook into target/tools.
  bench [--quick] [--only CASE,…]... [--json FILE] [--svg FILE] [--docs FILE]
        Measure Cloakroom against its peers, on servers started for the purpose, and
        print the tables. --quick takes about four minutes beside the compiling;
        --only picks cases by the start of their names (`bench --only x` lists them);
        --json, --svg and --docs write the results, a picture of them, and, of a whole
        run, the tables of docs/performance.md.
  bench --counts [--record]
        Count the instructions and allocations of each hot path with valgrind, and compare
        them with bench/counts.json; --record writes that file anew.
  torture [--minutes N] [--database DATABASE]... [--fault FAULT]... [--seed N] [--relaxed]
        Run operations under injected faults for N minutes (default: 5) on each database,
        on servers started for the purpose, and check that nothing acknowledged is lost
        and nothing ended comes back. --database galera is a cluster of three nodes,
        --database standby a primary whose standby takes its place, and --database
        pgbouncer PostgreSQL behind that pooler; these run only if they are named. So does
        --fault power, which cuts the power of the database's disk; --relaxed lets the
        database answer before the disk does. docs/reliability.md says how.
  fuzz [--minutes N] [--seed N]
        Draw what the library reads from outside at random, for N minutes (default: 5):
        rows of the three databases, cookies and headers, cursors, JSON that is merged.
  matrix [--only SERVER]... [--again]
        Run the tests of each database on other versions and makers of it, fetched and
        unpacked into target/matrix, and write the table of docs/databases.md. Servers that
        have a result are passed over without --again, so that a run that was stopped goes on.
  mutants [tokens|cache|writes|web]
        Change the code in small ways, one at a time, and look whether a test notices:
        of tokens, expiry and data (tokens), of the cache, of ends and other writes (writes),
        and of cookies and credentials (web). Takes hours. docs/mutants.md has the last result.
  serve postgres|mariadb
        Start a throwaway server, print its URL, and keep it until Ctrl-C.
  help  Print this.

Exit codes: 0 all is well, 1 something failed, 2 wrong usage.";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    Test(TestOptions),
    Ci,
    Release,
    Book,
    Bench(BenchOptions),
    Torture(TortureOptions),
    Fuzz(FuzzOptions),
    Matrix(MatrixOptions),
    /// Of one part, or of all.
    Mutants(Option<&'static str>),
    Serve(Kind),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BenchOptions {
    pub(crate) quick: bool,
    /// The beginnings of names, which the benchmark itself knows.
    pub(crate) only: Vec<String>,
    pub(crate) json: Option<String>,
    pub(crate) svg: Option<String>,
    pub(crate) docs: Option<String>,
    pub(crate) counts: bool,
    pub(crate) record: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TortureOptions {
    /// Which databases to run on, each once.
    pub(crate) databases: Vec<Database>,
    /// Several servers together, by the workload's names for them.
    pub(crate) groups: Vec<&'static str>,
    pub(crate) minutes: Option<String>,
    pub(crate) seed: Option<String>,
    /// The kinds of faults, which the workload itself knows; all of them if there is none.
    pub(crate) faults: Vec<String>,
    /// With databases that acknowledge a commit before it is on the disk.
    pub(crate) is_relaxed: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct MatrixOptions {
    /// The names of servers; all of them if there is none.
    pub(crate) only: Vec<&'static str>,
    /// Runs also what has a result.
    pub(crate) again: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FuzzOptions {
    pub(crate) minutes: u64,
    pub(crate) seed: u64,
}

impl Default for FuzzOptions {
    fn default() -> Self {
        Self { minutes: 5, seed: 1 }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TestOptions {
    pub(crate) filter: Option<String>,
    /// Makes the tests with random input draw more, and from this seed on.
    pub(crate) fuzz_seed: Option<u64>,
    /// Which databases to run on: at least one, each once.
    pub(crate) databases: Vec<Database>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
    MariaDb,
}

impl Database {
    pub(crate) const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::MariaDb];

    /// Returns its name in arguments, environment variables and the names of tests.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
        }
    }

    /// Returns the server that it needs, if any.
    pub(crate) fn server(self) -> Option<Kind> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(Kind::Postgres),
            Self::MariaDb => Some(Kind::MariaDb),
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|database| database.word() == word)
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.server().map_or("SQLite", Kind::name))
    }
}

impl TestOptions {
    /// The browser's tests belong to no database, so a run that picks databases skips them.
    pub(crate) fn has_browser(&self) -> bool {
        self.databases.len() == Database::ALL.len()
    }
}

impl Default for TestOptions {
    fn default() -> Self {
        Self { filter: None, fuzz_seed: None, databases: Database::ALL.to_vec() }
    }
}

pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Task, String> {
    let arguments: Vec<String> = arguments.collect();
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        return Ok(Task::Help);
    }
    let Some((command, rest)) = arguments.split_first() else {
        return Err("which command?".to_owned());
    };
    match (command.as_str(), rest) {
        ("test", rest) => parse_test(rest).map(Task::Test),
        ("bench", rest) => parse_bench(rest).map(Task::Bench),
        ("torture", rest) => parse_torture(rest).map(Task::Torture),
        ("fuzz", rest) => parse_fuzz(rest).map(Task::Fuzz),
        ("serve", [server]) => parse_server(server).map(Task::Serve),
        ("serve", _) => Err("serve takes one argument: postgres or mariadb".to_owned()),
        ("matrix", rest) => parse_matrix(rest).map(Task::Matrix),
        ("mutants", []) => Ok(Task::Mutants(None)),
        ("mutants", [part]) => {
            let known = mutants::parts().find(|known| known == part);
            known.map(|known| Task::Mutants(Some(known))).ok_or_else(|| {
                let known: Vec<&str> = mutants::parts().collect();
                format!("mutants knows {}, and not {part}", known.join(", "))
            })
        }
        ("ci", []) => Ok(Task::Ci),
        ("release", []) => Ok(Task::Release),
        ("book", []) => Ok(Task::Book),
        ("help", []) => Ok(Task::Help),
        ("ci" | "release" | "book" | "help", [surplus, ..]) => {
            Err(format!("{command} takes no argument: {surplus}"))
        }
        _ => Err(format!("unknown command: {command}")),
    }
}

fn parse_fuzz(arguments: &[String]) -> Result<FuzzOptions, String> {
    let mut options = FuzzOptions::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let setting = match argument.as_str() {
            "--minutes" => &mut options.minutes,
            "--seed" => &mut options.seed,
            other => return Err(format!("unknown argument: {other}")),
        };
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a number"))?;
        *setting = value.parse().map_err(|_| format!("{argument} needs a whole number: {value}"))?;
    }
    Ok(options)
}

fn parse_matrix(arguments: &[String]) -> Result<MatrixOptions, String> {
    let mut options = MatrixOptions::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let words = match argument.split_once('=') {
            Some(("--only", words)) => words,
            _ if argument == "--only" => arguments.next().ok_or("--only which server?")?,
            _ if argument == "--again" => {
                options.again = true;
                continue;
            }
            _ => return Err(format!("unknown argument: {argument}")),
        };
        for word in words.split(',') {
            let known = matrix::names().find(|name| *name == word);
            let names = || matrix::names().collect::<Vec<_>>().join(", ");
            options
                .only
                .push(known.ok_or_else(|| format!("unknown server: {word:?}; there are {}", names()))?);
        }
    }
    Ok(options)
}

fn parse_test(arguments: &[String]) -> Result<TestOptions, String> {
    let mut filter = None;
    let mut only = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--only" {
            let words = arguments.next().ok_or("--only which database?")?;
            only.extend(parse_databases(words)?);
        } else if let Some(words) = argument.strip_prefix("--only=") {
            only.extend(parse_databases(words)?);
        } else if argument.starts_with('-') {
            return Err(format!("unknown option: {argument}"));
        } else if argument.is_empty() {
            return Err("the filter is empty".to_owned());
        } else if filter.is_some() {
            return Err(format!("one filter is enough: {argument}"));
        } else {
            filter = Some(argument.clone());
        }
    }
    let databases =
        Database::ALL.into_iter().filter(|database| only.is_empty() || only.contains(database)).collect();
    Ok(TestOptions { filter, fuzz_seed: None, databases })
}

fn parse_bench(arguments: &[String]) -> Result<BenchOptions, String> {
    let mut options = BenchOptions::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (option, mut value) = match argument.split_once('=') {
            Some((option, value)) => (option, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        match option {
            "--quick" if value.is_none() => options.quick = true,
            "--counts" if value.is_none() => options.counts = true,
            "--record" if value.is_none() => options.record = true,
            "--only" | "--json" | "--svg" | "--docs" => {
                let value = value.take().or_else(|| arguments.next().cloned());
                let value = value.filter(|value| !value.is_empty());
                let value = value.ok_or_else(|| format!("{option} needs a value"))?;
                match option {
                    "--only" => options.only.push(value),
                    "--json" => options.json = Some(value),
                    "--svg" => options.svg = Some(value),
                    _ => options.docs = Some(value),
                }
            }
            _ => return Err(format!("unknown argument: {argument}")),
        }
    }
    let asks_for_times =
        BenchOptions { counts: false, record: false, ..options.clone() } != BenchOptions::default();
    if options.counts && asks_for_times {
        return Err("--counts goes with --record alone".to_owned());
    }
    if options.record && !options.counts {
        return Err("--record is for --counts".to_owned());
    }
    if options.docs.is_some() && (options.quick || !options.only.is_empty()) {
        return Err("--docs is for a whole run: it goes neither with --quick nor with --only".to_owned());
    }
    Ok(options)
}

/// What the workload can run on beside single databases.
const GROUPS: [&str; 3] = ["galera", "standby", "pgbouncer"];

fn parse_torture(arguments: &[String]) -> Result<TortureOptions, String> {
    let (mut picked, mut faults, mut minutes, mut seed) = (Vec::new(), Vec::new(), None, None);
    let (mut groups, mut is_relaxed) = (Vec::new(), false);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--relaxed" {
            is_relaxed = true;
            continue;
        }
        let (option, value) = match argument.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None => (argument.as_str(), None),
        };
        if !matches!(option, "--database" | "--fault" | "--minutes" | "--seed") {
            return Err(format!("unknown argument: {argument}"));
        }
        let value = value.or_else(|| arguments.next().map(String::as_str));
        let value = value.ok_or_else(|| format!("{option} needs a value"))?;
        let number = |is_one: bool| {
            if is_one { Ok(Some(value.to_owned())) } else { Err(format!("no number: {value}")) }
        };
        match option {
            "--database" => match GROUPS.into_iter().find(|group| *group == value) {
                Some(group) => groups.push(group),
                None => picked.extend(parse_databases(value)?),
            },
            "--fault" => faults.extend(value.split(',').map(str::to_owned)),
            "--minutes" => minutes = number(value.parse::<f64>().is_ok_and(|minutes| minutes > 0.0))?,
            _ => seed = number(value.parse::<u64>().is_ok())?,
        }
    }
    let takes_all = picked.is_empty() && groups.is_empty();
    let databases = Database::ALL.into_iter().filter(|database| takes_all || picked.contains(database));
    Ok(TortureOptions { databases: databases.collect(), groups, minutes, seed, faults, is_relaxed })
}

fn parse_databases(words: &str) -> Result<Vec<Database>, String> {
    words
        .split(',')
        .map(|word| {
            Database::from_word(word)
                .ok_or_else(|| format!("unknown database: {word:?}; there are sqlite, postgres, mariadb"))
        })
        .collect()
}

fn parse_server(word: &str) -> Result<Kind, String> {
    match Database::from_word(word) {
        Some(Database::Sqlite) => Err("SQLite needs no server".to_owned()),
        database => database
            .and_then(Database::server)
            .ok_or_else(|| format!("unknown server: {word:?}; there are postgres, mariadb")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    fn test_on(filter: Option<&str>, databases: &[Database]) -> Task {
        Task::Test(TestOptions {
            filter: filter.map(str::to_owned),
            fuzz_seed: None,
            databases: databases.to_vec(),
        })
    }

    #[test]
    fn fuzz_takes_whole_numbers() {
        let fuzz = |arguments: &[&str]| {
            parse(["fuzz"].iter().chain(arguments).map(|argument| (*argument).to_owned()))
        };
        assert_eq!(fuzz(&[]), Ok(Task::Fuzz(FuzzOptions { minutes: 5, seed: 1 })));
        let given = fuzz(&["--minutes", "1", "--seed", "7"]);
        assert_eq!(given, Ok(Task::Fuzz(FuzzOptions { minutes: 1, seed: 7 })));
        for wrong in [&["--minutes"][..], &["--minutes", "x"], &["7"]] {
            assert!(fuzz(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn test_alone_means_everything() {
        assert_eq!(parsed("test"), Ok(test_on(None, &Database::ALL)));
        assert_eq!(parsed("test prune"), Ok(test_on(Some("prune"), &Database::ALL)));
    }

    #[test]
    fn only_may_be_said_more_than_once_and_in_any_order() {
        use Database::{MariaDb, Sqlite};
        let wanted = || test_on(Some("prune"), &[Sqlite, MariaDb]);
        assert_eq!(parsed("test --only mariadb prune --only sqlite"), Ok(wanted()));
        assert_eq!(parsed("test prune --only=mariadb,sqlite"), Ok(wanted()));
        assert_eq!(parsed("test --only sqlite --only sqlite"), Ok(test_on(None, &[Sqlite])));
    }

    #[test]
    fn a_benchmark_is_of_everything_at_full_length_unless_told_otherwise() {
        assert_eq!(parsed("bench"), Ok(Task::Bench(BenchOptions::default())));
        let options = BenchOptions {
            quick: true,
            only: vec!["create".to_owned(), "prune,http".to_owned()],
            json: Some("results.json".to_owned()),
            svg: Some("picture.svg".to_owned()),
            ..BenchOptions::default()
        };
        let line = "bench --quick --only create --only=prune,http --json results.json --svg=picture.svg";
        assert_eq!(parsed(line), Ok(Task::Bench(options)));
    }

    #[test]
    fn counts_are_compared_or_recorded_and_nothing_is_timed_beside() {
        let options = BenchOptions { counts: true, ..BenchOptions::default() };
        assert_eq!(parsed("bench --counts"), Ok(Task::Bench(options.clone())));
        let options = BenchOptions { record: true, ..options };
        assert_eq!(parsed("bench --record --counts"), Ok(Task::Bench(options)));
        for line in
            ["bench --record", "bench --counts --quick", "bench --counts --json x", "bench --counts=x"]
        {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_page_about_performance_takes_a_whole_run_alone() {
        let options = BenchOptions { docs: Some("page.md".to_owned()), ..BenchOptions::default() };
        assert_eq!(parsed("bench --docs page.md"), Ok(Task::Bench(options)));
        assert!(parsed("bench --quick --docs page.md").is_err());
        assert!(parsed("bench --docs page.md --only cached").is_err());
    }

    #[test]
    fn the_workload_runs_on_every_database_unless_told_otherwise() {
        let torture = |databases: &[Database], minutes: Option<&str>, seed: Option<&str>| {
            let (minutes, seed) = (minutes.map(str::to_owned), seed.map(str::to_owned));
            Ok(Task::Torture(TortureOptions {
                databases: databases.to_vec(),
                groups: Vec::new(),
                minutes,
                seed,
                faults: Vec::new(),
                is_relaxed: false,
            }))
        };
        assert_eq!(parsed("torture"), torture(&Database::ALL, None, None));
        let on = |line: &str| match parsed(line) {
            Ok(Task::Torture(options)) => (options.databases, options.groups),
            other => panic!("{other:?}"),
        };
        assert_eq!(on("torture --database galera"), (Vec::new(), vec!["galera"]));
        assert_eq!(
            on("torture --database standby --database=sqlite"),
            (vec![Database::Sqlite], vec!["standby"])
        );
        assert_eq!(on("torture"), (Database::ALL.to_vec(), vec![]));
        let faults = |line| match parsed(line) {
            Ok(Task::Torture(options)) => options.faults,
            other => panic!("{other:?}"),
        };
        assert_eq!(faults("torture --fault kill,cut --fault=lock"), ["kill", "cut", "lock"]);
        let line = "torture --minutes 0.5 --database=mariadb --seed 7 --database sqlite";
        let wanted = [Database::Sqlite, Database::MariaDb];
        assert_eq!(parsed(line), torture(&wanted, Some("0.5"), Some("7")));
    }

    #[test]
    fn the_matrix_is_of_all_servers_unless_told_otherwise() {
        assert_eq!(parsed("matrix"), Ok(Task::Matrix(MatrixOptions::default())));
        let options = MatrixOptions { only: vec!["mysql", "postgres-12", "mariadb"], again: true };
        assert_eq!(
            parsed("matrix --only mysql,postgres-12 --again --only=mariadb"),
            Ok(Task::Matrix(options))
        );
    }

    #[test]
    fn servers_are_named_as_the_databases_are() {
        assert_eq!(parsed("serve postgres"), Ok(Task::Serve(Kind::Postgres)));
        assert_eq!(parsed("serve mariadb"), Ok(Task::Serve(Kind::MariaDb)));
    }

    #[test]
    fn help_is_to_be_had_everywhere() {
        for line in ["help", "--help", "-h", "test --help", "serve -h"] {
            assert_eq!(parsed(line), Ok(Task::Help), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "",
            "tset",
            "test one two",
            "test --onyl sqlite",
            "test --only",
            "test --only=",
            "test --only oracle",
            "serve",
            "serve sqlite",
            "serve oracle",
            "serve postgres mariadb",
            "ci now",
            "bench now",
            "bench --quick=yes",
            "bench --only",
            "bench --json=",
            "torture sqlite",
            "torture --database oracle",
            "torture --minutes",
            "torture --minutes 0",
            "torture --seed one",
            "torture --fault",
            "matrix mysql",
            "matrix --only",
            "matrix --only oracle",
            "mutants cli",
            "mutants tokens web",
            "help me",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
