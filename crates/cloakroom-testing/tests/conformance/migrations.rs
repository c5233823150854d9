use std::future::Future;
use std::pin::{Pin, pin};
use std::process::{Command, Stdio};
use std::task::{Context, Poll};

use cloakroom::{
    Backend, ColumnType, ConfigError, Database, DynamicFields, ErrorKind, FieldDefinition, Migration,
    NewSession, SessionTable, Sessions, Status, TableDefinition, migrations,
};
use cloakroom_testing::{ApiKey, Kind, Role, START, TestDatabase, UserSession, each_mode, user};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;

use crate::{pools, rows};

/// Where a child process finds the database that it is to migrate.
const CHILD_URL: &str = "CLOAKROOM_TEST_CHILD_URL";

fn versions(migrations: &[Migration]) -> Vec<u32> {
    migrations.iter().map(|migration| migration.version).collect()
}

async fn applied(sessions: &Sessions<UserSession>) -> Vec<bool> {
    let status = sessions.migration_status().await.unwrap();
    assert_eq!(status.iter().map(|(migration, _)| migration.version).collect::<Vec<_>>(), [1, 2, 3]);
    status.into_iter().map(|(_, is_applied)| is_applied).collect()
}

fn unmigrated<T: SessionTable>(db: &TestDatabase) -> Sessions<T> {
    Sessions::new(db.database(), db.config().build().unwrap()).unwrap()
}

