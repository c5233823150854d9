//! Authenticate with an extension due at every lookup, so that each call reads and writes. In real use one call in many
//! thousands does.

use crate::catalogue::name;
use crate::contestants::axum_session::AxumSession;
use crate::contestants::by_hand::{ByHandPostgres, ByHandSqlite};
use crate::contestants::cloakroom::{Cloakroom, always_due};
use crate::contestants::tower_sessions::TowerSessions;
use crate::contestants::{Extend, performing};
use crate::context::{Context, ROWS};
use crate::failure::Outcome;
use crate::format::callers;
use crate::measure::Contestant;
use crate::results::Table;

const CALLERS: &[usize] = &[1, 128];

pub fn postgres(context: &mut Context) -> Outcome<Vec<Table>> {
    let peers = context.postgres_peers()?;
    let tokens = &peers.tokens;
    let contestants = [
        performing::<Extend, _>(name::CLOAKROOM, Cloakroom::new(peers.cloakroom, always_due()?, tokens)?),
        performing::<Extend, _>(name::BY_HAND, ByHandPostgres::new(&peers.by_hand, tokens)),
        performing::<Extend, _>(name::TOWER_SESSIONS, TowerSessions::new(peers.tower_sessions, ROWS)),
        performing::<Extend, _>(name::AXUM_SESSION, AxumSession::new(peers.axum_session, ROWS)),
    ];
    compare(context, "extend-postgres", "PostgreSQL", &contestants)
}

pub fn sqlite(context: &mut Context) -> Outcome<Vec<Table>> {
    let peers = context.sqlite_peers()?;
    let tokens = &peers.tokens;
    let contestants = [
        performing::<Extend, _>(name::CLOAKROOM, Cloakroom::new(peers.cloakroom, always_due()?, tokens)?),
        performing::<Extend, _>(name::BY_HAND, ByHandSqlite::new(&peers.by_hand, tokens)),
        performing::<Extend, _>(name::TOWER_SESSIONS, TowerSessions::new(peers.tower_sessions, ROWS)),
        performing::<Extend, _>(name::AXUM_SESSION, AxumSession::new(peers.axum_session, ROWS)),
    ];
    compare(context, "extend-sqlite", "SQLite", &contestants)
}

fn compare(context: &Context, case: &str, database: &str, contestants: &[Contestant]) -> Outcome<Vec<Table>> {
    let compare = |number: &usize| {
        let title = format!("authenticate with an extension due, {database}, {}", callers(*number));
        context.compare(format!("{case}/{number}"), title, contestants, *number)
    };
    CALLERS.iter().map(compare).collect()
}
