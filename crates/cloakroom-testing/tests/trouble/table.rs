use cloakroom::{ErrorKind, NewSession, Sessions};
use cloakroom_testing::{ApiKey, Kind, Role, TestDatabase, UserSession, each_database, user};

use crate::everything::every_operation_but;

async fn without_its_table_every_operation_says_to_migrate(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    db.clock().advance(time::Duration::days(-2));
    let created = sessions.create(user("1234")).await.unwrap();
    db.clock().advance(time::Duration::days(2));
    sessions.migrate_down().await.unwrap();
    // What is due to be extended is written, and so asks the database.
    let outcomes = every_operation_but(&[], &sessions, &created.session, &created.token).await;
    for outcome in outcomes {
        let error = outcome.error.unwrap_or_else(|| panic!("{} works without a table", outcome.operation));
        assert_eq!(error.kind(), ErrorKind::MissingTable, "{}: {error:?}", outcome.operation);
        assert!(error.to_string().contains("migrate"), "{}: {error}", outcome.operation);
        assert!(error.to_string().contains("sessions"), "{}: {error}", outcome.operation);
    }
    assert!(sessions.migration_status().await.unwrap().iter().all(|(_, is_applied)| !is_applied));
    sessions.migrate().await.unwrap();
    sessions.create(user("1234")).await.unwrap();
}

async fn without_its_schema_every_read_says_to_migrate(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await.with_schema("no_such_schema").unwrap();
    let error = sessions.authenticate("a token of some length").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingTable, "{error:?}");
    assert!(error.to_string().contains("no_such_schema.sessions"), "{error}");
}

async fn api_keys(db: &TestDatabase) -> (Sessions<ApiKey>, cloakroom::CreatedSession<ApiKey>) {
    let sessions = db.sessions::<ApiKey>().await;
    let created = sessions.create(NewSession::new(key())).await.unwrap();
    (sessions, created)
}

fn key() -> ApiKey {
    ApiKey { user_id: "1234".into(), role: Role::Admin, quota: Some(5) }
}

async fn a_declared_column_that_the_table_lacks_is_named(db: TestDatabase) {
    for column in ["quota", "updated_at"] {
        let (sessions, created) = api_keys(&db).await;
        db.execute(&format!("ALTER TABLE api_keys DROP COLUMN {column}")).await;
        let mut session = created.session.clone();
        session.fields.quota = Some(6);
        let errors = [
            sessions.create(NewSession::new(key())).await.unwrap_err(),
            sessions.authenticate(&created.token).await.unwrap_err(),
            sessions.query().fetch_all().await.unwrap_err(),
            sessions.update(&mut session).await.unwrap_err(),
            sessions.reload(&mut session).await.unwrap_err(),
            sessions.migrate().await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::MissingColumn, "{error:?}");
            assert!(error.to_string().contains(column) && error.to_string().contains("api_keys"), "{error}");
        }
        sessions.migrate_down().await.unwrap();
    }
}

async fn the_error_of_a_lacking_column_says_how_to_add_it(db: TestDatabase) {
    let (sessions, created) = api_keys(&db).await;
    db.execute("ALTER TABLE api_keys DROP COLUMN quota").await;
    let error = sessions.migrate().await.unwrap_err().to_string();
    let (_, statement) = error.split_once("add it with: ").unwrap();
    db.execute_anew(statement).await;
    sessions.migrate().await.unwrap();
    let session = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(session.fields.quota, None);
}

async fn a_row_that_does_not_decode_is_an_error_that_names_the_column(db: TestDatabase) {
    let (sessions, created) = api_keys(&db).await;
    db.execute("UPDATE api_keys SET role = 'nonsense'").await;
    let errors = [
        sessions.authenticate(&created.token).await.unwrap_err(),
        sessions.query().fetch_all().await.unwrap_err(),
        sessions.query().id(created.session.id).fetch_one().await.unwrap_err(),
        sessions.reload(&mut created.session.clone()).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Decode, "{error:?}");
        assert!(error.to_string().contains("role"), "{error}");
    }
    // What need not read the row works on.
    assert_eq!(sessions.query().count().await.unwrap(), 1);
    assert!(sessions.expire(&mut created.session.clone()).await.unwrap());
    assert!(sessions.delete(created.session).await.unwrap());
}

async fn text_that_is_not_utf_8_is_an_error_that_names_the_column(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1234")).await.unwrap();
    let planted = match db.kind() {
        Kind::Sqlite => db.try_execute("UPDATE sessions SET user_id = CAST(x'fffe' AS TEXT)").await,
        Kind::Postgres => db.try_execute(r"UPDATE sessions SET user_id = E'\xff\xfe'").await,
        Kind::MariaDb => db.try_execute("UPDATE sessions SET user_id = x'fffe'").await,
    };
    let read = sessions.authenticate(&created.token).await;
    if db.kind() == Kind::Sqlite {
        planted.unwrap();
        let error = read.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{error:?}");
        assert!(error.to_string().contains("user_id"), "{error}");
    } else {
        // The servers keep such text out themselves.
        planted.unwrap_err();
        assert_eq!(read.unwrap(), Some(created.session));
    }
}

each_database! {
    without_its_table_every_operation_says_to_migrate,
    without_its_schema_every_read_says_to_migrate,
    a_declared_column_that_the_table_lacks_is_named,
    the_error_of_a_lacking_column_says_how_to_add_it,
    a_row_that_does_not_decode_is_an_error_that_names_the_column,
    text_that_is_not_utf_8_is_an_error_that_names_the_column,
}
