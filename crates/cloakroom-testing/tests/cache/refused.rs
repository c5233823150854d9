//! PostgreSQL may refuse to announce: its queue of notifications is full. Then a revocation is made without.

use std::error::Error as _;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use cloakroom::{NewSession, PerOwner, SessionFields, SessionTable, Sessions, Status};
use cloakroom_testing::{TestDatabase, UserSession, user};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use time::OffsetDateTime;

use crate::revoked::CHANGES;
use crate::scene::{LATE, Scene, listening, until};

/// A pool whose statements find functions of the test's in place of the server's: the queue is full, which a transaction
/// is told by its commit, and is asked for how full it is.
async fn full(scene: &Scene) -> sqlx::PgPool {
    let schema = scene.db.schema().unwrap();
    scene
        .db
        .execute(&format!(
            "CREATE SEQUENCE asked;
             CREATE TABLE notifications (payload text);
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN RAISE EXCEPTION 'too many notifications in the NOTIFY queue' USING ERRCODE = '54000'; END $$;
             CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON notifications DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION refuse();
             CREATE FUNCTION pg_notify(text, text) RETURNS void VOLATILE LANGUAGE sql AS $$
                 INSERT INTO {schema}.notifications VALUES ($2) $$;
             CREATE FUNCTION pg_notification_queue_usage() RETURNS double precision VOLATILE LANGUAGE sql AS $$
                 SELECT nextval('{schema}.asked')::double precision $$"
        ))
        .await;
    let options: PgConnectOptions = (*scene.db.postgres_pool().connect_options()).clone();
    let options = options.options([("search_path", format!("{schema},pg_catalog"))]);
    PgPoolOptions::new().max_connections(4).connect_with(options).await.unwrap()
}

async fn how_often_asked(scene: &Scene) -> i64 {
    let asked = scene.db.texts("SELECT (last_value * is_called::int)::text FROM asked").await;
    asked[0].as_ref().unwrap().parse().unwrap()
}

/// Makes the trigger that announces what any SQL revokes, on a server whose queue is full.
async fn make_trigger<F: SessionFields>(scene: &Scene, sessions: &Sessions<F>, table: &str) {
    sessions.migrate().await.unwrap();
    let schema = scene.db.schema().unwrap();
    scene
        .db
        .execute(&format!(
            "ALTER FUNCTION \"{table}_cloakroom_announce\"() SET search_path = {schema}, pg_catalog"
        ))
        .await;
}

async fn a_revocation_does_not_fail_because_it_cannot_be_announced(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let pool = full(&scene).await;
    make_all_changes(&scene, &scene.node_on(pool.clone(), scene.db.config().cache(listening()))).await;
    pool.close().await;
}

async fn nor_because_the_trigger_cannot_announce_it(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let pool = full(&scene).await;
    for announces in [true, false] {
        let config = scene.db.config().cache(listening()).announce(announces).announce_by_trigger(true);
        let here = scene.node_on(pool.clone(), config);
        make_trigger(&scene, &here, &scene.table).await;
        make_all_changes(&scene, &here).await;
    }
    // The trigger still announces what others revoke, and what they revoke silently is theirs to say.
    scene.node_on(pool.clone(), scene.db.config()).create(user("1234").expires_at(LATE)).await.unwrap();
    let sql = |before: &str| format!("BEGIN; {before} DELETE FROM \"{}\"; COMMIT", scene.table);
    let refused = sqlx::raw_sql(AssertSqlSafe(sql(""))).execute(&pool).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "54000");
    let silently = sql("SET LOCAL cloakroom.announces = 'off';");
    sqlx::raw_sql(AssertSqlSafe(silently)).execute(&pool).await.unwrap();
    assert_eq!(scene.db.texts(&format!("SELECT id::text FROM \"{}\"", scene.table)).await, [None; 0]);
    // The trigger announces the deletion of what expired lately by the server's clock.
    let here = scene.node_on(pool.clone(), scene.db.config());
    let lately = OffsetDateTime::now_utc() - Duration::from_hours(1);
    here.create(user("1234").expires_at(lately)).await.unwrap();
    let left = lately - scene.db.now();
    scene.db.clock().advance(left.unsigned_abs() + Duration::from_secs(1));
    let before = how_often_asked(&scene).await;
    assert_eq!(here.delete_expired().await.unwrap(), 1);
    assert_eq!(how_often_asked(&scene).await, before + 1);
    pool.close().await;
}

/// Another limit of the server's has the same code.
async fn a_row_too_large_for_an_index_is_no_refused_announcement(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let pool = full(&scene).await;
    let here = scene.node_on(pool.clone(), scene.db.config().announce(false));
    let mut session = here.create(user("1234")).await.unwrap().session;
    scene.db.execute(&format!("CREATE INDEX ON \"{}\" (data)", scene.table)).await;
    // Numbers, since the server cannot compress them. It has a limit for each of these lengths.
    for length in [300, 3000] {
        let numbers: Vec<_> = (0..length).map(|n| RandomState::new().hash_one(n)).collect();
        *session.data = serde_json::json!({ "numbers": numbers });
        let error = here.update(&mut session).await.unwrap_err();
        assert!(format!("{:?}", error.source()).contains("54000"), "{error}");
    }
    assert_eq!(how_often_asked(&scene).await, 0);
    pool.close().await;
}

