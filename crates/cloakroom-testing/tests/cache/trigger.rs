//! On PostgreSQL, a trigger announces what any SQL revokes, whoever sends it.

use std::process::Command;

use cloakroom::{Backend, ErrorKind, SessionTable, Sessions, migrations};
use cloakroom_testing::{START, TestDatabase, UserSession, user};
use uuid::Uuid;

use crate::scene::{Heard, LATE, Scene, listening, until};

async fn with_trigger(db: TestDatabase) -> (Scene, Sessions<UserSession>) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().announce_by_trigger(true));
    assert_eq!(sessions.migration_plan().await.unwrap().len(), 7);
    sessions.migrate().await.unwrap();
    assert_eq!(sessions.migration_plan().await.unwrap(), Vec::<String>::new());
    (scene, sessions)
}

/// What this SQL makes the server announce.
async fn announced(scene: &Scene, heard: &mut Heard, sql: &str) -> Vec<String> {
    scene.db.execute(&sql.replace("SESSIONS", &format!("\"{}\"", scene.table))).await;
    let mut announced = heard.so_far(scene).await;
    announced.sort();
    announced
}

fn texts(ids: &[Uuid]) -> Vec<String> {
    let mut texts: Vec<_> = ids.iter().map(Uuid::to_string).collect();
    texts.sort();
    texts
}

async fn whatever_sql_revokes_is_announced_and_nothing_else(db: TestDatabase) {
    let (scene, sessions) = with_trigger(db).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(sessions.create(user(&n.to_string()).expires_at(LATE)).await.unwrap().session.id);
    }
    let ended = sessions.create(user("ended").expires_at(START)).await.unwrap().session.id;
    let long_over = sessions.create(user("long over")).await.unwrap().session.id;
    let mut heard = scene.hear().await;
    let mut announced = async |sql: &str| announced(&scene, &mut heard, sql).await;
    let none = Vec::<String>::new();
    // What leaves a session as it was, or better.
    for sql in [
        "UPDATE SESSIONS SET updated_at = updated_at + interval '1 second'",
        "UPDATE SESSIONS SET expires_at = expires_at + interval '1 day' WHERE user_id = '0'",
        "UPDATE SESSIONS SET expires_at = NULL WHERE user_id = '1'",
        "UPDATE SESSIONS SET user_id = user_id",
        "UPDATE SESSIONS SET user_id = 'x' WHERE false",
    ] {
        assert_eq!(announced(sql).await, none, "{sql}");
    }
    let one = |place: usize| texts(&ids[place..=place]);
    for (sql, expected) in [
        ("UPDATE SESSIONS SET expires_at = now() WHERE user_id = '0'", one(0)),
        ("UPDATE SESSIONS SET expires_at = '2500-01-01' WHERE user_id = '1'", one(1)),
        ("UPDATE SESSIONS SET data = '{\"changed\": true}' WHERE user_id = '2'", one(2)),
        ("UPDATE SESSIONS SET auth_token_digest = 'another' WHERE user_id = '3'", one(3)),
        ("UPDATE SESSIONS SET user_id = 'changed' WHERE user_id IN ('2', '3')", texts(&ids[2..])),
    ] {
        assert_eq!(announced(sql).await, expected, "{sql}");
    }
    // To delete what nobody accepts any more revokes nothing.
    let over = format!("DELETE FROM SESSIONS WHERE id IN ('{ended}', '{long_over}')");
    let long_ago = format!(
        "UPDATE SESSIONS SET expires_at = '2020-01-01', updated_at = '2019-12-01' WHERE id = '{long_over}'"
    );
    announced(&long_ago).await;
    assert_eq!(announced(&over).await, none);
    assert_eq!(announced("DELETE FROM SESSIONS WHERE user_id = '1'").await, one(1));
    assert_eq!(announced("TRUNCATE SESSIONS").await, ["*"]);
    assert_eq!(announced("DELETE FROM SESSIONS").await, none);
}