async fn migrations_go_up_down_and_up_again(db: TestDatabase) {
    let sessions = unmigrated::<UserSession>(&db);
    assert_eq!(applied(&sessions).await, [false, false, false]);
    assert_eq!(versions(&sessions.migrate_down().await.unwrap()), [0; 0]);
    for _ in 0..2 {
        let error = sessions.create(user("1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingTable);
        assert!(error.to_string().contains("migrate()"), "{error}");
        assert_eq!(versions(&sessions.migrate().await.unwrap()), [1, 2, 3]);
        assert_eq!(applied(&sessions).await, [true, true, true]);
        let created = sessions.create(user("1")).await.unwrap();
        assert_eq!(versions(&sessions.migrate().await.unwrap()), [0; 0]);
        assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
        assert_eq!(versions(&sessions.migrate_down().await.unwrap()), [3, 2, 1]);
        assert_eq!(applied(&sessions).await, [false, false, false]);
    }
}

async fn migrations_are_recorded_in_a_table_of_their_own(db: TestDatabase) {
    db.sessions::<UserSession>().await;
    db.clock().advance(time::Duration::DAY);
    db.sessions::<ApiKey>().await;
    let at = |instant| rows::instant(db.kind(), instant);
    for (table, instant) in [("sessions", START), ("api_keys", START + time::Duration::DAY)] {
        let sql = format!(
            "SELECT CAST(version AS char(1)) FROM {table}_cloakroom_migrations \
             WHERE applied_at = {} ORDER BY version",
            at(instant)
        );
        assert_eq!(db.texts(&sql).await, ["1", "2", "3"].map(|version| Some(version.to_owned())));
    }
}

/// The columns and indexes of a table, as the database's own catalogue tells them.
async fn catalogue(db: &TestDatabase, table: &str) -> Vec<String> {
    let queries = match db.kind() {
        Kind::Sqlite => {
            vec![format!(
                "SELECT coalesce(sql, name) FROM sqlite_master WHERE tbl_name = '{table}' ORDER BY name"
            )]
        }
        Kind::Postgres => vec![
            format!(
                "SELECT concat_ws(' ', column_name, data_type, character_maximum_length, is_nullable, \
                 column_default) FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name = '{table}' ORDER BY ordinal_position"
            ),
            format!(
                "SELECT indexdef FROM pg_indexes \
                 WHERE schemaname = current_schema() AND tablename = '{table}' ORDER BY indexname"
            ),
        ],
        Kind::MariaDb => vec![
            format!(
                "SELECT concat_ws(' ', column_name, column_type, collation_name, is_nullable, column_default) \
                 FROM information_schema.columns \
                 WHERE table_schema = database() AND table_name = '{table}' ORDER BY ordinal_position"
            ),
            format!(
                "SELECT concat_ws(' ', index_name, non_unique, seq_in_index, column_name) \
                 FROM information_schema.statistics \
                 WHERE table_schema = database() AND table_name = '{table}' ORDER BY index_name, seq_in_index"
            ),
        ],
    };
    let mut catalogue = Vec::new();
    for query in queries {
        catalogue.extend(db.texts(&query).await.into_iter().flatten());
    }
    catalogue
}

async fn the_printed_statements_make_the_same_table(db: TestDatabase) {
    let sessions = db.sessions::<ApiKey>().await;
    let migrated = catalogue(&db, "api_keys").await;
    assert!(migrated.len() > 3, "{migrated:?}");
    sessions.migrate_down().await.unwrap();
    assert_eq!(catalogue(&db, "api_keys").await, [""; 0]);

    let backend = sessions.backend();
    for statement in migrations::up_sql(&ApiKey::definition(), backend).unwrap() {
        db.execute(&statement).await;
    }
    assert_eq!(catalogue(&db, "api_keys").await, migrated);
    let fields = ApiKey { user_id: "1".into(), role: Role::Reader, quota: None };
    let created = sessions.create(NewSession::new(fields)).await.unwrap();
    // Who changes to `migrate` later on finds everything in place.
    assert_eq!(versions(&sessions.migrate().await.unwrap()), [1, 2, 3]);
    assert_eq!(catalogue(&db, "api_keys").await, migrated);
    assert!(sessions.authenticate(created.token).await.unwrap().is_some());

    for statement in migrations::down_sql(&ApiKey::definition(), backend).unwrap() {
        db.execute(&statement).await;
    }
    assert_eq!(catalogue(&db, "api_keys").await, [""; 0]);
}

async fn a_table_or_an_index_that_is_missing_is_made_again(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let before = catalogue(&db, "sessions").await;
    let on_table = if db.kind() == Kind::MariaDb { " ON sessions" } else { "" };
    db.execute(&format!("DROP INDEX sessions_expires_at_index{on_table}")).await;
    assert_ne!(catalogue(&db, "sessions").await, before);
    sessions.migrate().await.unwrap();
    assert_eq!(catalogue(&db, "sessions").await, before);
    db.execute("DROP TABLE sessions").await;
    sessions.migrate().await.unwrap();
    assert_eq!(catalogue(&db, "sessions").await, before);
}

async fn every_table_has_its_indexes(db: TestDatabase) {
    db.sessions::<ApiKey>().await;
    let sql = match db.kind() {
        Kind::Sqlite => {
            "SELECT name || ' ' || \"unique\" FROM pragma_index_list('api_keys') WHERE origin = 'c'"
        }
        Kind::Postgres => {
            "SELECT indexrelid::regclass::text || ' ' || indisunique::int FROM pg_index \
             WHERE indrelid = 'api_keys'::regclass AND NOT indisprimary"
        }
        Kind::MariaDb => {
            "SELECT DISTINCT CONCAT(index_name, ' ', 1 - non_unique) FROM information_schema.statistics \
             WHERE table_schema = database() AND table_name = 'api_keys' AND index_name <> 'PRIMARY'"
        }
    };
    let mut indexes: Vec<String> = db.texts(sql).await.into_iter().flatten().collect();
    indexes.sort();
    assert_eq!(
        indexes,
        [
            "api_keys_auth_token_digest_index 1",
            "api_keys_expires_at_index 0",
            "api_keys_user_id_inserted_at_index 0",
        ]
    );
    if db.kind() == Kind::Postgres {
        let collation = "SELECT collation_name::text FROM information_schema.columns \
                         WHERE table_schema = current_schema AND table_name = 'api_keys' AND column_name = 'auth_token_digest'";
        assert_eq!(db.texts(collation).await, [Some("C".to_owned())], "digests have no language");
    }
}

async fn eight_pools_migrate_at_once(db: TestDatabase) {
    for _ in 0..2 {
        let mut tasks = Vec::new();
        for _ in 0..8 {
            let (pool, config) = (pools::of(&db, 1).await, db.config().build().unwrap());
            tasks.push(tokio::spawn(async move {
                let sessions = Sessions::<UserSession>::new(pool.clone(), config).unwrap();
                let done = sessions.migrate().await.unwrap();
                let created = sessions.create(user("1")).await.unwrap();
                assert!(sessions.authenticate(created.token).await.unwrap().is_some());
                pool.close().await;
                done.len()
            }));
        }
        let mut done = 0;
        for task in tasks {
            done += task.await.unwrap();
        }
        assert_eq!(done, 3);
        let sessions = unmigrated::<UserSession>(&db);
        assert_eq!(sessions.query().count().await.unwrap(), 8);
        sessions.migrate_down().await.unwrap();
    }
}

/// Not a case of its own: the work of each process of the case below.
#[tokio::test]
async fn a_child_process_migrates_the_database_that_it_is_given() {
    let Ok(url) = std::env::var(CHILD_URL) else { return };
    let database = Database::connect(&url).await.unwrap();
    let config = cloakroom::Config::default();
    let sessions = Sessions::<UserSession>::new(database.clone(), config).unwrap();
    sessions.migrate().await.unwrap();
    sessions.create(user("1")).await.unwrap();
    database.close().await;
}

async fn eight_processes_migrate_at_once(db: TestDatabase) {
    let children: Vec<_> = (0..8)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "migrations::a_child_process_migrates_the_database_that_it_is_given"])
                .env(CHILD_URL, db.url())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let outputs = tokio::task::spawn_blocking(move || {
        children.into_iter().map(|child| child.wait_with_output().unwrap()).collect::<Vec<_>>()
    });
    for output in outputs.await.unwrap() {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let sessions = unmigrated::<UserSession>(&db);
    assert_eq!(applied(&sessions).await, [true, true, true]);
    // Each made one; the children's clock is the system's.
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 8);
    assert_eq!(versions(&sessions.migrate().await.unwrap()), [0; 0]);
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "sessions")]
struct Grown {
    #[session(index)]
    user_id: String,
    #[session(index)]
    order: i64,
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "sessions")]
struct GrownByNullable {
    user_id: String,
    note: Option<String>,
}

