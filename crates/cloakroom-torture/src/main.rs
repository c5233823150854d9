//! `cargo xtask torture`: starts the servers, runs the workload on each database, and prints what came of it.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use cloakroom_testing::servers::{self, Server};
use cloakroom_torture::{Fault, Kind, Report, Settings, Until};

/// Runs operations under injected faults and checks that nothing acknowledged is lost and nothing ended comes back.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long to run on each database, in minutes.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Which databases to run on; by default all.
    #[arg(long, value_enum)]
    database: Vec<Choice>,
    /// What the choice of operations and faults begins with.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Which faults to cause; by default all that the database can meet.
    #[arg(long, value_parser = fault)]
    fault: Vec<Fault>,
    /// Without any fault, to see that the checker finds nothing where nothing goes wrong.
    #[arg(long, conflicts_with = "fault")]
    calm: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    Sqlite,
    Postgres,
    Mariadb,
}

fn main() -> ExitCode {
    match torture(&Arguments::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(violations) => {
            eprintln!("error: {violations} violations");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The number of violations on all databases together.
fn torture(arguments: &Arguments) -> Result<usize, Box<dyn Error + Send + Sync>> {
    let time = Duration::try_from_secs_f64(arguments.minutes * 60.0)?;
    let faults: Vec<Fault> = if arguments.calm {
        Vec::new()
    } else if arguments.fault.is_empty() {
        Fault::ALL.to_vec()
    } else {
        arguments.fault.clone()
    };
    let settings = Settings {
        faults: faults.into_iter().collect(),
        seed: arguments.seed,
        until: Until::Time(time),
        is_talkative: true,
        ..Settings::default()
    };
    let choices: &[Choice] = if arguments.database.is_empty() {
        &[Choice::Sqlite, Choice::Postgres, Choice::Mariadb]
    } else {
        &arguments.database
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut violations = 0;
    for choice in choices {
        let report = on(*choice, &runtime, &settings)?;
        println!("{report}");
        violations += report.violations().len();
    }
    Ok(violations)
}

fn on(
    choice: Choice,
    runtime: &tokio::runtime::Runtime,
    settings: &Settings,
) -> Result<Report, Box<dyn Error + Send + Sync>> {
    let (kind, server) = match choice {
        Choice::Sqlite => {
            let directory = tempfile::tempdir()?;
            let url = format!("sqlite:{}", directory.path().join("torture.db").display());
            return runtime.block_on(cloakroom_torture::run(Kind::Sqlite, &url, None, settings));
        }
        Choice::Postgres => (Kind::Postgres, Server::launch(servers::Kind::Postgres)?),
        Choice::Mariadb => (Kind::MariaDb, Server::launch(servers::Kind::MariaDb)?),
    };
    let url = server.url().to_owned();
    runtime.block_on(cloakroom_torture::run(kind, &url, Some(server), settings))
}

fn fault(word: &str) -> Result<Fault, String> {
    let known = Fault::ALL.into_iter().find(|fault| fault.word() == word);
    let words = || Fault::ALL.map(Fault::word).join(", ");
    known.ok_or_else(|| format!("there are {}", words()))
}
