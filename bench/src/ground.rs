//! The ground that the contestants meet on: a runtime, throwaway servers, a directory for files of SQLite's. All of
//! it is made when it is first needed and gone with the process.

use std::path::PathBuf;
use std::time::Duration;

use cloakroom_testing::servers::{Kind, Purpose, Server};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::arguments::Plan;
use crate::measure::{self, Lane, Load, Sample};
use crate::progress::Progress;
use crate::results::{Measure, Row, Table};

/// The tasks of all callers run on these threads.
pub const WORKERS: usize = 2;

pub struct Ground {
    pub plan: Plan,
    pub progress: Progress,
    pub runtime: Runtime,
    postgres: Option<Server>,
    mariadb: Option<Server>,
    directory: Option<TempDir>,
}

impl Ground {
    pub fn new(plan: Plan, progress: Progress) -> Outcome<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
        Ok(Self { plan, progress, runtime, postgres: None, mariadb: None, directory: None })
    }

    /// The URL of a new, empty database.
    pub fn postgres(&mut self, database: &str) -> Outcome<String> {
        let url = start(&mut self.postgres, Kind::Postgres, &self.progress)?;
        self.runtime.block_on(create_database(sqlx::PgConnection::connect(url), database))?;
        of_database(url, database)
    }

    /// The URL of a new, empty database.
    pub fn mariadb(&mut self, database: &str) -> Outcome<String> {
        let url = start(&mut self.mariadb, Kind::MariaDb, &self.progress)?;
        self.runtime.block_on(create_database(sqlx::MySqlConnection::connect(url), database))?;
        of_database(url, database)
    }

    /// The path of a file that does not exist yet.
    pub fn file(&mut self, name: &str) -> Outcome<PathBuf> {
        if self.directory.is_none() {
            self.directory = Some(tempfile::Builder::new().prefix("cloakroom-bench-").tempdir()?);
        }
        let directory = self.directory.as_ref().expect("it was made above");
        Ok(directory.path().join(name))
    }

    /// Lets the lanes run in turn, `callers` at a time, and makes a table of it.
    pub fn compare(&self, name: String, title: String, lanes: &[Lane], callers: usize) -> Outcome<Table> {
        let samples = self.sample(&name, lanes, callers, callers == 1)?;
        let rows =
            lanes.iter().zip(&samples).map(|(lane, samples)| Row::of_rates(&lane.name, samples)).collect();
        Ok(Table { name, title, measure: Measure::PerSecond, rows, notes: Vec::new() })
    }

    pub fn sample(
        &self,
        name: &str,
        lanes: &[Lane],
        callers: usize,
        latencies: bool,
    ) -> Outcome<Vec<Vec<Sample>>> {
        let Plan { rounds, warm_up, span, .. } = self.plan;
        // What the first lane finds in no cache yet, the later ones would find there.
        for lane in lanes {
            self.progress.step(&format!("{name}: {} warms up", lane.name));
            let load = Load { callers, warm_up, span: Duration::from_millis(50), latencies: false };
            lane.sample(&self.runtime, &load)?;
        }
        let load = Load { callers, warm_up, span, latencies };
        measure::rounds(&self.runtime, lanes, &load, rounds, |round, lane| {
            self.progress.step(&format!("{name}: {lane}, round {} of {rounds}", round + 1));
        })
    }
}

/// The URL of the server, which is started where it is not running yet.
fn start<'s>(server: &'s mut Option<Server>, kind: Kind, progress: &Progress) -> Outcome<&'s str> {
    if server.is_none() {
        progress.step(&format!("starting {kind}"));
        *server = Some(Server::launch_for(kind, Purpose::Measurements)?);
    }
    Ok(server.as_ref().ok_or("the server has just been started")?.url())
}

async fn create_database<C>(
    connecting: impl Future<Output = Result<C, sqlx::Error>>,
    database: &str,
) -> Result<(), sqlx::Error>
where
    C: Connection,
    for<'c> &'c mut C: Executor<'c, Database = C::Database>,
{
    let mut connection = connecting.await?;
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {database}"))).await?;
    connection.close().await
}

fn of_database(url: &str, database: &str) -> Outcome<String> {
    let (server, _) = url.rsplit_once('/').ok_or("the server's URL names no database")?;
    Ok(format!("{server}/{database}"))
}
