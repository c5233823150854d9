//! The table of retired tokens: how it is made, and what leaves it.

use cloakroom::{DynamicFields, ErrorKind, SessionTable, Sessions, Status, TableDefinition, migrations};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_database, user};

use crate::{App, DAY, app, count, exchanged};

fn unmigrated<T: SessionTable>(db: &TestDatabase) -> Sessions<T> {
    Sessions::new(db.database(), db.config().build().unwrap()).unwrap()
}

async fn versions(sessions: &Sessions<App>) -> Vec<(u32, bool)> {
    let status = sessions.migration_status().await.unwrap();
    status.into_iter().map(|(migration, is_applied)| (migration.version, is_applied)).collect()
}

fn is_applied(status: &[(u32, bool)]) -> bool {
    status.iter().all(|(_, is_applied)| *is_applied)
}

async fn the_table_is_made_and_dropped_with_the_sessions_and_only_if_it_is_asked_for(db: TestDatabase) {
    let sessions = unmigrated::<App>(&db);
    let before = versions(&sessions).await;
    assert_eq!(before.last(), Some(&(101, false)));
    for _ in 0..2 {
        let plan = sessions.migration_plan().await.unwrap();
        assert!(plan.iter().any(|statement| statement.contains("app_sessions_retired_tokens")), "{plan:?}");
        let done = sessions.migrate().await.unwrap();
        assert_eq!(done.len(), before.len());
        assert_eq!(done.last().unwrap().name, "create the table of retired tokens");
        assert!(is_applied(&versions(&sessions).await));
        assert!(sessions.migrate().await.unwrap().is_empty());
        assert!(sessions.migration_plan().await.unwrap().is_empty());
        let created = sessions.create(app("1234")).await.unwrap();
        exchanged(&sessions, &created.token).await;
        let undone = sessions.migrate_down().await.unwrap();
        assert_eq!((undone.len(), undone[0].version), (before.len(), 101));
        assert_eq!(versions(&sessions).await, before);
    }
    for statement in migrations::up_sql(&App::definition(), sessions.backend()).unwrap() {
        db.execute(&statement).await;
    }
    // Only the record of it is missing.
    assert!(sessions.migrate().await.unwrap().iter().all(|migration| migration.version < 100));
    let created = sessions.create(app("1234")).await.unwrap();
    exchanged(&sessions, &created.token).await;
    let down = migrations::down_sql(&App::definition(), sessions.backend()).unwrap();
    assert!(down[0].contains("app_sessions_retired_tokens"), "{down:?}");
    for statement in down {
        db.execute(&statement).await;
    }
    let plain = db.sessions::<UserSession>().await;
    assert!(plain.migration_status().await.unwrap().iter().all(|(migration, _)| migration.version < 100));
    let sql = migrations::up_sql(&UserSession::definition(), plain.backend()).unwrap().concat();
    assert!(!sql.contains("retired"), "{sql}");
}

/// The table of `UserSession`, with the attribute.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "sessions", exchange)]
struct Exchanging {
    #[session(index)]
    user_id: String,
}

async fn a_table_that_has_sessions_gets_one(db: TestDatabase) {
    let plain = db.sessions::<UserSession>().await;
    let created = plain.create(user("1234")).await.unwrap();
    let exchanging = unmigrated::<Exchanging>(&db);
    let error = exchanging.exchange(&created.token).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingTable);
    // Nothing was done.
    assert!(plain.authenticate(&created.token).await.unwrap().is_some());
    let done = exchanging.migrate().await.unwrap();
    assert_eq!(done.iter().map(|migration| migration.version).collect::<Vec<_>>(), [101]);
    let next = exchanging.exchange(&created.token).await.unwrap().unwrap().successor().unwrap();
    assert!(plain.authenticate(&next.token).await.unwrap().is_some());
}

async fn its_indexes_are_made_again_and_another_table_of_its_name_is_none(db: TestDatabase) {
    let sessions = db.sessions::<App>().await;
    let drop = "DROP INDEX app_sessions_retired_tokens_usable_until_index";
    let on = if db.kind() == Kind::MariaDb { " ON app_sessions_retired_tokens" } else { "" };
    db.execute(&format!("{drop}{on}")).await;
    let done = sessions.migrate().await.unwrap();
    assert_eq!(done.iter().map(|migration| migration.version).collect::<Vec<_>>(), [101]);
    assert!(sessions.migrate().await.unwrap().is_empty());

    db.execute("DROP TABLE app_sessions_retired_tokens").await;
    db.execute("CREATE TABLE app_sessions_retired_tokens (token_digest varchar(10) NOT NULL)").await;
    let error = sessions.migrate().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingColumn);
    assert!(error.to_string().contains("session_id"), "{error}");
}

