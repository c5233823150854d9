//! Sign out everywhere: end the ten sessions of one user, and wait for the commit. A user can be signed out only once,
//! so a fixed number of calls is timed, and not the calls that fit into a span.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use cloakroom::Config;

use crate::catalogue::name;
use crate::contestants::by_hand::{ByHandPostgres, ByHandSqlite};
use crate::contestants::cloakroom::Cloakroom;
use crate::contestants::{Revoke, performing};
use crate::context::Context;
use crate::database::pools;
use crate::database::sqlite_file::{File, Synchronous};
use crate::dataset::{SESSIONS_PER_USER, Tokens};
use crate::failure::Outcome;
use crate::load::{self, LIFETIME};
use crate::measure::Contestant;
use crate::results::Table;

/// How many users each contestant signs out in a round.
fn users(context: &Context) -> u64 {
    if context.plan.quick { 100 } else { 1000 }
}

/// Enough for two contestants, which also warm up.
fn rows(context: &Context) -> u64 {
    users(context) * (context.plan.rounds as u64 + 1) * 2 * SESSIONS_PER_USER
}

pub fn postgres(context: &mut Context) -> Outcome<Vec<Table>> {
    let url = context.postgres("revocation")?;
    let rows = rows(context);
    context.progress.step("loading the sessions to revoke");
    let (own, by_hand) = context.runtime.block_on(async {
        let own = pools::postgres(&url).await?;
        load::postgres::cloakroom(&own, rows, LIFETIME).await?;
        Outcome::Ok((own, pools::postgres(&url).await?))
    })?;
    let (tokens, next) = (Tokens::of(rows), Arc::new(AtomicU64::new(0)));
    let own = Cloakroom::new(own, Config::default(), &tokens)?.revoking(&next);
    let by_hand = ByHandPostgres::new(&by_hand, &tokens).revoking(&next);
    let contestants =
        [performing::<Revoke, _>(name::CLOAKROOM, own), performing::<Revoke, _>(name::BY_HAND, by_hand)];
    compare(context, "revoke-postgres", "PostgreSQL", &contestants)
}

pub fn sqlite(context: &mut Context) -> Outcome<Vec<Table>> {
    let file = File::new(context.file("revocation.db")?, Synchronous::Normal)?;
    let rows = rows(context);
    context.progress.step("loading the sessions to revoke");
    let (own, by_hand) = context.runtime.block_on(async {
        let own = pools::sqlite(file.options()).await?;
        load::sqlite::cloakroom(&own, &file.path, rows, LIFETIME).await?;
        Outcome::Ok((own, pools::sqlite(file.options()).await?))
    })?;
    let (tokens, next) = (Tokens::of(rows), Arc::new(AtomicU64::new(0)));
    let own = Cloakroom::new(own, Config::default(), &tokens)?.revoking(&next);
    let by_hand = ByHandSqlite::new(&by_hand, &tokens).revoking(&next);
    let contestants =
        [performing::<Revoke, _>(name::CLOAKROOM, own), performing::<Revoke, _>(name::BY_HAND, by_hand)];
    compare(context, "revoke-sqlite", "SQLite", &contestants)
}

fn compare(context: &Context, case: &str, database: &str, contestants: &[Contestant]) -> Outcome<Vec<Table>> {
    let title = format!("revoke the ten sessions of a user, {database}, 1 caller");
    Ok(vec![context.compare_calls(format!("{case}/1"), title, contestants, users(context))?])
}
