//! `cargo xtask torture`: starts the servers, runs the workload on each database, and prints what came of it.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use cloakroom_testing::servers::{self, Server};
use cloakroom_torture::{Kind, Report, Settings, Until};

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
    /// Without dropped calls and full disks, to see that the checker finds nothing where nothing goes wrong.
    #[arg(long)]
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
    let mut settings = Settings {
        seed: arguments.seed,
        until: Until::Time(time),
        is_talkative: true,
        ..Settings::default()
    };
    if arguments.calm {
        (settings.dropped, settings.fills_disk) = (0.0, false);
    }
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
            return runtime.block_on(cloakroom_torture::run(Kind::Sqlite, &url, settings));
        }
        Choice::Postgres => (Kind::Postgres, Server::launch(servers::Kind::Postgres)?),
        Choice::Mariadb => (Kind::MariaDb, Server::launch(servers::Kind::MariaDb)?),
    };
    runtime.block_on(cloakroom_torture::run(kind, server.url(), settings))
}
