//! What it costs to look tokens up under three schemes in place of one: two keys beside the one under which the sessions
//! are stored, as while a key is replaced.

use cloakroom::{Cache, Config, ConfigBuilder, Database, Key, Scheme};

use super::cached;
use crate::catalogue::name::{ONE_SCHEME, THREE_SCHEMES};
use crate::contestants::cloakroom::Cloakroom;
use crate::contestants::{Authenticate, performing};
use crate::context::Context;
use crate::dataset::Tokens;
use crate::failure::Outcome;
use crate::format::callers;
use crate::measure::Contestant;
use crate::results::Table;

pub fn run(context: &mut Context) -> Outcome<Vec<Table>> {
    let peers = context.postgres_peers()?;
    let database = Database::from(peers.cloakroom);
    let mut tables = vec![strict(context, "postgres", "PostgreSQL", &database, &peers.tokens)?];
    tables.extend(in_memory(context, &database, &peers.tokens)?);
    let peers = context.sqlite_peers()?;
    tables.push(strict(context, "sqlite", "SQLite", &peers.cloakroom.into(), &peers.tokens)?);
    Ok(tables)
}

fn strict(context: &Context, name: &str, on: &str, database: &Database, tokens: &Tokens) -> Outcome<Table> {
    let contestants = contestants(|config| {
        let cloakroom = Cloakroom::new(database.clone(), config.build()?, tokens)?;
        Ok(cloakroom)
    })?;
    let title = format!("authenticate under one scheme and under three, {on}, strict, {}", callers(128));
    context.compare(format!("schemes-{name}/128"), title, &contestants, 128)
}

fn in_memory(context: &Context, database: &Database, tokens: &Tokens) -> Outcome<Vec<Table>> {
    let cache = Cache::new(cached::CAPACITY).max_staleness(cached::MAX_STALENESS);
    let contestants = contestants(|config| {
        context.runtime.block_on(async {
            let cloakroom = Cloakroom::new(database.clone(), config.cache(cache).build()?, tokens)?;
            cached::fill(&cloakroom).await?;
            Ok(cloakroom)
        })
    })?;
    let compare = |number: usize| {
        let title = format!("authenticate under one scheme and under three, cached, {}", callers(number));
        context.compare_untimed(format!("schemes-cached/{number}"), title, &contestants, number)
    };
    [1, 128].into_iter().map(compare).collect()
}

fn contestants(make: impl Fn(ConfigBuilder) -> Outcome<Cloakroom>) -> Outcome<Vec<Contestant>> {
    let (one, other) = (Key::generate()?, Key::generate()?);
    let three = [Scheme::sha256(), Scheme::hmac_sha256("one", &one), Scheme::hmac_sha256("other", &other)];
    let one = make(Config::builder().digests([Scheme::sha256()]))?;
    let three = make(Config::builder().digests(three))?;
    Ok(vec![
        performing::<Authenticate, _>(ONE_SCHEME, one),
        performing::<Authenticate, _>(THREE_SCHEMES, three),
    ])
}
