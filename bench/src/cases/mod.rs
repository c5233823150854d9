//! The measurements, one file for each case.

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
mod settings;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::ground::Ground;
use crate::machine::Machine;
use crate::progress::Progress;
use crate::results::{Results, Table};

/// A case's name, and the function that runs it.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    /// Whether a quick run skips it, unless it is requested by name.
    pub is_extra: bool,
    run: fn(&mut Ground) -> Outcome<Vec<Table>>,
}

const fn case(name: &'static str, run: fn(&mut Ground) -> Outcome<Vec<Table>>) -> Case {
    Case { name, is_extra: false, run }
}

/// In this order: cases that only read the common tables come before cases that write them.
pub const CASES: &[Case] = &[
    case("authenticate-postgres", authenticate::postgres),
    case("authenticate-sqlite", authenticate::sqlite),
    case("authenticate-mariadb", authenticate::mariadb),
    Case { is_extra: true, ..case("settings", settings::run) },
    case("cached", cached::run),
    case("http", http::run),
    case("memory", memory::run),
    case("list-postgres", list::postgres),
    case("list-sqlite", list::sqlite),
    case("extend-postgres", extend::postgres),
    case("extend-sqlite", extend::sqlite),
    case("create-postgres", create::postgres),
    case("create-sqlite", create::sqlite),
    case("revoke-postgres", revoke::postgres),
    case("revoke-sqlite", revoke::sqlite),
    case("revocation", revocation::run),
    case("prune-postgres", prune::postgres),
    case("prune-sqlite", prune::sqlite),
    case("growth-postgres", growth::postgres),
    case("growth-sqlite", growth::sqlite),
];

/// Runs all requested cases, one after another.
pub fn run(arguments: &Arguments) -> Outcome<Results> {
    let wanted: Vec<&Case> = CASES.iter().filter(|case| arguments.wants(case)).collect();
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
            // The figures of the other cases took minutes.
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
