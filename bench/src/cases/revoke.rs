//! Sign out everywhere: end the ten sessions of one user, and wait for the commit. A user can be signed out only once,
//! so a fixed number of calls is timed, and not the calls that fit into a span.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use cloakroom::Config;

use crate::Outcome;
use crate::contestants::by_hand::{self, ByHandPostgres, ByHandSqlite};
use crate::contestants::cloakroom::Cloakroom;
use crate::contestants::{Revoke, lane, name};
use crate::ground::Ground;
use crate::load::sqlite::{File, Synchronous};
use crate::load::{self, LIFETIME};
use crate::measure::Lane;
use crate::payload::{SESSIONS_PER_USER, Tokens};
use crate::results::Table;

/// How many users each contestant signs out in a round.
fn users(ground: &Ground) -> u64 {
    if ground.plan.quick { 100 } else { 1000 }
}

/// Enough for two contestants, which also warm up.
fn rows(ground: &Ground) -> u64 {
    users(ground) * (ground.plan.rounds as u64 + 1) * 2 * SESSIONS_PER_USER
}

pub fn postgres(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let url = ground.postgres("revocation")?;
    let rows = rows(ground);
    ground.progress.step("loading the sessions to revoke");
    let (own, by_hand) = ground.runtime.block_on(async {
        let own = by_hand::postgres_pool(&url).await?;
        load::postgres::cloakroom(&own, rows, LIFETIME).await?;
        Outcome::Ok((own, by_hand::postgres_pool(&url).await?))
    })?;
    let (tokens, next) = (Tokens::of(rows), Arc::new(AtomicU64::new(0)));
    let own = Cloakroom::new(own, Config::default(), &tokens)?.revoking(&next);
    let by_hand = ByHandPostgres::new(&by_hand, &tokens).revoking(&next);
    let lanes = [lane::<Revoke, _>(name::CLOAKROOM, own), lane::<Revoke, _>(name::BY_HAND, by_hand)];
    compare(ground, "revoke-postgres", "PostgreSQL", &lanes)
}

pub fn sqlite(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let file = File::new(ground.file("revocation.db")?, Synchronous::Normal)?;
    let rows = rows(ground);
    ground.progress.step("loading the sessions to revoke");
    let (own, by_hand) = ground.runtime.block_on(async {
        let own = by_hand::sqlite_pool(file.options()).await?;
        load::sqlite::cloakroom(&own, &file.path, rows, LIFETIME).await?;
        Outcome::Ok((own, by_hand::sqlite_pool(file.options()).await?))
    })?;
    let (tokens, next) = (Tokens::of(rows), Arc::new(AtomicU64::new(0)));
    let own = Cloakroom::new(own, Config::default(), &tokens)?.revoking(&next);
    let by_hand = ByHandSqlite::new(&by_hand, &tokens).revoking(&next);
    let lanes = [lane::<Revoke, _>(name::CLOAKROOM, own), lane::<Revoke, _>(name::BY_HAND, by_hand)];
    compare(ground, "revoke-sqlite", "SQLite", &lanes)
}

fn compare(ground: &Ground, case: &str, database: &str, lanes: &[Lane]) -> Outcome<Vec<Table>> {
    let title = format!("revoke the ten sessions of a user, {database}, 1 caller");
    Ok(vec![ground.compare_calls(format!("{case}/1"), title, lanes, users(ground))?])
}