async fn make_all_changes(scene: &Scene, here: &Sessions<UserSession>) {
    let mut heard = scene.hear().await;
    for change in CHANGES {
        let before = how_often_asked(scene).await;
        let created = here.create(user("1234").expires_at(LATE)).await.unwrap();
        let valid = change.make(here, &created, scene.db.now()).await;
        let answer = here.authenticate(&created.token).await.unwrap();
        if change.changes_fields() {
            assert_eq!(answer.unwrap().fields.user_id, "changed", "{change:?}");
        } else {
            assert_eq!(answer, None, "{change:?}");
        }
        assert!(valid.is_none() || here.authenticate(valid.unwrap()).await.unwrap().is_some());
        // To ask empties the queue.
        assert!(how_often_asked(scene).await > before, "{change:?}");
    }
    assert_eq!(heard.so_far(scene).await, [""; 0]);
}

async fn many_at_once_do_not_fail_either(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let pool = full(&scene).await;
    let here = scene.node_on(pool.clone(), scene.db.config());
    let end = |n: usize| {
        let here: Sessions<UserSession> = here.clone();
        async move {
            let created = here.create(user(&n.to_string())).await.unwrap();
            let mut session = created.session;
            assert!(here.expire(&mut session).await.unwrap());
            assert!(here.delete(session).await.unwrap());
        }
    };
    futures_util::future::join_all((0..100).map(end)).await;
    assert_eq!(here.query().status(Status::All).count().await.unwrap(), 0);
    pool.close().await;
}

/// Fields of tables in which an end is a transaction of several statements.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "recorded", exchange, rotation_grace, audit_log)]
struct Recorded {
    #[session(index, owner)]
    user_id: String,
}

fn recorded() -> NewSession<Recorded> {
    NewSession::new(Recorded { user_id: "1234".into() })
}

async fn transactions_of_several_statements_do_not_fail_either(db: TestDatabase) {
    let scene = Scene::set(db).await;
    scene.db.sessions::<Recorded>().await;
    let pool = full(&scene).await;
    let config =
        |has_trigger| scene.db.config().cache(listening()).announce_by_trigger(has_trigger).build().unwrap();
    let here = |has_trigger| Sessions::<Recorded>::new(pool.clone(), config(has_trigger)).unwrap();
    end_in_transactions(&scene, &here(false)).await;
    scene.db.execute("DELETE FROM recorded_audit_log").await;
    scene.db.execute("DELETE FROM recorded").await;
    make_trigger(&scene, &here(true), "recorded").await;
    end_in_transactions(&scene, &here(true)).await;
    pool.close().await;
}

async fn end_in_transactions(scene: &Scene, here: &Sessions<Recorded>) {
    let limited = here.clone().with_limit(PerOwner::at_most(1)).unwrap();
    let before = how_often_asked(scene).await;
    let evicted = limited.create(recorded()).await.unwrap();
    let created = limited.create(recorded()).await.unwrap();
    assert_eq!(limited.authenticate(&evicted.token).await.unwrap(), None);
    let next = here.exchange(&created.token).await.unwrap().unwrap().successor().unwrap();
    let mut session = next.session;
    let rotated = here.rotate_with_grace(&mut session, Duration::from_secs(1)).await.unwrap();
    assert!(here.authenticate(&rotated).await.unwrap().is_some());
    assert!(here.expire(&mut session).await.unwrap());
    assert!(here.delete(session).await.unwrap());
    here.create(recorded()).await.unwrap();
    assert_eq!(here.query().expire_all().await.unwrap(), 1);
    assert_eq!(here.query().status(Status::All).delete_all_returning().await.unwrap().len(), 2);
    // Each of the seven that revoke was refused once, and emptied the queue.
    assert_eq!(how_often_asked(scene).await - before, 7);
    let mut names: Vec<_> =
        here.audit_log().fetch_all().await.unwrap().into_iter().map(|entry| entry.name).collect();
    names.reverse();
    assert_eq!(
        names,
        [
            "created",
            "evicted",
            "created",
            "exchanged",
            "rotated",
            "ended",
            "deleted",
            "created",
            "ended",
            "deleted",
            "deleted"
        ]
    );
}

/// The bound of what is not announced.
async fn another_process_learns_of_it_after_max_staleness(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let pool = full(&scene).await;
    let here = scene.node_on(pool.clone(), scene.db.config());
    let bound = Duration::from_secs(5);
    let cache = listening().max_staleness(bound).lease(Duration::from_hours(1));
    let there = scene.node_apart(scene.db.config().cache(cache)).await;
    let created = here.create(user("1234")).await.unwrap();
    scene.until_kept(&there, &created.token).await;
    assert!(here.expire(&mut created.session.clone()).await.unwrap());
    scene.db.clock().advance(bound);
    assert!(there.authenticate(&created.token).await.unwrap().is_some());
    scene.db.clock().advance(Duration::from_micros(1));
    until("the other node refuses", async || there.authenticate(&created.token).await.unwrap().is_none())
        .await;
    pool.close().await;
}

on_postgres! {
    a_revocation_does_not_fail_because_it_cannot_be_announced,
    nor_because_the_trigger_cannot_announce_it,
    a_row_too_large_for_an_index_is_no_refused_announcement,
    many_at_once_do_not_fail_either,
    transactions_of_several_statements_do_not_fail_either,
    another_process_learns_of_it_after_max_staleness,
}
