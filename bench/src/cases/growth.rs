//! The same query on tables of ten thousand, a million and ten million rows, by one caller: how much longer does it
//! take? The contestants are the tables.

use cloakroom::Config;

use crate::Outcome;
use crate::contestants::cloakroom::Cloakroom;
use crate::contestants::{Authenticate, List, by_hand, lane};
use crate::ground::Ground;
use crate::load::sqlite::{File, Synchronous};
use crate::load::{self, LIFETIME};
use crate::payload::Tokens;
use crate::results::Table;

const SIZES: [(u64, &str); 3] = [(10_000, TEN_THOUSAND), (1_000_000, ONE_MILLION), (10_000_000, TEN_MILLION)];

pub const TEN_THOUSAND: &str = "10 thousand rows";
pub const ONE_MILLION: &str = "1 million rows";
pub const TEN_MILLION: &str = "10 million rows";

fn sizes(ground: &Ground) -> &'static [(u64, &'static str)] {
    if ground.plan.quick { &SIZES[..2] } else { &SIZES }
}

pub fn postgres(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let mut tables = Vec::new();
    for (rows, name) in sizes(ground) {
        let url = ground.postgres(&format!("growth_{rows}"))?;
        ground.progress.step(&format!("loading {name}"));
        let contestant = ground.runtime.block_on(async {
            let pool = by_hand::postgres_pool(&url).await?;
            load::postgres::unlogged(&pool, *rows).await?;
            Cloakroom::new(pool, Config::default(), &Tokens::of(*rows))
        })?;
        tables.push((*name, contestant));
    }
    compare(ground, "growth-postgres", "PostgreSQL", &tables)
}

pub fn sqlite(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let mut tables = Vec::new();
    for (rows, name) in sizes(ground) {
        let file = File::new(ground.file(&format!("growth_{rows}.db"))?, Synchronous::Normal)?;
        ground.progress.step(&format!("loading {name}"));
        let contestant = ground.runtime.block_on(async {
            let pool = by_hand::sqlite_pool(file.options()).await?;
            load::sqlite::cloakroom(&pool, &file.path, *rows, LIFETIME).await?;
            Cloakroom::new(pool, Config::default(), &Tokens::of(*rows))
        })?;
        tables.push((*name, contestant));
    }
    compare(ground, "growth-sqlite", "SQLite", &tables)
}

fn compare(
    ground: &Ground,
    case: &str,
    database: &str,
    tables: &[(&'static str, Cloakroom)],
) -> Outcome<Vec<Table>> {
    let tables = tables.iter().cloned();
    let (authenticate, list): (Vec<_>, Vec<_>) = tables
        .map(|(name, table)| (lane::<Authenticate, _>(name, table.clone()), lane::<List, _>(name, table)))
        .unzip();
    Ok(vec![
        ground.compare_medians(
            format!("{case}/authenticate"),
            format!("authenticate in a growing table, {database}, 1 caller"),
            &authenticate,
        )?,
        ground.compare_medians(
            format!("{case}/list"),
            format!("list the ten sessions of a user in a growing table, {database}, 1 caller"),
            &list,
        )?,
    ])
}
