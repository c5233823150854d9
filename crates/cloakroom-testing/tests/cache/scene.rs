use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom::{
    Cache, ConfigBuilder, Database, ManualClock, SessionTable, Sessions, TableDefinition, Token,
};
use cloakroom_testing::{Kind, START, TestDatabase, UserSession, patience, user};
use time::OffsetDateTime;
use time::macros::datetime;

/// A day far beyond that of any test. The trigger that announces looks at the server's clock, by which sessions of a test have
/// long expired.
pub(crate) const LATE: OffsetDateTime = datetime!(2400-01-01 0:00 UTC);

/// A table whose name nobody else on the server announces.
pub(crate) struct Scene {
    pub(crate) db: TestDatabase,
    pub(crate) table: String,
}

impl Scene {
    pub(crate) async fn set(db: TestDatabase) -> Self {
        let table = db.unique_name();
        Self::named(db, table).await
    }

    pub(crate) async fn named(db: TestDatabase, table: String) -> Self {
        let scene = Self { db, table };
        scene.node(scene.db.config()).migrate().await.unwrap();
        scene
    }

    fn quoted(&self) -> String {
        let quote = if self.db.kind() == Kind::MariaDb { '`' } else { '"' };
        format!("{quote}{}{quote}", self.table)
    }

    /// A handle on the test's own pool.
    pub(crate) fn node(&self, config: ConfigBuilder) -> Sessions<UserSession> {
        self.node_on(self.db.database(), config)
    }

    /// A handle on a pool of its own, as another process has it.
    pub(crate) async fn node_apart(&self, config: ConfigBuilder) -> Sessions<UserSession> {
        self.node_on(Database::connect(self.db.url()).await.unwrap(), config)
    }

    pub(crate) fn node_on(
        &self,
        database: impl Into<Database>,
        config: ConfigBuilder,
    ) -> Sessions<UserSession> {
        let config = config.build().expect("the configuration is sound");
        Sessions::with_definition(database, definition(&self.table), config).expect("the table is sound")
    }

    /// The configuration of a node with a clock of its own.
    pub(crate) fn config_apart(&self, cache: Cache) -> (ConfigBuilder, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(START));
        (self.db.config().clock(Arc::clone(&clock) as _).cache(cache), clock)
    }

    pub(crate) async fn create(&self) -> Token {
        self.node(self.db.config()).create(user("1234")).await.unwrap().token
    }

    /// Sets a column of the token's row behind the library's back.
    pub(crate) async fn set_column(&self, token: &Token, assignment: &str) {
        let (table, digest) = (self.quoted(), self.digest(token));
        let sql = format!("UPDATE {table} SET {assignment} WHERE auth_token_digest = '{digest}'");
        self.db.execute(&sql).await;
    }

    /// Deletes the token's row behind the library's back.
    pub(crate) async fn delete_row(&self, token: &Token) {
        let (table, digest) = (self.quoted(), self.digest(token));
        self.db.execute(&format!("DELETE FROM {table} WHERE auth_token_digest = '{digest}'")).await;
    }

    pub(crate) fn digest(&self, token: &Token) -> String {
        self.db.config().build().unwrap().digest(token).unwrap().expose().to_owned()
    }

    /// Whether the next answer comes out of memory. If it does not, it is in memory afterwards.
    pub(crate) async fn is_kept(&self, sessions: &Sessions<UserSession>, token: &Token) -> bool {
        let mark = self.db.unique_name();
        self.set_column(token, &format!("user_id = '{mark}'")).await;
        let session = sessions.authenticate(token).await.unwrap().expect("the session is valid");
        session.fields.user_id != mark
    }

    pub(crate) async fn until_kept(&self, sessions: &Sessions<UserSession>, token: &Token) {
        until("the session is kept", async || self.is_kept(sessions, token).await).await;
    }

    /// Hears what is announced about the table from now on.
    pub(crate) async fn hear(&self) -> Heard {
        let mut listener = sqlx::postgres::PgListener::connect(self.db.url()).await.unwrap();
        listener.listen("cloakroom").await.unwrap();
        Heard { listener, table: self.table.clone() }
    }
}

/// What is announced about a table.
pub(crate) struct Heard {
    listener: sqlx::postgres::PgListener,
    table: String,
}

impl Heard {
    /// What was committed until now, without the table's name.
    pub(crate) async fn so_far(&mut self, scene: &Scene) -> Vec<String> {
        // About no table.
        let last = format!("{}: no more", self.table);
        scene.db.execute(&format!("NOTIFY cloakroom, '{}'", last.replace('\'', "''"))).await;
        let mut heard = Vec::new();
        loop {
            let received = tokio::time::timeout(patience(), self.listener.recv()).await;
            let notification = received.expect("the server delivers").unwrap();
            if notification.payload() == last {
                return heard;
            }
            let about = notification.payload().strip_prefix(&self.table);
            if let Some(what) = about.and_then(|rest| rest.strip_prefix(' ')) {
                // Sessions that one statement revokes share an announcement.
                heard.extend(what.split(',').map(str::to_owned));
            }
        }
    }
}

pub(crate) fn definition(table: &str) -> TableDefinition {
    let fields = UserSession::definition().fields().to_vec();
    fields.into_iter().fold(TableDefinition::new(table.to_owned()), TableDefinition::field)
}

/// A cache whose bound is `max_staleness` alone.
pub(crate) fn deaf() -> Cache {
    Cache::new(1000).listen(false)
}

/// A cache whose listener has time on a machine that is busy.
pub(crate) fn listening() -> Cache {
    Cache::new(1000).lease(Duration::from_secs(20)).max_staleness(Duration::from_mins(10))
}

/// Waits until `holds`, which must be soon.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < patience(), "it never comes true that {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The test's own transaction.
pub(crate) enum Own {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
    MariaDb(sqlx::Transaction<'static, sqlx::MySql>),
}

macro_rules! each {
    ($own:expr, |$transaction:ident| $body:expr) => {
        match $own {
            Self::Sqlite($transaction) => $body,
            Self::Postgres($transaction) => $body,
            Self::MariaDb($transaction) => $body,
        }
    };
}

impl Own {
    pub(crate) async fn begin(db: &TestDatabase) -> Self {
        match db.database() {
            // At once, so that no other writer comes between.
            Database::Sqlite(pool) => Self::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await.unwrap()),
            Database::Postgres(pool) => Self::Postgres(pool.begin().await.unwrap()),
            Database::MySql(pool) => Self::MariaDb(pool.begin().await.unwrap()),
            other => panic!("no such database: {other:?}"),
        }
    }

    pub(crate) fn within(
        &mut self,
        sessions: &Sessions<UserSession>,
    ) -> cloakroom::Operations<'_, UserSession> {
        each!(self, |transaction| sessions.within(transaction))
    }

    pub(crate) async fn execute(&mut self, sql: &str) {
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        each!(self, |transaction| sql.execute(&mut **transaction).await.map(drop)).unwrap();
    }

    pub(crate) async fn commit(self) {
        each!(self, |transaction| transaction.commit().await).unwrap();
    }

    pub(crate) async fn rollback(self) {
        each!(self, |transaction| transaction.rollback().await).unwrap();
    }
}
