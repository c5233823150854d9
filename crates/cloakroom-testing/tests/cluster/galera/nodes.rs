//! The cluster that the cases share.

use std::future::Future;
use std::sync::{LazyLock, Mutex, PoisonError};

use cloakroom::{Config, Database, Sessions};
use cloakroom_testing::UserSession;
use cloakroom_testing::servers::{Galera, Purpose};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, MySqlPool};

use crate::waiting::{PATIENCE, until};

/// How the third node says that it is no MariaDB. It reads the SQL that is for MariaDB all the same.
const OTHER_VERSION: &str = "--version=8.0.36-cluster";

pub(crate) struct Cluster {
    galera: Galera,
    /// The database of one case.
    schema: String,
}

/// Runs a case on a database of its own.
pub(crate) fn run(case: impl AsyncFnOnce(&Cluster)) {
    // It ends with the process.
    static CLUSTER: LazyLock<Mutex<Option<Cluster>>> = LazyLock::new(Mutex::default);
    let mut cluster = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = cluster.get_or_insert_with(|| {
        let galera = Galera::launch_for(Purpose::Tests, [&[], &[], &[OTHER_VERSION]]);
        Cluster { galera: galera.expect("a cluster can be started"), schema: String::new() }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        cluster.make_schema().await;
        tokio::time::timeout(3 * PATIENCE, case(cluster)).await.expect("the case hangs");
    });
}

impl Cluster {
    async fn make_schema(&mut self) {
        let count = self.schema.strip_prefix('t').and_then(|count| count.parse().ok()).unwrap_or(0);
        self.schema = format!("t{}", count + 1);
        let mut admin = MySqlConnection::connect(self.galera.nodes()[0].url()).await.unwrap();
        raw(&mut admin, &format!("CREATE DATABASE {}", self.schema)).await;
        for node in 0..3 {
            until("the node has the database", async || self.connect(node).await.is_ok()).await;
        }
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    pub(crate) fn url(&self, node: usize) -> String {
        let (server, _) = self.galera.nodes()[node].url().rsplit_once('/').expect("the URL names a database");
        format!("{server}/{}", self.schema)
    }

    async fn connect(&self, node: usize) -> Result<MySqlConnection, sqlx::Error> {
        MySqlConnection::connect(&self.url(node)).await
    }

    /// Returns a connection to a node, which waits for nothing.
    pub(crate) async fn connection(&self, node: usize) -> MySqlConnection {
        self.connect(node).await.expect("the node answers")
    }

    pub(crate) async fn execute(&self, node: usize, sql: &str) {
        raw(&mut self.connection(node).await, sql).await;
    }

    pub(crate) fn pool(&self, node: usize) -> MySqlPool {
        MySqlPoolOptions::new().max_connections(8).connect_lazy(&self.url(node)).unwrap()
    }

    /// Returns a handle on a node, as a process beside it has one.
    pub(crate) fn sessions(&self, node: usize, config: &Config) -> Sessions<UserSession> {
        Sessions::new(self.pool(node), config.clone()).unwrap()
    }

    pub(crate) async fn database(&self, node: usize) -> Database {
        Database::connect(&self.url(node)).await.unwrap()
    }

    /// Makes the tables and returns a handle on each node.
    pub(crate) async fn migrated(&self, config: &Config) -> [Sessions<UserSession>; 3] {
        let handles = [0, 1, 2].map(|node| self.sessions(node, config));
        for handle in &handles {
            handle.migrate().await.unwrap();
        }
        for handle in &handles {
            // The first lookup of a handle also asks what columns the table has.
            assert_eq!(handle.authenticate([b'x'; 64]).await.unwrap(), None);
        }
        handles
    }

    /// Lets a node apply nothing from now on. It answers from what it has.
    pub(crate) async fn hold_back(&self, node: usize) -> HeldBack {
        let mut connection = self.connection(node).await;
        raw(&mut connection, "FLUSH TABLES WITH READ LOCK").await;
        HeldBack { connection, url: self.url(node) }
    }
}

/// A node that applies nothing of what the others commit.
pub(crate) struct HeldBack {
    connection: MySqlConnection,
    url: String,
}

impl HeldBack {
    pub(crate) async fn catch_up(mut self) {
        raw(&mut self.connection, "UNLOCK TABLES").await;
    }

    /// Lets the node catch up only once a statement of `call` waits for that, and returns the answer.
    pub(crate) async fn catches_up_during<T>(self, call: impl Future<Output = T>) -> T {
        let mut observer = MySqlConnection::connect(&self.url).await.unwrap();
        let others = self.waiting(&mut observer).await;
        tokio::pin!(call);
        let waits = async {
            until("the statement waits", async || self.waiting(&mut observer).await > others).await;
        };
        tokio::select! {
            _ = &mut call => panic!("the answer came from a node that lags"),
            () = waits => {}
        }
        self.catch_up().await;
        call.await
    }

    /// Returns how many statements this library has out on the node.
    async fn waiting(&self, observer: &mut MySqlConnection) -> i64 {
        let sql = "SELECT COUNT(*) FROM information_schema.processlist \
             WHERE id <> CONNECTION_ID() AND (info LIKE '%sessions%' OR info LIKE '%wsrep_sync_wait%' \
             OR info LIKE '%START TRANSACTION%')";
        sqlx::query_scalar(sql).fetch_one(observer).await.unwrap()
    }
}

pub(crate) async fn raw(connection: &mut MySqlConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
}
