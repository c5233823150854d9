//! List the ten valid sessions of one user, newest first. tower-sessions and `axum_session` have no column to find a
//! user by: they would have to read the whole table.

use cloakroom::Config;

use crate::catalogue::name;
use crate::contestants::by_hand::{ByHandPostgres, ByHandSqlite};
use crate::contestants::cloakroom::Cloakroom;
use crate::contestants::{List, performing};
use crate::context::Context;
use crate::failure::Outcome;
use crate::format::callers;
use crate::measure::Contestant;
use crate::results::Table;

const CALLERS: &[usize] = &[1, 16];

pub fn postgres(context: &mut Context) -> Outcome<Vec<Table>> {
    let peers = context.postgres_peers()?;
    let contestants = [
        performing::<List, _>(
            name::CLOAKROOM,
            Cloakroom::new(peers.cloakroom, Config::default(), &peers.tokens)?,
        ),
        performing::<List, _>(name::BY_HAND, ByHandPostgres::new(&peers.by_hand, &peers.tokens)),
    ];
    compare(context, "list-postgres", "PostgreSQL", &contestants)
}

pub fn sqlite(context: &mut Context) -> Outcome<Vec<Table>> {
    let peers = context.sqlite_peers()?;
    let contestants = [
        performing::<List, _>(
            name::CLOAKROOM,
            Cloakroom::new(peers.cloakroom, Config::default(), &peers.tokens)?,
        ),
        performing::<List, _>(name::BY_HAND, ByHandSqlite::new(&peers.by_hand, &peers.tokens)),
    ];
    compare(context, "list-sqlite", "SQLite", &contestants)
}

fn compare(context: &Context, case: &str, database: &str, contestants: &[Contestant]) -> Outcome<Vec<Table>> {
    let compare = |number: &usize| {
        let title = format!("list the ten sessions of a user, {database}, {}", callers(*number));
        context.compare(format!("{case}/{number}"), title, contestants, *number)
    };
    CALLERS.iter().map(compare).collect()
}
