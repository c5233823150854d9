//! What is measured, a file a case.

mod authenticate;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::ground::Ground;
use crate::progress::Progress;
use crate::results::{Results, Table};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    AuthenticatePostgres,
    AuthenticateSqlite,
    AuthenticateMariaDb,
}

impl Case {
    pub const ALL: [Self; 3] =
        [Self::AuthenticatePostgres, Self::AuthenticateSqlite, Self::AuthenticateMariaDb];

    pub fn name(self) -> &'static str {
        match self {
            Self::AuthenticatePostgres => "authenticate-postgres",
            Self::AuthenticateSqlite => "authenticate-sqlite",
            Self::AuthenticateMariaDb => "authenticate-mariadb",
        }
    }

    fn run(self, ground: &mut Ground) -> Outcome<Vec<Table>> {
        match self {
            Self::AuthenticatePostgres => authenticate::postgres(ground),
            Self::AuthenticateSqlite => authenticate::sqlite(ground),
            Self::AuthenticateMariaDb => authenticate::mariadb(ground),
        }
    }
}

/// Runs all cases that are asked for, one after another.
pub fn run(arguments: &Arguments) -> Outcome<Results> {
    let wanted: Vec<Case> = Case::ALL.into_iter().filter(|case| arguments.wants(*case)).collect();
    let mut results = Results { quick: arguments.quick, ..Results::default() };
    let mut ground = Ground::new(arguments.plan(), Progress::new(wanted.len()))?;
    for case in wanted {
        ground.progress.begin(case.name());
        let tables = case.run(&mut ground);
        ground.progress.end();
        results.tables.extend(tables.map_err(|error| format!("{}: {error}", case.name()))?);
    }
    Ok(results)
}
