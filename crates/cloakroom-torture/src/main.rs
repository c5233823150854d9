//! `cargo xtask torture`: starts the servers, runs the workload on each database, and prints what came of it.

use std::collections::BTreeSet;
use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use cloakroom_testing::servers::{self, Galera, LoneDisk, Pair, PoolMode, Pooler, Server, Synchronous};
use cloakroom_torture::{Fault, Kind, Orders, Report, Settings, Target, Until};
use tokio::runtime::Runtime;

/// How many of its server's connections pgbouncer hands out. In session mode a pool that waits for one keeps it.
const POOLED: usize = 150;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Runs operations under injected faults and checks that nothing acknowledged is lost and nothing ended comes back.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// How long to run on each database, in minutes.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Which databases to run on; by default SQLite and a server of each of the others.
    #[arg(long, value_enum)]
    database: Vec<Choice>,
    /// What the choice of operations and faults begins with.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Which faults to cause; by default all that the database can meet.
    #[arg(long, value_parser = fault)]
    fault: Vec<Fault>,
    /// With databases that acknowledge a commit before it is on the disk, to see that the checker finds what `power` then
    /// loses.
    #[arg(long)]
    relaxed: bool,
    /// Without any fault, to see that the checker finds nothing where nothing goes wrong.
    #[arg(long, conflicts_with = "fault")]
    calm: bool,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Works as one of several processes, for the process that starts it.
    #[command(hide = true)]
    Worker(WorkerArguments),
}

#[derive(Debug, clap::Args)]
struct WorkerArguments {
    #[arg(long, value_enum)]
    database: Choice,
    #[arg(long)]
    url: String,
    #[arg(long)]
    directory: PathBuf,
    #[arg(long)]
    process: u64,
    #[arg(long)]
    cached: bool,
    #[arg(long)]
    begins_by_library: bool,
    #[arg(long)]
    relaxed: bool,
    #[arg(long, allow_negative_numbers = true)]
    clock: i64,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    workers: usize,
    #[arg(long)]
    connections: u32,
    /// In microseconds.
    #[arg(long)]
    latency: u64,
    #[arg(long)]
    dropped: f64,
    #[arg(long, value_parser = fault)]
    fault: Vec<Fault>,
}

