//! Find the session of a token. With 1, 16, 128 and 1,024 callers, all strict: every answer is from the database.

use cloakroom::Config;

use crate::catalogue::name;
use crate::contestants::axum_session::AxumSession;
use crate::contestants::by_hand::{ByHandMariaDb, ByHandPostgres, ByHandSqlite};
use crate::contestants::cloakroom::{Cloakroom, one_by_one};
use crate::contestants::rusqlite::Rusqlite;
use crate::contestants::tokio_postgres::Pipelined;
use crate::contestants::tower_sessions::TowerSessions;
use crate::contestants::{Authenticate, performing};
use crate::context::{Context, ROWS};
use crate::database::{pools, pools_of_peers};
use crate::dataset::Tokens;
use crate::failure::Outcome;
use crate::format::callers;
use crate::load;
use crate::measure::Contestant;
use crate::results::Table;

/// How many bytes of the file are mapped into memory where that is said: all of them.
const MAPPED: u32 = 1 << 30;

const CALLERS: &[usize] = &[1, 16, 128, 1024];

pub fn postgres(context: &mut Context) -> Outcome<Vec<Table>> {
    let peers = context.postgres_peers()?;
    let tokens = &peers.tokens;
    let pipelined = context.runtime.block_on(Pipelined::new(&peers.url, tokens))?;
    let contestants = [
        performing::<Authenticate, _>(
            name::CLOAKROOM,
            Cloakroom::new(peers.cloakroom.clone(), Config::default(), tokens)?,
        ),
        performing::<Authenticate, _>(
            name::ONE_BY_ONE,
            Cloakroom::new(peers.cloakroom, one_by_one()?, tokens)?,
        ),
        performing::<Authenticate, _>(name::BY_HAND, ByHandPostgres::new(&peers.by_hand, tokens)),
        performing::<Authenticate, _>(name::TOWER_SESSIONS, TowerSessions::new(peers.tower_sessions, ROWS)),
        performing::<Authenticate, _>(name::AXUM_SESSION, AxumSession::new(peers.axum_session, ROWS)),
        performing::<Authenticate, _>(name::TOKIO_POSTGRES, pipelined),
    ];
    compare(context, "authenticate-postgres", "PostgreSQL", &contestants)
}

pub fn sqlite(context: &mut Context) -> Outcome<Vec<Table>> {
    let peers = context.sqlite_peers()?;
    let tokens = &peers.tokens;
    let mapped = peers.file.options().pragma("mmap_size", MAPPED.to_string());
    let mapped = context.runtime.block_on(pools::sqlite(mapped))?;
    let contestants = [
        performing::<Authenticate, _>(
            name::CLOAKROOM,
            Cloakroom::new(peers.cloakroom.clone(), Config::default(), tokens)?,
        ),
        performing::<Authenticate, _>(
            name::CLOAKROOM_MAPPED,
            Cloakroom::new(mapped, Config::default(), tokens)?,
        ),
        performing::<Authenticate, _>(
            name::ONE_BY_ONE,
            Cloakroom::new(peers.cloakroom, one_by_one()?, tokens)?,
        ),
        performing::<Authenticate, _>(name::BY_HAND, ByHandSqlite::new(&peers.by_hand, tokens)),
        performing::<Authenticate, _>(name::TOWER_SESSIONS, TowerSessions::new(peers.tower_sessions, ROWS)),
        performing::<Authenticate, _>(name::AXUM_SESSION, AxumSession::new(peers.axum_session, ROWS)),
        performing::<Authenticate, _>(name::RUSQLITE, Rusqlite::new(&peers.file.path, tokens)),
        performing::<Authenticate, _>(
            name::RUSQLITE_MAPPED,
            Rusqlite::new(&peers.file.path, tokens).mapping(MAPPED),
        ),
    ];
    compare(context, "authenticate-sqlite", "SQLite", &contestants)
}

pub fn mariadb(context: &mut Context) -> Outcome<Vec<Table>> {
    let url = context.mariadb("authenticate")?;
    context.progress.step("loading 100,000 rows");
    let tokens = &Tokens::of(ROWS);
    let (own, by_hand, tower_sessions) = context.runtime.block_on(async {
        let own = pools::mariadb(&url).await?;
        load::mariadb::cloakroom(&own, ROWS).await?;
        let tower = load::mariadb::tower_sessions(&pools_of_peers::mariadb(&url).await?, ROWS).await?;
        Outcome::Ok((own, pools::mariadb(&url).await?, tower))
    })?;
    let contestants = [
        performing::<Authenticate, _>(
            name::CLOAKROOM,
            Cloakroom::new(own.clone(), Config::default(), tokens)?,
        ),
        performing::<Authenticate, _>(name::ONE_BY_ONE, Cloakroom::new(own, one_by_one()?, tokens)?),
        performing::<Authenticate, _>(name::BY_HAND, ByHandMariaDb::new(&by_hand, tokens)),
        performing::<Authenticate, _>(name::TOWER_SESSIONS, TowerSessions::new(tower_sessions, ROWS)),
    ];
    compare(context, "authenticate-mariadb", "MariaDB", &contestants)
}

fn compare(context: &Context, case: &str, database: &str, contestants: &[Contestant]) -> Outcome<Vec<Table>> {
    let compare = |number: &usize| {
        let title = format!("authenticate, {database}, strict, {}", callers(*number));
        context.compare(format!("{case}/{number}"), title, contestants, *number)
    };
    CALLERS.iter().map(compare).collect()
}
