//! The same query on tables of ten thousand, a million and ten million rows, by one caller: how much longer does it
//! take? The contestants are the tables.

use cloakroom::Config;

use crate::catalogue::row::growth::{ONE_MILLION, TEN_MILLION, TEN_THOUSAND};
use crate::contestants::cloakroom::Cloakroom;
use crate::contestants::{Authenticate, List, performing};
use crate::context::Context;
use crate::database::pools;
use crate::database::sqlite_file::{File, Synchronous};
use crate::dataset::Tokens;
use crate::failure::Outcome;
use crate::load::{self, LIFETIME};
use crate::results::Table;

const SIZES: [(u64, &str); 3] = [(10_000, TEN_THOUSAND), (1_000_000, ONE_MILLION), (10_000_000, TEN_MILLION)];

fn sizes(context: &Context) -> &'static [(u64, &'static str)] {
    if context.plan.quick { &SIZES[..2] } else { &SIZES }
}

pub fn postgres(context: &mut Context) -> Outcome<Vec<Table>> {
    let mut tables = Vec::new();
    for (rows, name) in sizes(context) {
        let url = context.postgres(&format!("growth_{rows}"))?;
        context.progress.step(&format!("loading {name}"));
        let contestant = context.runtime.block_on(async {
            let pool = pools::postgres(&url).await?;
            load::postgres::unlogged(&pool, *rows).await?;
            Cloakroom::new(pool, Config::default(), &Tokens::of(*rows))
        })?;
        tables.push((*name, contestant));
    }
    compare(context, "growth-postgres", "PostgreSQL", &tables)
}

pub fn sqlite(context: &mut Context) -> Outcome<Vec<Table>> {
    let mut tables = Vec::new();
    for (rows, name) in sizes(context) {
        let file = File::new(context.file(&format!("growth_{rows}.db"))?, Synchronous::Normal)?;
        context.progress.step(&format!("loading {name}"));
        let contestant = context.runtime.block_on(async {
            let pool = pools::sqlite(file.options()).await?;
            load::sqlite::cloakroom(&pool, &file.path, *rows, LIFETIME).await?;
            Cloakroom::new(pool, Config::default(), &Tokens::of(*rows))
        })?;
        tables.push((*name, contestant));
    }
    compare(context, "growth-sqlite", "SQLite", &tables)
}

fn compare(
    context: &Context,
    case: &str,
    database: &str,
    tables: &[(&'static str, Cloakroom)],
) -> Outcome<Vec<Table>> {
    let tables = tables.iter().cloned();
    let (authenticate, list): (Vec<_>, Vec<_>) = tables
        .map(|(name, table)| {
            (performing::<Authenticate, _>(name, table.clone()), performing::<List, _>(name, table))
        })
        .unzip();
    Ok(vec![
        context.compare_medians(
            format!("{case}/authenticate"),
            format!("authenticate in a growing table, {database}, 1 caller"),
            &authenticate,
        )?,
        context.compare_medians(
            format!("{case}/list"),
            format!("list the ten sessions of a user in a growing table, {database}, 1 caller"),
            &list,
        )?,
    ])
}
