//! What a call costs in instructions and allocations: `cargo xtask bench --counts`.
//!
//! A clock needs a quiet machine, and a count does not: valgrind runs this program again for each path, and counts what
//! it does. A path is counted twice, with few calls and with many, so that starting and opening drop out of the
//! difference. Instructions are those that valgrind's processor has, which knows no instructions for SHA-256, and without
//! those of the operating system.

mod path;
mod recorded;
mod valgrind;

use std::fs;

use clap::Args;

use crate::context::{Context, Plan, Progress};
use crate::database::pools;
use crate::database::sqlite_file::{File, Synchronous};
use crate::failure::Outcome;
use crate::load;
use path::{PATHS, Path};
use recorded::Recorded;
use valgrind::Allocated;

/// The argument that makes a process call one path. Its name, its database and the number of calls follow.
pub const ARGUMENT: &str = "call-one-path";

/// How many rows the tables have.
const ROWS: u64 = 1_000;

/// What is counted, and what becomes of the counts.
#[derive(Debug, Default, PartialEq, Args)]
pub struct Options {
    /// Count instructions and allocations for each call, and compare them with those recorded in `bench/counts.json`
    #[arg(long, conflicts_with_all = ["quick", "only", "json", "svg", "docs"])]
    pub counts: bool,

    /// Record these counts in place of those in `bench/counts.json`
    #[arg(long, requires = "counts")]
    pub record: bool,
}

/// What one call costs.
#[derive(Clone, Copy, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Cost {
    pub instructions: f64,
    pub allocations: f64,
    pub bytes: f64,
}

/// Counts all paths and compares them with what is recorded. Fails if one costs more than that.
pub fn run(options: &Options) -> Outcome {
    valgrind::check()?;
    let mut databases = Databases::prepare()?;
    let mut counted = Recorded::default();
    for path in PATHS {
        eprintln!("counting {}", path.name);
        counted.add(path.name, databases.cost(path)?);
    }
    counted.add_difference(path::BEYOND_THE_HASH, path::CACHED, path::HASH);
    let recorded = Recorded::read()?;
    print!("{}", recorded::table(&counted, &recorded));
    if options.record {
        return counted.write();
    }
    recorded::compare(&counted, &recorded)
}

/// Calls one path, in a process that valgrind runs.
pub fn call(arguments: &[String]) -> Outcome {
    let [name, database, calls] = arguments else {
        return Err("a path, its database and the number of calls are needed".into());
    };
    let path = PATHS.iter().find(|path| path.name == name).ok_or("there is no such path")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on((path.call)(database.clone(), calls.parse()?))
}

/// The databases that the paths ask.
struct Databases {
    context: Context,
    sqlite: File,
    postgres: String,
    copies: u32,
}

impl Databases {
    fn prepare() -> Outcome<Self> {
        let mut context = Context::new(Plan::quick(), Progress::new(0))?;
        let sqlite = File::new(context.file("counts.db")?, Synchronous::Normal)?;
        let postgres = context.postgres("counts")?;
        context.runtime.block_on(async {
            let pool = pools::sqlite(sqlite.options()).await?;
            load::sqlite::cloakroom(&pool, &sqlite.path, ROWS, load::LIFETIME).await?;
            pool.close().await;
            let pool = pools::postgres(&postgres).await?;
            load::postgres::cloakroom(&pool, ROWS, load::LIFETIME).await?;
            pool.close().await;
            Outcome::Ok(())
        })?;
        Ok(Self { context, sqlite, postgres, copies: 0 })
    }

    /// Returns what a call of this path costs: the difference of many calls and few, for each call.
    fn cost(&mut self, path: &Path) -> Outcome<Cost> {
        let [fewer, more] = path.calls;
        let (few, many) = (self.counts(path, fewer)?, self.counts(path, more)?);
        let each = |count: fn(&Counts) -> u64| {
            count(&many).saturating_sub(count(&few)) as f64 / (more - fewer) as f64
        };
        Ok(Cost {
            instructions: each(|counts| counts.instructions),
            allocations: each(|counts| counts.allocated.blocks),
            bytes: each(|counts| counts.allocated.bytes),
        })
    }

    fn counts(&mut self, path: &Path, calls: u64) -> Outcome<Counts> {
        let calls = calls.to_string();
        let mut arguments = |database| {
            Outcome::Ok([ARGUMENT.to_owned(), path.name.to_owned(), self.of(database)?, calls.clone()])
        };
        let instructions = valgrind::instructions(&arguments(path.database)?)?;
        let allocated = valgrind::allocated(&arguments(path.database)?)?;
        Ok(Counts { instructions, allocated })
    }

    /// Returns the database of a path. Each run has a file of its own, so that a path that writes finds the same one.
    fn of(&mut self, database: path::Database) -> Outcome<String> {
        Ok(match database {
            path::Database::None => String::new(),
            path::Database::Postgres => self.postgres.clone(),
            path::Database::Sqlite => {
                self.copies += 1;
                let copy = self.context.file(&format!("counts-{}.db", self.copies))?;
                fs::copy(&self.sqlite.path, &copy)?;
                copy.to_str().ok_or("the path of the file is no text")?.to_owned()
            }
        })
    }
}

/// What one run of valgrind has counted.
struct Counts {
    instructions: u64,
    allocated: Allocated,
}