/// The statement that the error prints.
fn remedy(error: &cloakroom::Error) -> String {
    assert_eq!(error.kind(), ErrorKind::MissingColumn);
    let message = error.to_string();
    message.split_once("add it with: ").unwrap().1.to_owned()
}

async fn a_table_that_lacks_a_column_is_an_error_that_says_how_to_add_it(db: TestDatabase) {
    db.sessions::<UserSession>().await;
    let grown = unmigrated::<Grown>(&db);
    let new = || NewSession::new(Grown { user_id: "1".into(), order: 1 });
    let error = grown.create(new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingColumn);
    assert!(error.to_string().contains("order"), "{error}");

    let error = grown.migrate().await.unwrap_err();
    assert!(error.to_string().contains("lacks the column order"), "{error}");
    db.execute(&remedy(&error)).await;
    grown.migrate().await.unwrap();
    let created = grown.create(new()).await.unwrap();
    assert_eq!(grown.query().filter(Grown::ORDER.eq(1)).fetch_one().await.unwrap(), created.session);
    let indexes = catalogue(&db, "sessions").await;
    assert!(indexes.iter().any(|index| index.contains("sessions_order_inserted_at_index")), "{indexes:?}");
}

async fn a_nullable_column_is_added_to_a_table_with_rows(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    let grown = unmigrated::<GrownByNullable>(&db);
    let error = grown.migrate().await.unwrap_err();
    db.execute(&remedy(&error)).await;
    grown.migrate().await.unwrap();
    let mut read = grown.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read.fields, GrownByNullable { user_id: "1".into(), note: None });
    read.fields.note = Some("now".into());
    grown.update(&mut read).await.unwrap();
    // The older program goes on working.
    assert_eq!(sessions.authenticate(&created.token).await.unwrap().unwrap().fields.user_id, "1");
}

