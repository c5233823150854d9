//! What a version with one more column than this one does.

use std::path::PathBuf;

use tokio::task::JoinSet;

use crate::database::ColumnType;
use crate::migrations::*;
use crate::table::{DynamicFields, DynamicValue};
use crate::{Config, NewSession, Sessions};

const LATER: Migration = Migration { version: 4, name: "add what comes later" };

fn later() -> (Vec<Migration>, Vec<BuiltInColumn>) {
    let added = BuiltInColumn {
        name: "added_later",
        column_type: ColumnType::Integer,
        nullable: true,
        since: LATER.version,
        value: |_| FieldValue::plain(None::<i64>),
    };
    let columns = BUILT_IN_COLUMNS.iter().cloned().chain([added]).collect();
    ([STEPS.migrations, &[LATER]].concat(), columns)
}

/// A database file that is removed when it is dropped.
struct File(PathBuf);

impl File {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("cloakroom-{}.db", uuid::Uuid::now_v7())))
    }

    async fn open(&self) -> Database {
        Database::connect(&format!("sqlite:{}", self.0.display())).await.unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}

fn definition() -> TableDefinition {
    TableDefinition::new("sessions").field(crate::FieldDefinition::dynamic("user_id", ColumnType::Text))
}

fn sessions(database: &Database) -> Sessions<DynamicFields> {
    Sessions::with_definition(database.clone(), definition(), Config::default()).unwrap()
}

fn user(database: &Database) -> NewSession<DynamicFields> {
    let mut fields = DynamicFields::new(&definition(), database.backend());
    fields.set("user_id", DynamicValue::Text("ada".to_owned())).unwrap();
    NewSession::new(fields)
}

async fn migrate(database: &Database) -> Result<Vec<Migration>> {
    let (migrations, columns) = later();
    let steps = Steps { migrations: &migrations, columns: &columns, has_trigger: false };
    take(steps, database, &definition(), OffsetDateTime::now_utc()).await
}

async fn columns(database: &Database) -> Vec<String> {
    let described = Connection::of(database).described(None, "sessions").await.unwrap();
    described.into_iter().map(|column| column.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn adds_its_column_to_a_table_that_this_version_goes_on_using() {
    let file = File::new();
    let database = file.open().await;
    let sessions = sessions(&database);
    assert_eq!(sessions.migrate().await.unwrap(), [TABLE, INDEXES, SLIDING]);
    let mut load = JoinSet::new();
    for _ in 0..4 {
        let (sessions, database) = (sessions.clone(), database.clone());
        load.spawn(async move {
            for _ in 0..100 {
                let created = sessions.create(user(&database)).await.unwrap();
                assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
            }
        });
    }
    let mut processes = JoinSet::new();
    for _ in 0..4 {
        let database = file.open().await;
        processes.spawn(async move {
            let done = migrate(&database).await.unwrap();
            database.close().await;
            done
        });
    }
    let done: Vec<_> = processes.join_all().await.concat();
    assert_eq!(done, [LATER], "one process did it, once");
    load.join_all().await;
    assert!(columns(&database).await.contains(&"added_later".to_owned()));
    assert_eq!(migrate(&database).await.unwrap(), [], "there is nothing left to do");
    assert_eq!(sessions.migrate().await.unwrap(), [], "nor for this version");
    assert_eq!(sessions.query().count().await.unwrap(), 400);
}

#[tokio::test]
async fn adds_its_column_to_a_table_that_somebody_else_made() {
    let file = File::new();
    let database = file.open().await;
    for statement in up_sql(&definition(), Backend::Sqlite).unwrap() {
        Connection::of(&database).execute_raw(&statement).await.unwrap();
    }
    assert_eq!(migrate(&database).await.unwrap(), [TABLE, INDEXES, SLIDING, LATER]);
    assert!(columns(&database).await.contains(&"added_later".to_owned()));
    sessions(&database).create(user(&database)).await.unwrap();
}

#[tokio::test]
async fn restores_its_column_if_it_is_gone() {
    let file = File::new();
    let database = file.open().await;
    sessions(&database).migrate().await.unwrap();
    assert_eq!(migrate(&database).await.unwrap(), [LATER]);
    // Another connection may not have noticed yet that there is such a column.
    let other = file.open().await;
    let drop = "ALTER TABLE sessions DROP COLUMN added_later";
    Connection::of(&other).execute_raw(drop).await.unwrap();
    assert_eq!(migrate(&database).await.unwrap(), [LATER]);
    assert!(columns(&database).await.contains(&"added_later".to_owned()));
}
