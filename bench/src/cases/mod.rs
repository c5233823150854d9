//! What is measured, a file a case.

mod authenticate;
mod cached;
pub mod catalogue;
mod create;
mod extend;
pub mod growth;
mod http;
mod list;
pub mod memory;
pub mod prune;
pub mod revocation;
mod revoke;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::ground::Ground;
use crate::machine::Machine;
use crate::progress::Progress;
use crate::results::{Results, Table};

/// A case's name, and what runs it.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    run: fn(&mut Ground) -> Outcome<Vec<Table>>,
}

/// In this order: those that only read the common tables come before those that write them.
pub const CASES: &[Case] = &[
    Case { name: "authenticate-postgres", run: authenticate::postgres },
    Case { name: "authenticate-sqlite", run: authenticate::sqlite },
    Case { name: "authenticate-mariadb", run: authenticate::mariadb },
    Case { name: "cached", run: cached::run },
    Case { name: "http", run: http::run },
    Case { name: "memory", run: memory::run },
    Case { name: "list-postgres", run: list::postgres },
    Case { name: "list-sqlite", run: list::sqlite },
    Case { name: "extend-postgres", run: extend::postgres },
    Case { name: "extend-sqlite", run: extend::sqlite },
    Case { name: "create-postgres", run: create::postgres },
    Case { name: "create-sqlite", run: create::sqlite },
    Case { name: "revoke-postgres", run: revoke::postgres },
    Case { name: "revoke-sqlite", run: revoke::sqlite },
    Case { name: "revocation", run: revocation::run },
    Case { name: "prune-postgres", run: prune::postgres },
    Case { name: "prune-sqlite", run: prune::sqlite },
    Case { name: "growth-postgres", run: growth::postgres },
    Case { name: "growth-sqlite", run: growth::sqlite },
];

/// Runs all cases that are asked for, one after another.
pub fn run(arguments: &Arguments) -> Outcome<Results> {
    let wanted: Vec<&Case> = CASES.iter().filter(|case| arguments.wants(case.name)).collect();
    let mut results = Results { quick: arguments.quick, ..Results::default() };
    let mut ground = Ground::new(arguments.plan(), Progress::new(wanted.len()))?;
    for case in wanted {
        ground.progress.begin(case.name);
        let tables = (case.run)(&mut ground);
        let failure = match tables {
            Ok(tables) => {
                let checked = catalogue::check(case.name, &tables, arguments.quick);
                results.tables.extend(tables);
                checked.err()
            }
            // The others' figures took minutes.
            Err(failure) => Some(failure),
        };
        if let Some(failure) = failure {
            let failure = format!("{}: {failure}", case.name);
            ground.progress.fail(&failure);
            results.failures.push(failure);
        }
        ground.clear();
        ground.progress.end();
    }
    let unknown = |failure| vec![format!("databases of unknown versions ({failure})")];
    results.machine = Machine::look(ground.databases().unwrap_or_else(unknown));
    Ok(results)
}
