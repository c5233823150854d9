//! Authenticate with an extension due at every lookup, so that each call reads and writes. In real use one call in many
//! thousands does.

use crate::Outcome;
use crate::contestants::axum_session::AxumSession;
use crate::contestants::by_hand::{ByHandPostgres, ByHandSqlite};
use crate::contestants::cloakroom::{Cloakroom, always_due};
use crate::contestants::tower_sessions::TowerSessions;
use crate::contestants::{Extend, lane, name};
use crate::ground::{Ground, ROWS};
use crate::measure::Lane;
use crate::report::callers;
use crate::results::Table;

fn numbers(ground: &Ground) -> &'static [usize] {
    if ground.plan.quick { &[128] } else { &[1, 128] }
}

pub fn postgres(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let peers = ground.postgres_peers()?;
    let tokens = &peers.tokens;
    let lanes = [
        lane::<Extend, _>(name::CLOAKROOM, Cloakroom::new(peers.cloakroom, always_due()?, tokens)?),
        lane::<Extend, _>(name::BY_HAND, ByHandPostgres::new(&peers.by_hand, tokens)),
        lane::<Extend, _>(name::TOWER_SESSIONS, TowerSessions::new(peers.tower_sessions, ROWS)),
        lane::<Extend, _>(name::AXUM_SESSION, AxumSession::new(peers.axum_session, ROWS)),
    ];
    compare(ground, "extend-postgres", "PostgreSQL", &lanes)
}

pub fn sqlite(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let peers = ground.sqlite_peers()?;
    let tokens = &peers.tokens;
    let lanes = [
        lane::<Extend, _>(name::CLOAKROOM, Cloakroom::new(peers.cloakroom, always_due()?, tokens)?),
        lane::<Extend, _>(name::BY_HAND, ByHandSqlite::new(&peers.by_hand, tokens)),
        lane::<Extend, _>(name::TOWER_SESSIONS, TowerSessions::new(peers.tower_sessions, ROWS)),
        lane::<Extend, _>(name::AXUM_SESSION, AxumSession::new(peers.axum_session, ROWS)),
    ];
    compare(ground, "extend-sqlite", "SQLite", &lanes)
}

fn compare(ground: &Ground, case: &str, database: &str, lanes: &[Lane]) -> Outcome<Vec<Table>> {
    let compare = |number: &usize| {
        let title = format!("authenticate with an extension due, {database}, {}", callers(*number));
        ground.compare(format!("{case}/{number}"), title, lanes, *number)
    };
    numbers(ground).iter().map(compare).collect()
}
