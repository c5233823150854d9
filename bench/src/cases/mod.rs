//! The measurements, one file for each case.

mod authenticate;
mod bound;
pub mod cached;
mod create;
mod expire;
mod extend;
mod growth;
mod http;
mod list;
pub mod memory;
mod mistyped;
mod prune;
mod revocation;
mod revoke;
mod schemes;
mod seen;
mod settings;

use crate::catalogue;
use crate::context::{Context, Plan, Progress};
use crate::failure::Outcome;
use crate::results::machine::Machine;
use crate::results::{Results, Table};

/// A case's name, and the function that runs it.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    /// Whether a quick run skips it, unless it is requested by name.
    pub is_extra: bool,
    run: fn(&mut Context) -> Outcome<Vec<Table>>,
}

const fn case(name: &'static str, run: fn(&mut Context) -> Outcome<Vec<Table>>) -> Case {
    Case { name, is_extra: false, run }
}

/// In this order: cases that only read the common tables come before cases that write them.
pub const CASES: &[Case] = &[
    case("authenticate-postgres", authenticate::postgres),
    case("authenticate-sqlite", authenticate::sqlite),
    case("authenticate-mariadb", authenticate::mariadb),
    Case { is_extra: true, ..case("settings", settings::run) },
    case("cached", cached::run),
    case("schemes", schemes::run),
    case("seen", seen::run),
    case("mistyped", mistyped::run),
    case("http", http::run),
    case("bound", bound::run),
    case("memory", memory::run),
    case("list-postgres", list::postgres),
    case("list-sqlite", list::sqlite),
    case("extend-postgres", extend::postgres),
    case("extend-sqlite", extend::sqlite),
    case("create-postgres", create::postgres),
    case("create-sqlite", create::sqlite),
    case("revoke-postgres", revoke::postgres),
    case("revoke-sqlite", revoke::sqlite),
    case("expire-postgres", expire::postgres),
    case("revocation", revocation::run),
    case("prune-postgres", prune::postgres),
    case("prune-sqlite", prune::sqlite),
    case("growth-postgres", growth::postgres),
    case("growth-sqlite", growth::sqlite),
];

/// Runs the wanted cases, one after another.
pub fn run(wanted: &[&Case], plan: Plan) -> Outcome<Results> {
    let mut results = Results { quick: plan.quick, ..Results::default() };
    let mut context = Context::new(plan, Progress::new(wanted.len()))?;
    for case in wanted {
        context.progress.begin(case.name);
        let tables = (case.run)(&mut context);
        let failure = match tables {
            Ok(tables) => {
                let checked = catalogue::check(case.name, &tables, plan.quick);
                results.tables.extend(tables);
                checked.err()
            }
            // The figures of the other cases took minutes.
            Err(failure) => Some(failure),
        };
        if let Some(failure) = failure {
            let failure = format!("{}: {failure}", case.name);
            context.progress.fail(&failure);
            results.failures.push(failure);
        }
        context.clear();
        context.progress.end();
    }
    let unknown = |failure| vec![format!("databases of unknown versions ({failure})")];
    results.machine = Machine::look(context.databases().unwrap_or_else(unknown));
    Ok(results)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_its_tables_and_every_table_its_case() {
        let cases: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(cases, catalogue::cases());
    }
}