async fn a_table_that_is_no_session_table_is_left_alone(db: TestDatabase) {
    db.execute("CREATE TABLE sessions (id integer NOT NULL, secret varchar(9))").await;
    let before = catalogue(&db, "sessions").await;
    let sessions = unmigrated::<UserSession>(&db);
    let error = sessions.migrate().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingColumn);
    assert!(error.to_string().contains("auth_token_digest"), "{error}");
    assert_eq!(catalogue(&db, "sessions").await, before);
    assert_eq!(catalogue(&db, "sessions_cloakroom_migrations").await, [""; 0]);
    let error = DynamicFields::definition_from(&db.database(), None, "sessions").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingColumn);
    let nothing = DynamicFields::definition_from(&db.database(), None, "nothing").await.unwrap();
    assert!(nothing.is_none());
}

async fn a_name_that_is_no_identifier_never_becomes_sql(db: TestDatabase) {
    db.execute("CREATE TABLE users (id integer NOT NULL PRIMARY KEY)").await;
    let config = || db.config().build().unwrap();
    let field = |name: &'static str| FieldDefinition::dynamic(name, ColumnType::Text);
    let places = |name: &'static str| {
        [
            TableDefinition::new(name),
            TableDefinition::new("sessions").schema(name),
            TableDefinition::new("sessions").field(field(name)),
            TableDefinition::new("sessions").field(field("user_id").references(name, "id")),
            TableDefinition::new("sessions").field(field("user_id").references("users", name)),
        ]
    };
    for refused in ["a\0b", "a\nb", "", "a_name_that_goes_on_and_on_and_on_and_on_and_on_for_sixty_four_ch"] {
        for table in places(refused) {
            let result = Sessions::<DynamicFields>::with_definition(db.database(), table, config());
            assert!(matches!(result, Err(ConfigError::Identifier { .. })), "{refused}");
        }
        let found = DynamicFields::definition_from(&db.database(), Some(refused), refused).await;
        assert!(!matches!(found, Ok(Some(_))), "{refused}");
    }
    // What can be quoted is a name, and nothing else.
    for hostile in [
        "\"; drop table users; --",
        "`; drop table users; --",
        "'; drop table users; --",
        "\\'; drop table users; --",
        "*/ drop table users; /*",
        "$1?::text",
    ] {
        for table in places(hostile).into_iter().filter(|table| table.schema_name().is_none()) {
            let sessions =
                Sessions::<DynamicFields>::with_definition(db.database(), table, config()).unwrap();
            sessions.migrate().await.unwrap();
            assert_eq!(sessions.query().status(Status::All).delete_all().await.unwrap(), 0);
            assert_eq!(sessions.query().count().await.unwrap(), 0);
            sessions.migrate_down().await.unwrap();
        }
        let found = DynamicFields::definition_from(&db.database(), Some(hostile), hostile).await;
        assert!(!matches!(found, Ok(Some(_))), "{hostile}");
    }
    db.execute("INSERT INTO users VALUES (1)").await;
}

async fn a_definition_is_read_back_from_the_database_as_it_was_declared(db: TestDatabase) {
    let mut table = TableDefinition::new("declared");
    for (name, column_type) in [
        ("text", ColumnType::Text),
        ("integer", ColumnType::Integer),
        ("bool", ColumnType::Bool),
        ("float", ColumnType::Float),
        ("bytes", ColumnType::Bytes),
        ("uuid", ColumnType::Uuid),
        ("timestamp", ColumnType::Timestamp),
        ("json", ColumnType::Json),
    ] {
        table = table.field(FieldDefinition::dynamic(name, column_type.clone()));
        table = table.field(FieldDefinition::dynamic(format!("maybe_{name}"), column_type).nullable());
    }
    table = table.field(FieldDefinition::dynamic("indexed", ColumnType::Text).indexed());
    let config = db.config().build().unwrap();
    let sessions = Sessions::<DynamicFields>::with_definition(db.database(), table.clone(), config).unwrap();
    sessions.migrate().await.unwrap();
    for schema in [None, db.schema()] {
        let read = DynamicFields::definition_from(&db.database(), schema, "declared").await.unwrap().unwrap();
        assert_eq!(read.table_name(), "declared");
        assert_eq!(read.schema_name(), schema);
        let shown = |table: &TableDefinition| -> Vec<(String, ColumnType, bool, bool)> {
            let backend: Backend = sessions.backend();
            let fields = table.fields().iter();
            fields
                .map(|field| {
                    let column_type = field.column_type(backend).clone();
                    (field.name().to_owned(), column_type, field.is_nullable(), field.is_indexed())
                })
                .collect()
        };
        assert_eq!(shown(&read), shown(&table));
    }
}

