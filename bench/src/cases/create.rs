//! A new session, into tables that are empty at first. Every call waits for its commit.

use cloakroom::Config;

use crate::Outcome;
use crate::contestants::axum_session::AxumSession;
use crate::contestants::by_hand::{ByHandPostgres, ByHandSqlite};
use crate::contestants::cloakroom::{Cloakroom, one_by_one};
use crate::contestants::tower_sessions::TowerSessions;
use crate::contestants::{Create, lane, name};
use crate::ground::Ground;
use crate::load::sqlite::Synchronous;
use crate::load::{postgres, sqlite};
use crate::measure::Lane;
use crate::report::callers;
use crate::results::Table;

const CALLERS: &[usize] = &[1, 16, 128];

pub fn postgres(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let url = ground.postgres("creation")?;
    let peers = ground.runtime.block_on(postgres::Peers::load(url, 0))?;
    let tokens = &peers.tokens;
    let lanes = [
        lane::<Create, _>(
            name::CLOAKROOM,
            Cloakroom::new(peers.cloakroom.clone(), Config::default(), tokens)?,
        ),
        lane::<Create, _>(name::ONE_BY_ONE, Cloakroom::new(peers.cloakroom, one_by_one()?, tokens)?),
        lane::<Create, _>(name::BY_HAND, ByHandPostgres::new(&peers.by_hand, tokens)),
        lane::<Create, _>(name::TOWER_SESSIONS, TowerSessions::new(peers.tower_sessions, 0)),
        lane::<Create, _>(name::AXUM_SESSION, AxumSession::new(peers.axum_session, 0)),
    ];
    compare(ground, "create-postgres", "PostgreSQL", &lanes, &[1, 128])
}

pub fn sqlite(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let mut tables =
        sqlite_with(ground, Synchronous::Normal, "create-sqlite-normal", "SQLite, synchronous = NORMAL")?;
    tables.extend(sqlite_with(
        ground,
        Synchronous::Full,
        "create-sqlite-full",
        "SQLite, synchronous = FULL",
    )?);
    Ok(tables)
}

fn sqlite_with(
    ground: &mut Ground,
    synchronous: Synchronous,
    case: &str,
    database: &str,
) -> Outcome<Vec<Table>> {
    let directory = ground.file(case)?;
    let peers = ground.runtime.block_on(sqlite::Peers::load(&directory, synchronous, 0))?;
    let tokens = &peers.tokens;
    let lanes = [
        lane::<Create, _>(
            name::CLOAKROOM,
            Cloakroom::new(peers.cloakroom.clone(), Config::default(), tokens)?,
        ),
        lane::<Create, _>(name::ONE_BY_ONE, Cloakroom::new(peers.cloakroom, one_by_one()?, tokens)?),
        lane::<Create, _>(name::BY_HAND, ByHandSqlite::new(&peers.by_hand, tokens)),
        lane::<Create, _>(name::TOWER_SESSIONS, TowerSessions::new(peers.tower_sessions, 0)),
        lane::<Create, _>(name::AXUM_SESSION, AxumSession::new(peers.axum_session, 0)),
    ];
    compare(ground, case, database, &lanes, &[128])
}

fn compare(
    ground: &Ground,
    case: &str,
    database: &str,
    lanes: &[Lane],
    quick: &[usize],
) -> Outcome<Vec<Table>> {
    let compare = |number: &usize| {
        let title = format!("create, {database}, {}", callers(*number));
        ground.compare(format!("{case}/{number}"), title, lanes, *number)
    };
    let numbers = if ground.plan.quick { quick } else { CALLERS };
    numbers.iter().map(compare).collect()
}
