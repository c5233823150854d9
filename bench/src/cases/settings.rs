//! Are the defaults of `max_in_flight` and `max_batch` the right ones? The contestants are Cloakroom's own settings, the
//! default first.

use cloakroom::{Config, Database};

use crate::catalogue::row::settings::{BATCH, IN_FLIGHT, IN_FLIGHT_SQLITE};
use crate::contestants::cloakroom::Cloakroom;
use crate::contestants::{Authenticate, performing};
use crate::context::Context;
use crate::dataset::Tokens;
use crate::failure::Outcome;
use crate::format::callers;
use crate::measure::Contestant;
use crate::results::Table;

#[derive(Clone, Copy)]
enum Setting {
    MaxInFlight,
    MaxBatch,
}

pub fn run(context: &mut Context) -> Outcome<Vec<Table>> {
    let postgres = context.postgres_peers()?;
    let database = Database::from(postgres.cloakroom);
    let in_flight = contestants(&database, &postgres.tokens, Setting::MaxInFlight, IN_FLIGHT)?;
    let batch = contestants(&database, &postgres.tokens, Setting::MaxBatch, BATCH)?;
    let mut tables = Vec::new();
    for number in [128, 1024] {
        tables.push(compare(context, "postgres-in-flight", "PostgreSQL", &in_flight, number)?);
        tables.push(compare(context, "postgres-batch", "PostgreSQL", &batch, number)?);
    }
    let sqlite = context.sqlite_peers()?;
    let database = Database::from(sqlite.cloakroom);
    let in_flight = contestants(&database, &sqlite.tokens, Setting::MaxInFlight, IN_FLIGHT_SQLITE)?;
    for number in [16, 64, 128] {
        tables.push(compare(context, "sqlite-in-flight", "SQLite", &in_flight, number)?);
    }
    Ok(tables)
}

/// A contestant for each name, which begins with its number. The other setting keeps its default.
fn contestants(
    database: &Database,
    tokens: &Tokens,
    setting: Setting,
    names: &[&str],
) -> Outcome<Vec<Contestant>> {
    let contestant = |name: &&str| {
        let number = number(name)?;
        let config = match setting {
            Setting::MaxInFlight => Config::builder().max_in_flight(number),
            Setting::MaxBatch => Config::builder().max_batch(number),
        };
        let contestant = Cloakroom::new(database.clone(), config.build()?, tokens)?;
        Ok(performing::<Authenticate, _>(name, contestant))
    };
    names.iter().map(contestant).collect()
}

fn number(name: &str) -> Outcome<usize> {
    let (number, _) = name.split_once(' ').ok_or("a setting is called by its number")?;
    Ok(number.parse()?)
}

fn compare(
    context: &Context,
    table: &str,
    database: &str,
    contestants: &[Contestant],
    number: usize,
) -> Outcome<Table> {
    let title = format!("authenticate with other settings, {database}, {}", callers(number));
    context.compare(format!("settings-{table}/{number}"), title, contestants, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_is_the_default() {
        let default = Config::default();
        assert_eq!(number(BATCH[0]).unwrap(), default.max_batch());
        for names in [IN_FLIGHT, IN_FLIGHT_SQLITE] {
            assert_eq!(number(names[0]).unwrap(), default.max_in_flight().unwrap_or(2));
        }
    }
}
