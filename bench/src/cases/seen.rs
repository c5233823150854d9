//! What it costs to record when sessions were last used: the same lookups with `record_seen` and without, of a thousand
//! sessions, each of which is written once a second then.

use std::time::Duration;

use cloakroom::time::OffsetDateTime;
use cloakroom::{Cache, Config, ConfigBuilder, Database, NewSession, SessionTable, Sessions, Token};

use super::cached::MAX_STALENESS;
use crate::catalogue::name::{RECORDED, UNRECORDED};
use crate::contestants::{Authenticate, Performs, found, performing};
use crate::context::Context;
use crate::database::pools;
use crate::dataset::{Tokens, token};
use crate::failure::Outcome;
use crate::format::callers;
use crate::measure::Contestant;
use crate::results::Table;

/// How many sessions are used, over and over.
const SESSIONS: u64 = 1_000;

/// How often each of them is written.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Clone, SessionTable)]
#[session(table = "visits")]
struct Visit {
    #[session(index)]
    user_id: String,
    #[session(last_seen)]
    last_seen: Option<OffsetDateTime>,
    #[session(last_address)]
    last_address: Option<String>,
}

#[derive(Clone)]
struct Visits {
    sessions: Sessions<Visit>,
    tokens: Tokens,
}

impl Performs<Authenticate> for Visits {
    async fn perform(&self, random: u64) -> Outcome {
        found(self.sessions.authenticate(&*self.tokens.pick(random)).await?)
    }
}

pub fn run(context: &mut Context) -> Outcome<Vec<Table>> {
    let url = context.postgres("seen")?;
    let database =
        context.runtime.block_on(async { Outcome::Ok(Database::from(pools::postgres(&url).await?)) })?;
    fill(context, &database)?;
    let mut tables = vec![strict(context, "postgres", "PostgreSQL", &database)?];
    tables.extend(in_memory(context, &database)?);
    let peers = context.sqlite_peers()?;
    let database = Database::from(peers.cloakroom);
    fill(context, &database)?;
    tables.push(strict(context, "sqlite", "SQLite", &database)?);
    Ok(tables)
}

/// Creates the table and its sessions.
fn fill(context: &Context, database: &Database) -> Outcome {
    context.runtime.block_on(async {
        let sessions = Sessions::<Visit>::new(database.clone(), Config::default())?;
        sessions.migrate().await?;
        for row in 0..SESSIONS {
            let new = Visit { user_id: row.to_string(), last_seen: None, last_address: None };
            let new = NewSession::new(new).import_token(Token::import(token(row))?);
            sessions.create(new).await?;
        }
        Ok(())
    })
}

fn strict(context: &Context, name: &str, on: &str, database: &Database) -> Outcome<Table> {
    let (unrecorded, recorded) = visits(database, |config| config)?;
    let sessions = recorded.sessions.clone();
    let contestants = contestants(unrecorded, recorded);
    let title = format!("authenticate with last uses recorded and without, {on}, strict, {}", callers(128));
    let settle = || {
        context.runtime.block_on(sessions.flush_seen())?;
        Ok(())
    };
    context.compare_periodic(format!("seen-{name}/128"), title, &contestants, 128, EVERY, settle)
}

fn in_memory(context: &Context, database: &Database) -> Outcome<Vec<Table>> {
    let cache = Cache::new(4 * SESSIONS as usize).max_staleness(MAX_STALENESS).listen(false);
    let (unrecorded, recorded) = visits(database, |config| config.cache(cache))?;
    let contestants = contestants(unrecorded, recorded);
    let compare = |number: usize| {
        let title = format!("authenticate with last uses recorded and without, cached, {}", callers(number));
        context.compare_untimed(format!("seen-cached/{number}"), title, &contestants, number)
    };
    [1, 128].into_iter().map(compare).collect()
}

/// Returns the handles without and with recording.
fn visits(database: &Database, with: impl Fn(ConfigBuilder) -> ConfigBuilder) -> Outcome<(Visits, Visits)> {
    let visits = |config: ConfigBuilder| {
        let sessions = Sessions::new(database.clone(), with(config).build()?)?;
        Outcome::Ok(Visits { sessions, tokens: Tokens::of(SESSIONS) })
    };
    Ok((visits(Config::builder())?, visits(Config::builder().record_seen(EVERY))?))
}

fn contestants(unrecorded: Visits, recorded: Visits) -> Vec<Contestant> {
    vec![
        performing::<Authenticate, _>(UNRECORDED, unrecorded),
        performing::<Authenticate, _>(RECORDED, recorded),
    ]
}
