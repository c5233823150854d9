//! Delete expired rows by the hundred thousand while lookups go on. How long do the slowest of them take?

use cloakroom::Config;

use crate::Outcome;
use crate::contestants::cloakroom::Cloakroom;
use crate::contestants::{Authenticate, by_hand, lane, name};
use crate::ground::{Ground, ROWS};
use crate::load::sqlite::{File, Synchronous};
use crate::load::{self, EXPIRED, LIFETIME};
use crate::measure::Load;
use crate::payload::Tokens;
use crate::report::grouped;
use crate::results::{Latency, Measure, Row, Table};

pub const ALONE: &str = "lookups alone";
pub const DURING: &str = "lookups while pruning";

/// Callers that look up without pause all the while.
const CALLERS: usize = 16;

fn expired(ground: &Ground) -> u64 {
    if ground.plan.quick { 50_000 } else { 1_000_000 }
}

pub fn postgres(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let url = ground.postgres("pruning")?;
    let expired = expired(ground);
    ground.progress.step(&format!("loading {} expired rows", grouped(expired as f64)));
    let own = ground.runtime.block_on(async {
        let pool = by_hand::postgres_pool(&url).await?;
        load::postgres::cloakroom(&pool, ROWS, LIFETIME).await?;
        load::postgres::append(&pool, ROWS..ROWS + expired, EXPIRED).await?;
        load::postgres::settle(&pool, "sessions").await?;
        Cloakroom::new(pool, Config::default(), &Tokens::of(ROWS))
    })?;
    measure(ground, "prune-postgres", "PostgreSQL", &own, expired)
}

pub fn sqlite(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let file = File::new(ground.file("pruning.db")?, Synchronous::Normal)?;
    let expired = expired(ground);
    ground.progress.step(&format!("loading {} expired rows", grouped(expired as f64)));
    let own = ground.runtime.block_on(async {
        let pool = by_hand::sqlite_pool(file.options()).await?;
        load::sqlite::cloakroom(&pool, &file.path, ROWS, LIFETIME).await?;
        load::sqlite::expired(&file.path, ROWS..ROWS + expired)?;
        Cloakroom::new(pool, Config::default(), &Tokens::of(ROWS))
    })?;
    measure(ground, "prune-sqlite", "SQLite", &own, expired)
}

fn measure(
    ground: &Ground,
    case: &str,
    database: &str,
    own: &Cloakroom,
    expired: u64,
) -> Outcome<Vec<Table>> {
    let lookups = lane::<Authenticate, _>(name::CLOAKROOM, own.clone());
    let load = |round| Load {
        callers: CALLERS,
        warm_up: ground.plan.warm_up,
        span: ground.plan.span * 2,
        round,
        latencies: true,
    };
    ground.progress.step("lookups alone");
    let mut alone = lookups.sample(&ground.runtime, &load(0))?;
    ground.progress.step("pruning");
    let mut pruned = Ok(0);
    let mut during = lookups.sample_during(&ground.runtime, &load(1), &mut || {
        pruned = ground.runtime.block_on(own.sessions.delete_expired());
    })?;
    let pruned = pruned?;
    ground.progress.step("lookups alone again");
    alone.latencies.extend(lookups.sample(&ground.runtime, &load(2))?.latencies);
    if pruned != expired {
        return Err(format!("{pruned} rows were pruned, not {expired}").into());
    }
    let row = |name: &str, latencies: &mut [u32]| {
        let latency = Latency::of(latencies).ok_or("no lookup came back")?;
        Outcome::Ok(Row { contestant: name.to_owned(), values: vec![latency.p99], latency: Some(latency) })
    };
    let note = format!(
        "{} expired rows were pruned in {:.1} s: {} a second.",
        grouped(pruned as f64),
        during.elapsed.as_secs_f64(),
        grouped(pruned as f64 / during.elapsed.as_secs_f64())
    );
    Ok(vec![Table {
        name: format!("{case}/{CALLERS}"),
        title: format!(
            "p99 of lookups while pruning {} rows, {database}, {CALLERS} callers",
            grouped(expired as f64)
        ),
        measure: Measure::Microseconds,
        rows: vec![row(ALONE, &mut alone.latencies)?, row(DURING, &mut during.latencies)?],
        notes: vec![note],
    }])
}
