//! Find the session of a token. With 1, 16, 128 and 1,024 callers, all strict: every answer is from the database.

use cloakroom::Config;

use crate::Outcome;
use crate::contestants::axum_session::AxumSession;
use crate::contestants::by_hand::{self, ByHandMariaDb, ByHandPostgres, ByHandSqlite};
use crate::contestants::cloakroom::{Cloakroom, one_by_one};
use crate::contestants::rusqlite::Rusqlite;
use crate::contestants::tokio_postgres::Pipelined;
use crate::contestants::tower_sessions::TowerSessions;
use crate::contestants::{Authenticate, lane, name};
use crate::ground::{Ground, ROWS};
use crate::load;
use crate::measure::Lane;
use crate::payload::Tokens;
use crate::report::callers;
use crate::results::Table;

const CALLERS: &[usize] = &[1, 16, 128, 1024];

pub fn postgres(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let peers = ground.postgres_peers()?;
    let tokens = &peers.tokens;
    let pipelined = ground.runtime.block_on(Pipelined::new(&peers.url, tokens))?;
    let lanes = [
        lane::<Authenticate, _>(
            name::CLOAKROOM,
            Cloakroom::new(peers.cloakroom.clone(), Config::default(), tokens)?,
        ),
        lane::<Authenticate, _>(name::ONE_BY_ONE, Cloakroom::new(peers.cloakroom, one_by_one()?, tokens)?),
        lane::<Authenticate, _>(name::BY_HAND, ByHandPostgres::new(&peers.by_hand, tokens)),
        lane::<Authenticate, _>(name::TOWER_SESSIONS, TowerSessions::new(peers.tower_sessions, ROWS)),
        lane::<Authenticate, _>(name::AXUM_SESSION, AxumSession::new(peers.axum_session, ROWS)),
        lane::<Authenticate, _>(name::TOKIO_POSTGRES, pipelined),
    ];
    compare(ground, "authenticate-postgres", "PostgreSQL", &lanes, &[1, 128, 1024])
}

pub fn sqlite(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let peers = ground.sqlite_peers()?;
    let tokens = &peers.tokens;
    let lanes = [
        lane::<Authenticate, _>(
            name::CLOAKROOM,
            Cloakroom::new(peers.cloakroom.clone(), Config::default(), tokens)?,
        ),
        lane::<Authenticate, _>(name::ONE_BY_ONE, Cloakroom::new(peers.cloakroom, one_by_one()?, tokens)?),
        lane::<Authenticate, _>(name::BY_HAND, ByHandSqlite::new(&peers.by_hand, tokens)),
        lane::<Authenticate, _>(name::TOWER_SESSIONS, TowerSessions::new(peers.tower_sessions, ROWS)),
        lane::<Authenticate, _>(name::AXUM_SESSION, AxumSession::new(peers.axum_session, ROWS)),
        lane::<Authenticate, _>(name::RUSQLITE, Rusqlite::new(&peers.file.path, tokens)),
    ];
    compare(ground, "authenticate-sqlite", "SQLite", &lanes, &[128])
}

pub fn mariadb(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let url = ground.mariadb("authenticate")?;
    ground.progress.step("loading 100,000 rows");
    let tokens = &Tokens::of(ROWS);
    let (own, by_hand) = ground.runtime.block_on(async {
        let own = by_hand::mariadb_pool(&url).await?;
        load::mariadb::cloakroom(&own, ROWS).await?;
        Outcome::Ok((own, by_hand::mariadb_pool(&url).await?))
    })?;
    let lanes = [
        lane::<Authenticate, _>(name::CLOAKROOM, Cloakroom::new(own.clone(), Config::default(), tokens)?),
        lane::<Authenticate, _>(name::ONE_BY_ONE, Cloakroom::new(own, one_by_one()?, tokens)?),
        lane::<Authenticate, _>(name::BY_HAND, ByHandMariaDb::new(&by_hand, tokens)),
    ];
    compare(ground, "authenticate-mariadb", "MariaDB", &lanes, &[128])
}

fn compare(
    ground: &Ground,
    case: &str,
    database: &str,
    lanes: &[Lane],
    quick: &[usize],
) -> Outcome<Vec<Table>> {
    let compare = |number: &usize| {
        let title = format!("authenticate, {database}, strict, {}", callers(*number));
        ground.compare(format!("{case}/{number}"), title, lanes, *number)
    };
    let numbers = if ground.plan.quick { quick } else { CALLERS };
    numbers.iter().map(compare).collect()
}
