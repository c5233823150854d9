//! Create a session, in tables that are empty at first. Every call waits for its commit.

use cloakroom::Config;

use crate::catalogue::name;
use crate::contestants::axum_session::AxumSession;
use crate::contestants::by_hand::{ByHandPostgres, ByHandSqlite};
use crate::contestants::cloakroom::{Cloakroom, one_by_one};
use crate::contestants::rusqlite::RusqliteWriter;
use crate::contestants::tower_sessions::TowerSessions;
use crate::contestants::{Create, performing};
use crate::context::Context;
use crate::database::sqlite_file::Synchronous;
use crate::failure::Outcome;
use crate::format::callers;
use crate::load::{postgres, sqlite};
use crate::measure::Contestant;
use crate::results::Table;

pub fn postgres(context: &mut Context) -> Outcome<Vec<Table>> {
    callers_of(context).iter().map(|number| postgres_with(context, *number)).collect()
}

pub fn sqlite(context: &mut Context) -> Outcome<Vec<Table>> {
    let mut tables = Vec::new();
    for synchronous in [Synchronous::Normal, Synchronous::Full] {
        for number in callers_of(context) {
            tables.push(sqlite_with(context, synchronous, *number)?);
        }
    }
    Ok(tables)
}

fn callers_of(context: &Context) -> &'static [usize] {
    if context.plan.quick { &[1, 128] } else { &[1, 16, 128] }
}

// Separate tables for each number of callers: a contestant that was faster with few callers would otherwise have a
// larger table with many.

fn postgres_with(context: &mut Context, number: usize) -> Outcome<Table> {
    let url = context.postgres(&format!("creation_{number}"))?;
    let peers = context.runtime.block_on(postgres::Peers::load(url, 0))?;
    let tokens = &peers.tokens;
    let contestants = [
        performing::<Create, _>(
            name::CLOAKROOM,
            Cloakroom::new(peers.cloakroom.clone(), Config::default(), tokens)?,
        ),
        performing::<Create, _>(name::ONE_BY_ONE, Cloakroom::new(peers.cloakroom, one_by_one()?, tokens)?),
        performing::<Create, _>(name::BY_HAND, ByHandPostgres::new(&peers.by_hand, tokens)),
        performing::<Create, _>(name::TOWER_SESSIONS, TowerSessions::new(peers.tower_sessions, 0)),
        performing::<Create, _>(name::AXUM_SESSION, AxumSession::new(peers.axum_session, 0)),
    ];
    compare(context, "create-postgres", "PostgreSQL", &contestants, number)
}

fn sqlite_with(context: &mut Context, synchronous: Synchronous, number: usize) -> Outcome<Table> {
    let (case, database) = match synchronous {
        Synchronous::Normal => ("create-sqlite-normal", "SQLite, synchronous = NORMAL"),
        Synchronous::Full => ("create-sqlite-full", "SQLite, synchronous = FULL"),
    };
    let directory = context.file(&format!("{case}-{number}"))?;
    let peers = context.runtime.block_on(sqlite::Peers::load(&directory, synchronous, 0))?;
    let tokens = &peers.tokens;
    let contestants = [
        performing::<Create, _>(
            name::CLOAKROOM,
            Cloakroom::new(peers.cloakroom.clone(), Config::default(), tokens)?,
        ),
        performing::<Create, _>(name::ONE_BY_ONE, Cloakroom::new(peers.cloakroom, one_by_one()?, tokens)?),
        performing::<Create, _>(name::BY_HAND, ByHandSqlite::new(&peers.by_hand, tokens)),
        performing::<Create, _>(name::TOWER_SESSIONS, TowerSessions::new(peers.tower_sessions, 0)),
        performing::<Create, _>(name::TOWER_ONE, TowerSessions::new(peers.tower_sessions_alone, 0)),
        performing::<Create, _>(name::AXUM_SESSION, AxumSession::new(peers.axum_session, 0)),
        performing::<Create, _>(name::RUSQLITE_WRITER, RusqliteWriter::new(&peers.file)?),
    ];
    compare(context, case, database, &contestants, number)
}

fn compare(
    context: &Context,
    case: &str,
    database: &str,
    contestants: &[Contestant],
    number: usize,
) -> Outcome<Table> {
    let title = format!("create, {database}, {}", callers(number));
    context.compare(format!("{case}/{number}"), title, contestants, number)
}
