//! What `migrate` does for a table whose sessions are to be bound.

use cloakroom::{
    ConfigError, DynamicFields, DynamicValue, ErrorKind, Hashing, NewSession, Registration, Role,
    SessionTable, Sessions, TableDefinition, migrations,
};
use cloakroom_testing::{Device, Kind, TestDatabase, UserSession, each_database};

use crate::{TERMS, Web, works};

/// The table before its sessions could be bound.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "web")]
struct Before {
    #[session(index)]
    user_id: String,
    #[session(hint)]
    shown: Option<String>,
}

async fn the_columns_are_added_to_a_table_that_exists_and_its_sessions_go_on(db: TestDatabase) {
    let before = db.sessions::<Before>().await;
    let old = before.create(NewSession::new(Before { user_id: "1234".into(), shown: None })).await.unwrap();
    let sessions = Sessions::<Web>::new(db.database(), db.config().build().unwrap()).unwrap();
    let status = sessions.migration_status().await.unwrap();
    let pending: Vec<_> = status.iter().filter(|(_, is_done)| !is_done).map(|(it, _)| it.version).collect();
    assert_eq!(pending, [101, 103]);
    let plan = sessions.migration_plan().await.unwrap();
    assert_eq!(plan.iter().filter(|statement| statement.contains("ADD COLUMN")).count(), 3, "{plan:?}");
    let done: Vec<_> = sessions.migrate().await.unwrap().iter().map(|it| it.version).collect();
    assert_eq!(done, [101, 103]);
    assert!(sessions.migrate().await.unwrap().is_empty());
    assert!(sessions.migration_plan().await.unwrap().is_empty());
    assert!(sessions.migration_status().await.unwrap().iter().all(|(_, is_done)| *is_done));

    // A session from before is as it was, and can be bound.
    let read = sessions.authenticate(&old.token).await.unwrap().unwrap();
    assert!(!read.is_bound() && read.fields.user_id == "1234");
    let challenge = sessions.device_challenge(&read).await.unwrap().unwrap();
    let proof = Device::new().registration(challenge.as_str());
    let registration = sessions.register_device(&old.token, Some(&proof), &TERMS).await.unwrap();
    assert!(matches!(registration, Registration::Bound(_)));
    // A process of the older version reads it, as long as its handle does.
    assert!(before.authenticate(&old.token).await.unwrap().is_some());
    let created = before.create(NewSession::new(Before { user_id: "5678".into(), shown: None })).await;
    assert!(works(&sessions, &created.unwrap().token).await);

    let undone: Vec<_> = sessions.migrate_down().await.unwrap().iter().map(|it| it.version).collect();
    assert_eq!(undone, [103, 101, 3, 2, 1]);
}

async fn a_column_that_is_missing_is_added_and_one_of_another_type_is_refused(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    db.execute_anew("ALTER TABLE web DROP COLUMN device_challenge").await;
    let done: Vec<_> = sessions.migrate().await.unwrap().iter().map(|it| it.version).collect();
    assert_eq!(done, [103]);
    db.execute_anew("ALTER TABLE web DROP COLUMN device_token_until").await;
    let binary = if db.kind() == Kind::Postgres { "bytea" } else { "blob" };
    db.execute_anew(&format!("ALTER TABLE web ADD COLUMN device_token_until {binary}")).await;
    let error = sessions.migrate().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ColumnMismatch);
    assert!(error.to_string().contains("device_token_until"), "{error}");
}

async fn the_definition_that_is_read_from_the_database_knows_the_role(db: TestDatabase) {
    db.sessions::<Web>().await;
    let read = DynamicFields::definition_from(&db.database(), None, "web").await.unwrap().unwrap();
    let names: Vec<_> = read.fields().iter().map(cloakroom::FieldDefinition::name).collect();
    assert_eq!(names, ["user_id", "shown", "device_key"]);
    assert_eq!(read.field_for(Role::DeviceKey).map(cloakroom::FieldDefinition::name), Some("device_key"));
    let config = db.config().build().unwrap();
    let dynamic = Sessions::<DynamicFields>::with_definition(db.database(), read, config).unwrap();
    assert!(dynamic.migrate().await.unwrap().is_empty());
    let mut fields = DynamicFields::new(dynamic.definition(), dynamic.backend());
    fields.set("user_id", DynamicValue::Text("1234".into())).unwrap();
    let created = dynamic.create(NewSession::new(fields)).await.unwrap();
    let challenge = dynamic.device_challenge(&created.session).await.unwrap().unwrap();
    let proof = Device::new().registration(challenge.as_str());
    let registration = dynamic.register_device(&created.token, Some(&proof), &TERMS).await.unwrap();
    let Registration::Bound(bound) = registration else { panic!("{registration:?}") };
    assert!(bound.session.is_bound());
    let read = dynamic.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read, bound.session);
}

async fn a_table_without_the_role_binds_nothing_and_has_none_of_it(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let read = DynamicFields::definition_from(&db.database(), None, "sessions").await.unwrap().unwrap();
    assert_eq!(read.field_for(Role::DeviceKey).map(cloakroom::FieldDefinition::name), None);
    let config = db.config().build().unwrap();
    let dynamic = Sessions::<DynamicFields>::with_definition(db.database(), read, config).unwrap();
    let error = dynamic.renew_bound("x".repeat(64), None, &TERMS).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let sql = migrations::up_sql(sessions.definition(), sessions.backend()).unwrap();
    assert!(!sql.concat().contains("device"), "{sql:?}");
}

async fn tokens_that_could_be_renewed_without_a_proof_are_refused(db: TestDatabase) {
    let plaintext = db.config().hashing(Hashing::DangerousPlaintext).build().unwrap();
    let refused = Sessions::<Web>::new(db.database(), plaintext).unwrap_err();
    assert_eq!(refused, ConfigError::BoundPlaintext);
    assert!(refused.to_string().contains("choose a hashing"), "{refused}");
    let exchanged: TableDefinition = Web::definition().exchange();
    let config = db.config().build().unwrap();
    let refused = Sessions::<Web>::with_definition(db.database(), exchanged, config).unwrap_err();
    assert_eq!(refused, ConfigError::ExchangeOfBound);
}

each_database! {
    the_columns_are_added_to_a_table_that_exists_and_its_sessions_go_on,
    a_column_that_is_missing_is_added_and_one_of_another_type_is_refused,
    the_definition_that_is_read_from_the_database_knows_the_role,
    a_table_without_the_role_binds_nothing_and_has_none_of_it,
    tokens_that_could_be_renewed_without_a_proof_are_refused,
}
