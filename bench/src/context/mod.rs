//! What all cases run with: a runtime, throwaway servers, a directory for SQLite's files. All of it is made when it is
//! first needed. It is removed with the process, or with the case that it was made for.

mod compare;
mod plan;
mod progress;

use std::fs;
use std::path::PathBuf;

use cloakroom_testing::servers::{Kind, Purpose, Scratch, Server};
use sqlx::{AssertSqlSafe, Connection, Database, Executor, FromRow, IntoArguments};
use tokio::runtime::Runtime;

pub use plan::Plan;
pub use progress::Progress;

use crate::database::sqlite_file::Synchronous;
use crate::failure::Outcome;
use crate::load;

/// How many rows each contestant's table has, unless a case says otherwise.
pub const ROWS: u64 = 100_000;

/// The tasks of all callers run on these threads.
pub const WORKERS: usize = 2;

#[derive(Default)]
struct OfCase {
    files: Vec<PathBuf>,
    databases: Vec<String>,
}

pub struct Context {
    pub plan: Plan,
    pub progress: Progress,
    pub runtime: Runtime,
    postgres: Option<Server>,
    mariadb: Option<Server>,
    directory: Option<Scratch>,
    /// What to remove when the case is done.
    of_case: OfCase,
    postgres_peers: Option<load::postgres::Peers>,
    sqlite_peers: Option<load::sqlite::Peers>,
}

impl Context {
    pub fn new(plan: Plan, progress: Progress) -> Outcome<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
        Ok(Self {
            plan,
            progress,
            runtime,
            postgres: None,
            mariadb: None,
            directory: None,
            of_case: OfCase::default(),
            postgres_peers: None,
            sqlite_peers: None,
        })
    }

    /// All contestants with [`ROWS`] rows on PostgreSQL, loaded once for all cases that leave the rows as they are.
    pub fn postgres_peers(&mut self) -> Outcome<load::postgres::Peers> {
        if let Some(peers) = &self.postgres_peers {
            return Ok(peers.clone());
        }
        let url = self.postgres_for_all("peers")?;
        self.progress.step("loading 100,000 rows for each contestant");
        let peers = self.runtime.block_on(load::postgres::Peers::load(url, ROWS))?;
        Ok(self.postgres_peers.insert(peers).clone())
    }

    /// The same on SQLite.
    pub fn sqlite_peers(&mut self) -> Outcome<load::sqlite::Peers> {
        if let Some(peers) = &self.sqlite_peers {
            return Ok(peers.clone());
        }
        let directory = self.file_for_all("peers")?;
        self.progress.step("loading 100,000 rows for each contestant");
        let load = load::sqlite::Peers::load(&directory, Synchronous::Normal, ROWS);
        let peers = self.runtime.block_on(load)?;
        Ok(self.sqlite_peers.insert(peers).clone())
    }

    /// Returns the URL of a new, empty database of this case.
    pub fn postgres(&mut self, database: &str) -> Outcome<String> {
        self.of_case.databases.push(database.to_owned());
        self.postgres_for_all(database)
    }

    fn postgres_for_all(&mut self, database: &str) -> Outcome<String> {
        let url = start(&mut self.postgres, Kind::Postgres, &self.progress)?;
        self.runtime.block_on(create_database(sqlx::PgConnection::connect(url), database))?;
        of_database(url, database)
    }

    /// Returns the URL of a new, empty database.
    pub fn mariadb(&mut self, database: &str) -> Outcome<String> {
        let url = start(&mut self.mariadb, Kind::MariaDb, &self.progress)?;
        self.runtime.block_on(create_database(sqlx::MySqlConnection::connect(url), database))?;
        of_database(url, database)
    }

    /// Returns the versions of the servers that were started, and of SQLite.
    pub fn databases(&self) -> Outcome<Vec<String>> {
        let mut databases = Vec::new();
        if let Some(server) = &self.postgres {
            let connecting = sqlx::PgConnection::connect(server.url());
            databases.push(format!("PostgreSQL {}", self.ask(connecting, "SHOW server_version")?));
        }
        if let Some(server) = &self.mariadb {
            let connecting = sqlx::MySqlConnection::connect(server.url());
            databases.push(format!("MariaDB {}", self.ask(connecting, "SELECT VERSION()")?));
        }
        databases.push(format!("SQLite {}", rusqlite::version()));
        Ok(databases)
    }

    fn ask<C>(
        &self,
        connecting: impl Future<Output = Result<C, sqlx::Error>>,
        question: &'static str,
    ) -> Outcome<String>
    where
        C: Connection,
        for<'c> &'c mut C: Executor<'c, Database = C::Database>,
        for<'a> <C::Database as Database>::Arguments: IntoArguments<C::Database>,
        (String,): for<'r> FromRow<'r, <C::Database as Database>::Row>,
    {
        self.runtime.block_on(async {
            let mut connection = connecting.await?;
            let (answer,) = sqlx::query_as::<_, (String,)>(question).fetch_one(&mut connection).await?;
            Ok(answer)
        })
    }

    /// Returns the path of a file of this case that does not exist yet.
    pub fn file(&mut self, name: &str) -> Outcome<PathBuf> {
        let path = self.file_for_all(name)?;
        self.of_case.files.push(path.clone());
        Ok(path)
    }

    fn file_for_all(&mut self, name: &str) -> Outcome<PathBuf> {
        if self.directory.is_none() {
            self.directory = Some(Scratch::create()?);
        }
        let directory = self.directory.as_ref().ok_or("the directory has just been made")?;
        Ok(directory.path().join(name))
    }

    /// Removes what was made for the finished case. The rest goes with the process.
    pub fn clear(&mut self) {
        let OfCase { files, databases } = std::mem::take(&mut self.of_case);
        for file in files {
            // A directory, or a file and those that SQLite puts beside it.
            let _ = fs::remove_dir_all(&file);
            for suffix in ["", "-wal", "-shm"] {
                let mut name = file.clone().into_os_string();
                name.push(suffix);
                let _ = fs::remove_file(name);
            }
        }
        // That takes a checkpoint, and a quick run's databases are small.
        if let Some(server) = self.postgres.as_ref().filter(|_| !self.plan.quick) {
            self.runtime.block_on(drop_databases(server.url(), databases));
        }
    }
}

/// Returns the URL of the server, which is started if it is not running yet.
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

/// By force: connections of dropped pools may not be closed yet.
async fn drop_databases(url: &str, databases: Vec<String>) {
    let Ok(mut connection) = sqlx::PgConnection::connect(url).await else {
        return;
    };
    for database in databases {
        let drop = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
        let _ = connection.execute(AssertSqlSafe(drop)).await;
    }
}

fn of_database(url: &str, database: &str) -> Outcome<String> {
    let (server, _) = url.rsplit_once('/').ok_or("the server's URL names no database")?;
    Ok(format!("{server}/{database}"))
}
