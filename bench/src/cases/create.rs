//! Create a session, in tables that are empty at first. Every call waits for its commit.

use cloakroom::Config;

use crate::Outcome;
use crate::contestants::axum_session::AxumSession;
use crate::contestants::by_hand::{ByHandPostgres, ByHandSqlite};
use crate::contestants::cloakroom::{Cloakroom, one_by_one};
use crate::contestants::rusqlite::RusqliteWriter;
use crate::contestants::tower_sessions::TowerSessions;
use crate::contestants::{Create, lane, name};
use crate::ground::Ground;
use crate::load::sqlite::Synchronous;
use crate::load::{postgres, sqlite};
use crate::measure::Lane;
use crate::report::callers;
use crate::results::Table;

pub fn postgres(ground: &mut Ground) -> Outcome<Vec<Table>> {
    callers_of(ground).iter().map(|number| postgres_with(ground, *number)).collect()
}

pub fn sqlite(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let mut tables = Vec::new();
    for synchronous in [Synchronous::Normal, Synchronous::Full] {
        for number in callers_of(ground) {
            tables.push(sqlite_with(ground, synchronous, *number)?);
        }
    }
    Ok(tables)
}

fn callers_of(ground: &Ground) -> &'static [usize] {
    if ground.plan.quick { &[128] } else { &[1, 16, 128] }
}

// Separate tables for each number of callers: a contestant that was faster with few callers would otherwise have a
// larger table with many.

fn postgres_with(ground: &mut Ground, number: usize) -> Outcome<Table> {
    let url = ground.postgres(&format!("creation_{number}"))?;
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
    compare(ground, "create-postgres", "PostgreSQL", &lanes, number)
}

fn sqlite_with(ground: &mut Ground, synchronous: Synchronous, number: usize) -> Outcome<Table> {
    let (case, database) = match synchronous {
        Synchronous::Normal => ("create-sqlite-normal", "SQLite, synchronous = NORMAL"),
        Synchronous::Full => ("create-sqlite-full", "SQLite, synchronous = FULL"),
    };
    let directory = ground.file(&format!("{case}-{number}"))?;
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
        lane::<Create, _>(name::TOWER_ONE, TowerSessions::new(peers.tower_sessions_alone, 0)),
        lane::<Create, _>(name::AXUM_SESSION, AxumSession::new(peers.axum_session, 0)),
        lane::<Create, _>(name::RUSQLITE_WRITER, RusqliteWriter::new(&peers.file)?),
    ];
    compare(ground, case, database, &lanes, number)
}

fn compare(ground: &Ground, case: &str, database: &str, lanes: &[Lane], number: usize) -> Outcome<Table> {
    let title = format!("create, {database}, {}", callers(number));
    ground.compare(format!("{case}/{number}"), title, lanes, number)
}
