//! Are the defaults of `max_in_flight` and `max_batch` the right ones? The contestants are Cloakroom's own settings, the
//! default first.

use cloakroom::{Config, Database};

use crate::Outcome;
use crate::contestants::cloakroom::Cloakroom;
use crate::contestants::{Authenticate, lane};
use crate::ground::Ground;
use crate::measure::Lane;
use crate::payload::Tokens;
use crate::report::callers;
use crate::results::Table;

/// The names of the rows, in their order.
pub const IN_FLIGHT: &[&str] = &["2 in flight, the default", "1 in flight", "4 in flight", "8 in flight"];
pub const IN_FLIGHT_SQLITE: &[&str] = &["2 in flight, the default", "1 in flight", "4 in flight"];
pub const BATCH: &[&str] = &["256 a batch, the default", "64 a batch", "1024 a batch"];

#[derive(Clone, Copy)]
enum Setting {
    MaxInFlight,
    MaxBatch,
}

pub fn run(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let postgres = ground.postgres_peers()?;
    let database = Database::from(postgres.cloakroom);
    let in_flight = lanes(&database, &postgres.tokens, Setting::MaxInFlight, IN_FLIGHT)?;
    let batch = lanes(&database, &postgres.tokens, Setting::MaxBatch, BATCH)?;
    let mut tables = Vec::new();
    for number in [128, 1024] {
        tables.push(compare(ground, "postgres-in-flight", "PostgreSQL", &in_flight, number)?);
        tables.push(compare(ground, "postgres-batch", "PostgreSQL", &batch, number)?);
    }
    let sqlite = ground.sqlite_peers()?;
    let database = Database::from(sqlite.cloakroom);
    let in_flight = lanes(&database, &sqlite.tokens, Setting::MaxInFlight, IN_FLIGHT_SQLITE)?;
    for number in [16, 64, 128] {
        tables.push(compare(ground, "sqlite-in-flight", "SQLite", &in_flight, number)?);
    }
    Ok(tables)
}

/// A lane for each name, which begins with its number. The other setting keeps its default.
fn lanes(database: &Database, tokens: &Tokens, setting: Setting, names: &[&str]) -> Outcome<Vec<Lane>> {
    let lane = |name: &&str| {
        let number = number(name)?;
        let config = match setting {
            Setting::MaxInFlight => Config::builder().max_in_flight(number),
            Setting::MaxBatch => Config::builder().max_batch(number),
        };
        let contestant = Cloakroom::new(database.clone(), config.build()?, tokens)?;
        Ok(lane::<Authenticate, _>(name, contestant))
    };
    names.iter().map(lane).collect()
}

fn number(name: &str) -> Outcome<usize> {
    let (number, _) = name.split_once(' ').ok_or("a setting is called by its number")?;
    Ok(number.parse()?)
}

fn compare(ground: &Ground, table: &str, database: &str, lanes: &[Lane], number: usize) -> Outcome<Table> {
    let title = format!("authenticate with other settings, {database}, {}", callers(number));
    ground.compare(format!("settings-{table}/{number}"), title, lanes, number)
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
