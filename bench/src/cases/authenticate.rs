//! Whose session is this? With 1, 16, 128 and 1,024 callers, all strict: every answer is from the database.

use cloakroom::Config;
use time::Duration;

use crate::Outcome;
use crate::contestants::axum_session::AxumSession;
use crate::contestants::by_hand::{self, ByHandMariaDb, ByHandPostgres, ByHandSqlite};
use crate::contestants::cloakroom::{Cloakroom, one_by_one};
use crate::contestants::rusqlite::Rusqlite;
use crate::contestants::tokio_postgres::Pipelined;
use crate::contestants::tower_sessions::{self, TowerSessions};
use crate::contestants::{Authenticate, name};
use crate::ground::Ground;
use crate::load::sqlite::{File, Synchronous};
use crate::load::{self, tokens};
use crate::measure::Lane;
use crate::results::Table;

const ROWS: u64 = 100_000;

const CALLERS: [usize; 4] = [1, 16, 128, 1024];

const LIFETIME: Duration = Duration::days(7);

pub fn postgres(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let url = ground.postgres("authenticate")?;
    let tokens = tokens(ROWS);
    ground.progress.step("loading 100,000 rows for each contestant");
    let lanes = ground.runtime.block_on(async {
        let own = by_hand::postgres_pool(&url).await?;
        load::postgres::cloakroom(&own, ROWS, LIFETIME).await?;
        let by_hand = by_hand::postgres_pool(&url).await?;
        let tower = tower_sessions::postgres_pool(&url).await?;
        let tower = load::postgres::tower_sessions(&tower, ROWS).await?;
        let axum = by_hand::postgres_pool(&url).await?;
        let axum = load::postgres::axum_session(&axum, ROWS).await?;
        Outcome::Ok(vec![
            Cloakroom::new(own.clone(), Config::default(), &tokens)?.lane(name::CLOAKROOM),
            Cloakroom::new(own, one_by_one()?, &tokens)?.lane(name::ONE_BY_ONE),
            ByHandPostgres::new(by_hand, &tokens).lane(name::BY_HAND),
            TowerSessions::new(tower, ROWS).lane(name::TOWER_SESSIONS),
            AxumSession::new(axum, ROWS).lane(name::AXUM_SESSION),
            Pipelined::new(&url, &tokens).await?.lane(name::TOKIO_POSTGRES),
        ])
    })?;
    compare(ground, "authenticate-postgres", "PostgreSQL", &lanes)
}

pub fn sqlite(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let file = |name: &str, ground: &mut Ground| Ok(File::new(ground.file(name)?, Synchronous::Normal));
    let files: Outcome<Vec<File>> =
        ["cloakroom.db", "tower.db", "axum.db"].into_iter().map(|name| file(name, ground)).collect();
    let [own, tower, axum] = <[File; 3]>::try_from(files?).expect("there are three");
    let tokens = tokens(ROWS);
    ground.progress.step("loading 100,000 rows for each contestant");
    let lanes = ground.runtime.block_on(async {
        let pool = by_hand::sqlite_pool(own.options()).await?;
        load::sqlite::cloakroom(&pool, &own.path, ROWS, LIFETIME).await?;
        let by_hand = by_hand::sqlite_pool(own.options()).await?;
        let tower = tower_sessions::sqlite_pool(tower.options_of_peers()).await?;
        let tower = load::sqlite::tower_sessions(&tower, ROWS).await?;
        let axum = by_hand::sqlite_pool(axum.options()).await?;
        let axum = load::sqlite::axum_session(&axum, ROWS).await?;
        Outcome::Ok(vec![
            Cloakroom::new(pool.clone(), Config::default(), &tokens)?.lane(name::CLOAKROOM),
            Cloakroom::new(pool, one_by_one()?, &tokens)?.lane(name::ONE_BY_ONE),
            ByHandSqlite::new(by_hand, &tokens).lane(name::BY_HAND),
            TowerSessions::new(tower, ROWS).lane(name::TOWER_SESSIONS),
            AxumSession::new(axum, ROWS).lane(name::AXUM_SESSION),
            Rusqlite::new(&own.path, &tokens).lane(name::RUSQLITE),
        ])
    })?;
    compare(ground, "authenticate-sqlite", "SQLite", &lanes)
}

pub fn mariadb(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let url = ground.mariadb("authenticate")?;
    let tokens = tokens(ROWS);
    ground.progress.step("loading 100,000 rows");
    let lanes = ground.runtime.block_on(async {
        let own = by_hand::mariadb_pool(&url).await?;
        load::mariadb::cloakroom(&own, ROWS, LIFETIME).await?;
        let by_hand = by_hand::mariadb_pool(&url).await?;
        Outcome::Ok(vec![
            Cloakroom::new(own.clone(), Config::default(), &tokens)?.lane(name::CLOAKROOM),
            Cloakroom::new(own, one_by_one()?, &tokens)?.lane(name::ONE_BY_ONE),
            ByHandMariaDb::new(by_hand, &tokens).lane(name::BY_HAND),
        ])
    })?;
    compare(ground, "authenticate-mariadb", "MariaDB", &lanes)
}

fn compare(ground: &Ground, case: &str, database: &str, lanes: &[Lane]) -> Outcome<Vec<Table>> {
    let compare = |callers| {
        let title = format!("authenticate, {database}, strict, {}", crate::report::callers(callers));
        ground.compare(format!("{case}/{callers}"), title, lanes, callers)
    };
    CALLERS.into_iter().map(compare).collect()
}