/// A pool whose connections take no writes.
async fn read_only(db: &TestDatabase) -> Database {
    match db.database() {
        Database::Sqlite(pool) => {
            let options = (*pool.connect_options()).clone().pragma("query_only", "ON");
            SqlitePoolOptions::new().connect_with(options).await.unwrap().into()
        }
        Database::Postgres(pool) => {
            let options = (*pool.connect_options()).clone();
            let options = options.options([("default_transaction_read_only", "on")]);
            PgPoolOptions::new().connect_with(options).await.unwrap().into()
        }
        Database::MySql(pool) => {
            let options = MySqlPoolOptions::new().after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql("SET SESSION TRANSACTION READ ONLY").execute(connection).await.map(drop)
                })
            });
            options.connect_with((*pool.connect_options()).clone()).await.unwrap().into()
        }
        other => panic!("no such database: {other:?}"),
    }
}

async fn a_table_that_is_up_to_date_needs_no_right_to_write(db: TestDatabase) {
    let read_only = read_only(&db).await;
    let sessions = Sessions::<UserSession>::new(read_only.clone(), db.config().build().unwrap()).unwrap();
    assert_eq!(sessions.migrate().await.unwrap_err().kind(), ErrorKind::ReadOnly);
    let created = db.sessions::<UserSession>().await.create(user("1")).await.unwrap();
    assert_eq!(versions(&sessions.migrate().await.unwrap()), [0; 0]);
    assert_eq!(applied(&sessions).await, [true, true, true]);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
    assert_eq!(sessions.create(user("1")).await.unwrap_err().kind(), ErrorKind::ReadOnly);
    read_only.close().await;
}

/// A future that gives up after so many polls.
struct Cancelled<F> {
    future: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future> Future for Cancelled<F> {
    /// None where it gave up.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.future.as_mut().poll(context).map(Some)
    }
}

async fn a_migration_that_was_cancelled_is_done_by_the_next(db: TestDatabase) {
    let sessions = unmigrated::<UserSession>(&db);
    let (mut cancelled, mut done) = (0, 0);
    for polls in [1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 17, 20, 24, 30, 60] {
        let attempt = Cancelled { future: Box::pin(sessions.migrate()), polls };
        match pin!(attempt).await {
            None => cancelled += 1,
            Some(result) => {
                result.unwrap();
                done += 1;
            }
        }
        sessions.migrate().await.unwrap();
        assert_eq!(applied(&sessions).await, [true, true, true], "{polls}");
        sessions.create(user("1")).await.unwrap();
        assert_eq!(versions(&sessions.migrate_down().await.unwrap()), [3, 2, 1]);
        // How far it comes with so many polls differs from time to time.
        if done == 2 {
            break;
        }
    }
    assert!(cancelled > 0);
}

each_mode! {
    migrations_go_up_down_and_up_again,
    migrations_are_recorded_in_a_table_of_their_own,
    the_printed_statements_make_the_same_table,
    a_table_or_an_index_that_is_missing_is_made_again,
    every_table_has_its_indexes,
    eight_pools_migrate_at_once,
    eight_processes_migrate_at_once,
    a_table_that_lacks_a_column_is_an_error_that_says_how_to_add_it,
    a_nullable_column_is_added_to_a_table_with_rows,
    a_table_that_is_no_session_table_is_left_alone,
    a_name_that_is_no_identifier_never_becomes_sql,
    a_definition_is_read_back_from_the_database_as_it_was_declared,
    a_table_that_is_up_to_date_needs_no_right_to_write,
    a_migration_that_was_cancelled_is_done_by_the_next,
}