async fn many_at_once_are_announced_as_one(db: TestDatabase) {
    let (scene, sessions) = with_trigger(db).await;
    let mut heard = scene.hear().await;
    let fill = "INSERT INTO SESSIONS (id, auth_token_digest, data, user_id, inserted_at, updated_at) \
        SELECT md5(n::text)::uuid, n::text, '{}', 'n', now(), now() FROM generate_series(1, NUMBER) n";
    for (number, expected) in [("1000", 1000), ("1001", 1)] {
        assert_eq!(
            announced(&scene, &mut heard, &fill.replace("NUMBER", number)).await,
            Vec::<String>::new()
        );
        let all = announced(&scene, &mut heard, "DELETE FROM SESSIONS").await;
        assert_eq!((all.len(), all.contains(&"*".to_owned())), (expected, expected == 1));
    }
    assert_eq!(sessions.query().count().await.unwrap(), 0);
}

async fn what_the_library_revokes_is_announced_once(db: TestDatabase) {
    let (scene, sessions) = with_trigger(db).await;
    let mut heard = scene.hear().await;
    for delete in [false, true] {
        let mut session = sessions.create(user("1").expires_at(LATE)).await.unwrap().session;
        let id = session.id;
        assert_eq!(heard.so_far(&scene).await, Vec::<String>::new());
        if delete {
            assert!(sessions.delete(session).await.unwrap());
        } else {
            assert!(sessions.expire(&mut session).await.unwrap());
        }
        assert_eq!(heard.so_far(&scene).await, texts(&[id]), "not twice");
    }
}

async fn a_cascade_is_heard_by_the_caches_of_other_processes(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let there = scene.node_apart(scene.db.config().cache(listening())).await;
    let lasting = user("1234").expires_at(LATE);
    let token = scene.node(scene.db.config()).create(lasting).await.unwrap().token;
    scene.until_kept(&there, &token).await;
    scene.db.execute("CREATE TABLE people (id varchar PRIMARY KEY)").await;
    let table = format!("\"{}\"", scene.table);
    scene.db.execute(&format!("INSERT INTO people SELECT user_id FROM {table}")).await;
    scene
        .db
        .execute(&format!(
            "ALTER TABLE {table} ADD FOREIGN KEY (user_id) REFERENCES people ON DELETE CASCADE"
        ))
        .await;
    scene.node(scene.db.config().announce_by_trigger(true)).migrate().await.unwrap();
    // As an administrator does it, with a program that knows nothing of sessions.
    let removed = Command::new("psql")
        .args([scene.db.url(), "--quiet", "--command", "DELETE FROM people"])
        .status()
        .expect("psql comes with the server");
    assert!(removed.success());
    // The clock stands still, so nothing else makes the answer old.
    until("the other process refuses", async || there.authenticate(&token).await.unwrap().is_none()).await;
}

async fn migrating_makes_a_trigger_of_another_form_anew_and_leaves_none_behind(db: TestDatabase) {
    let (scene, sessions) = with_trigger(db).await;
    let table = format!("\"{}\"", scene.table);
    for spoil in [
        format!("DROP TRIGGER cloakroom_announce_delete ON {table}"),
        format!("ALTER TABLE {table} DISABLE TRIGGER cloakroom_announce_update"),
        format!(
            "CREATE OR REPLACE FUNCTION \"{}_cloakroom_announce\"() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN RETURN NULL; END'",
            scene.table
        ),
    ] {
        scene.db.execute(&spoil).await;
        assert_eq!(sessions.migration_plan().await.unwrap().len(), 7, "{spoil}");
        sessions.migrate().await.unwrap();
        assert_eq!(sessions.migration_plan().await.unwrap(), Vec::<String>::new(), "{spoil}");
    }
    let mut heard = scene.hear().await;
    sessions.create(user("1").expires_at(LATE)).await.unwrap();
    assert_eq!(announced(&scene, &mut heard, "DELETE FROM SESSIONS").await.len(), 1);
    sessions.migrate_down().await.unwrap();
    let left =
        format!("SELECT proname::text FROM pg_proc WHERE proname = '{}_cloakroom_announce'", scene.table);
    assert_eq!(scene.db.texts(&left).await, [None; 0]);
    assert_eq!(
        migrations::trigger_sql(&UserSession::definition(), Backend::Sqlite).unwrap(),
        Vec::<String>::new()
    );
    assert_eq!(sessions.query().count().await.unwrap_err().kind(), ErrorKind::MissingTable);
}

on_postgres! {
    whatever_sql_revokes_is_announced_and_nothing_else,
    many_at_once_are_announced_as_one,
    what_the_library_revokes_is_announced_once,
    a_cascade_is_heard_by_the_caches_of_other_processes,
    migrating_makes_a_trigger_of_another_form_anew_and_leaves_none_behind,
}
