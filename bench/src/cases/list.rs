//! List the ten valid sessions of one user, newest first. tower-sessions and `axum_session` have no column to find a
//! user by: they would have to read the whole table.

use cloakroom::Config;

use crate::Outcome;
use crate::contestants::by_hand::{ByHandPostgres, ByHandSqlite};
use crate::contestants::cloakroom::Cloakroom;
use crate::contestants::{List, lane, name};
use crate::ground::Ground;
use crate::measure::Lane;
use crate::report::callers;
use crate::results::Table;

fn numbers(ground: &Ground) -> &'static [usize] {
    if ground.plan.quick { &[1] } else { &[1, 16] }
}

pub fn postgres(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let peers = ground.postgres_peers()?;
    let lanes = [
        lane::<List, _>(name::CLOAKROOM, Cloakroom::new(peers.cloakroom, Config::default(), &peers.tokens)?),
        lane::<List, _>(name::BY_HAND, ByHandPostgres::new(&peers.by_hand, &peers.tokens)),
    ];
    compare(ground, "list-postgres", "PostgreSQL", &lanes)
}

pub fn sqlite(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let peers = ground.sqlite_peers()?;
    let lanes = [
        lane::<List, _>(name::CLOAKROOM, Cloakroom::new(peers.cloakroom, Config::default(), &peers.tokens)?),
        lane::<List, _>(name::BY_HAND, ByHandSqlite::new(&peers.by_hand, &peers.tokens)),
    ];
    compare(ground, "list-sqlite", "SQLite", &lanes)
}

fn compare(ground: &Ground, case: &str, database: &str, lanes: &[Lane]) -> Outcome<Vec<Table>> {
    let compare = |number: &usize| {
        let title = format!("list the ten sessions of a user, {database}, {}", callers(*number));
        ground.compare(format!("{case}/{number}"), title, lanes, *number)
    };
    numbers(ground).iter().map(compare).collect()
}