async fn its_name_is_shortened_where_the_tables_is_long(db: TestDatabase) {
    let config = || db.config().build().unwrap();
    let long = |last: &str| TableDefinition::new(format!("{}{last}", "x".repeat(59))).exchange();
    let mut tokens = Vec::new();
    for last in ["a", "b"] {
        let sessions: Sessions<DynamicFields> =
            Sessions::with_definition(db.database(), long(last), config()).unwrap();
        assert_eq!(sessions.migrate().await.unwrap().last().unwrap().version, 101);
        assert!(sessions.migrate().await.unwrap().is_empty());
        let fields = DynamicFields::new(sessions.definition(), sessions.backend());
        let created = sessions.create(cloakroom::NewSession::new(fields)).await.unwrap();
        assert!(sessions.exchange(&created.token).await.unwrap().is_some());
        tokens.push((sessions, created.token));
    }
    assert!(tokens[0].0.exchange(&tokens[1].1).await.unwrap().is_none());
}

async fn the_definition_that_is_read_from_the_database_knows_of_it(db: TestDatabase) {
    db.sessions::<App>().await;
    db.sessions::<UserSession>().await;
    for (table, is_kept) in [("app_sessions", true), ("sessions", false)] {
        let read = DynamicFields::definition_from(&db.database(), None, table).await.unwrap().unwrap();
        assert_eq!((read.has_rotation_grace(), read.exchanges_tokens()), (is_kept, false));
    }
}

async fn tokens_of_sessions_that_are_gone_leave_however_the_sessions_went(db: TestDatabase) {
    const EACH: usize = 3;
    let sessions = db.sessions::<App>().await;
    let retired = || count(&db, "app_sessions_retired_tokens");
    for user in ["deleted", "all", "sql", "expired", "ended", "stays"] {
        let new = app(user);
        let new = if user == "expired" { new.expires_in(DAY) } else { new.never_expires() };
        let mut created = sessions.create(new).await.unwrap();
        for _ in 0..EACH {
            created = exchanged(&sessions, &created.token).await;
        }
    }
    assert_eq!(retired().await, 6 * EACH);
    let of = |user: &str| sessions.query().filter(App::USER_ID.eq(user)).status(Status::All);
    let deleted = of("deleted").fetch_one().await.unwrap();
    assert!(sessions.delete(deleted).await.unwrap());
    assert_eq!(retired().await, 5 * EACH, "at once");
    assert_eq!(of("all").delete_all().await.unwrap(), 1);
    db.execute("DELETE FROM app_sessions WHERE user_id = 'sql'").await;
    sessions.delete_expired().await.unwrap();
    assert_eq!(retired().await, 3 * EACH);
    // What has ended is kept for as long as its row is.
    of("ended").expire_all().await.unwrap();
    db.clock().advance(DAY / 2);
    sessions.delete_expired_for(DAY, |_| {}).await.unwrap();
    assert_eq!(retired().await, 3 * EACH);
    db.clock().advance(DAY / 2);
    assert_eq!(sessions.delete_expired().await.unwrap(), 2);
    assert_eq!(retired().await, EACH);
    assert_eq!(of("stays").count().await.unwrap(), 1);
}

async fn a_prune_looks_at_all_of_many_sessions(db: TestDatabase) {
    const SESSIONS: usize = 1234;
    let sessions = db.sessions::<App>().await;
    let created = sessions.create(app("stays").never_expires()).await.unwrap();
    exchanged(&sessions, &created.token).await;
    let (uuid, now) = match db.kind() {
        Kind::Sqlite => ("x'", "'2026-01-01T00:00:00.000000Z'"),
        Kind::Postgres => ("'", "'2026-01-01T00:00:00Z'"),
        Kind::MariaDb => ("x'", "'2026-01-01 00:00:00'"),
    };
    // Two of each session, on both sides of the one that stays.
    let rows: Vec<String> = (0..2 * SESSIONS)
        .map(|number| {
            let half = if number % 4 < 2 { "00" } else { "ff" };
            format!("('{number:064x}', {uuid}{half}{:030x}', {now})", number / 2)
        })
        .collect();
    for rows in rows.chunks(500) {
        let sql = "INSERT INTO app_sessions_retired_tokens (token_digest, session_id, retired_at) VALUES";
        db.execute(&format!("{sql} {}", rows.join(", "))).await;
    }
    assert_eq!(count(&db, "app_sessions_retired_tokens").await, 1 + 2 * SESSIONS);
    let mut transaction = sessions.begin().await.unwrap();
    sessions.within(&mut transaction).delete_expired().await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(count(&db, "app_sessions_retired_tokens").await, 1 + 2 * SESSIONS);
    sessions.delete_expired().await.unwrap();
    assert_eq!(count(&db, "app_sessions_retired_tokens").await, 1);
}

each_database! {
    the_table_is_made_and_dropped_with_the_sessions_and_only_if_it_is_asked_for,
    a_table_that_has_sessions_gets_one,
    its_indexes_are_made_again_and_another_table_of_its_name_is_none,
    its_name_is_shortened_where_the_tables_is_long,
    the_definition_that_is_read_from_the_database_knows_of_it,
    tokens_of_sessions_that_are_gone_leave_however_the_sessions_went,
    a_prune_looks_at_all_of_many_sessions,
}