impl WorkerArguments {
    fn orders(self) -> Orders {
        Orders {
            kind: self.database.kind(),
            url: self.url,
            directory: self.directory,
            process: self.process,
            is_cached: self.cached,
            clock: self.clock,
            settings: Settings {
                seed: self.seed,
                workers: self.workers,
                connections: self.connections,
                latency: Duration::from_micros(self.latency),
                dropped: self.dropped,
                begins_by_library: self.begins_by_library,
                is_relaxed: self.relaxed,
                faults: self.fault.into_iter().collect(),
                ..Settings::default()
            },
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    Sqlite,
    Postgres,
    Mariadb,
    /// A cluster of three nodes of MariaDB.
    Galera,
    /// A primary of PostgreSQL, and a standby that takes its place.
    Standby,
    /// PostgreSQL behind pgbouncer in session mode.
    Pgbouncer,
}

impl Choice {
    const SINGLE: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::Mariadb];

    fn kind(self) -> Kind {
        match self {
            Self::Sqlite => Kind::Sqlite,
            Self::Postgres | Self::Standby | Self::Pgbouncer => Kind::Postgres,
            Self::Mariadb | Self::Galera => Kind::MariaDb,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.role {
        Some(Role::Worker(worker)) => runtime()
            .and_then(|runtime| runtime.block_on(cloakroom_torture::work(worker.orders())))
            .map(|()| 0),
        None => torture(&arguments),
    };
    match done {
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

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Works on each database for the time, half of it with workers in this process, and half with processes that are
/// killed. Returns the number of violations of all.
fn torture(arguments: &Arguments) -> Result<usize> {
    let has_disk = arguments.fault.contains(&Fault::Power);
    let faults: BTreeSet<Fault> = if arguments.calm {
        BTreeSet::new()
    } else if arguments.fault.is_empty() {
        Fault::ALL.into_iter().collect()
    } else {
        arguments.fault.iter().copied().collect()
    };
    let has_processes = faults.contains(&Fault::Worker) || has_disk;
    let only_processes =
        faults.iter().all(|fault| matches!(fault, Fault::Worker | Fault::Power)) && has_processes;
    let parts = if has_processes && !only_processes { 2.0 } else { 1.0 };
    let time = Duration::try_from_secs_f64(arguments.minutes * 60.0 / parts)?;
    let settings = Settings {
        faults,
        seed: arguments.seed,
        until: Until::Time(time),
        is_relaxed: arguments.relaxed,
        is_talkative: true,
        ..Settings::default()
    };
    let choices: &[Choice] =
        if arguments.database.is_empty() { &Choice::SINGLE } else { &arguments.database };
    let runtime = runtime()?;
    let mut violations = 0;
    let is_group = |choice: &Choice| matches!(choice, Choice::Galera | Choice::Standby | Choice::Pgbouncer);
    if has_disk && choices.iter().any(is_group) {
        return Err(
            "power is cut on SQLite and on one server of PostgreSQL or MariaDB, and on no others".into()
        );
    }
    for choice in choices {
        // A file's users lose the power, too, and only processes can be killed with it.
        let is_file_on_disk = has_disk && matches!(choice, Choice::Sqlite);
        if !only_processes && !is_file_on_disk {
            violations +=
                on(*choice, has_disk, |target| runtime.block_on(cloakroom_torture::run(target, &settings)))?;
        }
        if has_processes {
            let program = env::current_exe()?;
            violations += on(*choice, has_disk, |target| {
                runtime.block_on(cloakroom_torture::run_processes(target, &settings, &program))
            })?;
        }
    }
    Ok(violations)
}

/// Runs it on a new database, and prints the report. Returns the number of violations.
fn on(choice: Choice, has_disk: bool, run: impl FnOnce(Target) -> Result<Report>) -> Result<usize> {
    let directory = tempfile::tempdir()?;
    let report = run(match choice {
        Choice::Sqlite if has_disk => Target::file_on(LoneDisk::create()?),
        Choice::Postgres if has_disk => {
            Target::server(Kind::Postgres, Server::launch_on_disk(servers::Kind::Postgres)?)
        }
        Choice::Mariadb if has_disk => {
            Target::server(Kind::MariaDb, Server::launch_on_disk(servers::Kind::MariaDb)?)
        }
        Choice::Sqlite => {
            let file = directory.path().join("torture.db");
            Target::of_others(Kind::Sqlite, &format!("sqlite:{}", file.display()))
        }
        Choice::Postgres => Target::server(Kind::Postgres, Server::launch(servers::Kind::Postgres)?),
        Choice::Mariadb => Target::server(Kind::MariaDb, Server::launch(servers::Kind::MariaDb)?),
        Choice::Galera if !Galera::is_installed() => {
            return Err(
                "a cluster needs MariaDB's server and the library of Galera (Debian: galera-4)".into()
            );
        }
        Choice::Galera => Target::cluster(Galera::launch()?),
        Choice::Standby => Target::pair(Pair::launch_to_fail_over(Synchronous::Applied)?),
        Choice::Pgbouncer => {
            let server = Server::launch(servers::Kind::Postgres)?;
            let pooler = Pooler::start(&server, PoolMode::Session, POOLED)?;
            Target::pooled(server, pooler)
        }
    })?;
    println!("{report}");
    Ok(report.violations().len())
}

fn fault(word: &str) -> std::result::Result<Fault, String> {
    let known = Fault::ALL.into_iter().find(|fault| fault.word() == word);
    let words = || Fault::ALL.map(Fault::word).join(", ");
    known.ok_or_else(|| format!("there are {}", words()))
}
