//! The audit log: an entry for each change, written with it or not at all.

use std::time::Duration;

use cloakroom::{
    DynamicFields, EndReason, ErrorKind, Event, Exchange, NewSession, Outcome, PerOwner, Session,
    SessionTable, Sessions, Status, migrations,
};
use cloakroom_testing::{Kind, TestDatabase, each_database, each_mode};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::events::{Heard, SECOND, account};

const DAY: Duration = Duration::from_hours(24);

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "accounts", exchange, rotation_grace, audit_log)]
struct Audited {
    #[session(index, owner)]
    user_id: i64,
    #[session(authenticated_at)]
    authenticated_at: Option<OffsetDateTime>,
    #[session(ended_because)]
    ended_because: Option<String>,
}

impl From<i64> for Audited {
    fn from(user_id: i64) -> Self {
        Self { user_id, authenticated_at: None, ended_because: None }
    }
}

/// Returns the events in the log, the oldest first.
async fn logged(sessions: &Sessions<Audited>) -> Vec<Event> {
    let entries = sessions.audit_log().fetch_all().await.unwrap();
    entries.iter().rev().map(|entry| entry.event().unwrap()).collect()
}

/// Does everything that there is an entry of.
async fn do_everything(db: &TestDatabase, sessions: &Sessions<Audited>) {
    let next = || db.clock().advance(Duration::from_millis(5));
    let created = sessions.create(account(7)).await.unwrap();
    next();
    let mut session = created.session;
    *session.data = serde_json::json!({"theme": "dark"});
    sessions.update(&mut session).await.unwrap();
    next();
    sessions.rotate(&mut session).await.unwrap();
    next();
    sessions.rotate_with_grace(&mut session, SECOND).await.unwrap();
    next();
    let first = sessions.reauthenticate(&mut session).await.unwrap();
    next();
    let Some(Exchange::Successor(second)) = sessions.exchange(&first).await.unwrap() else {
        panic!("no successor");
    };
    next();
    sessions.exchange(&second.token).await.unwrap().unwrap();
    next();
    assert!(matches!(sessions.exchange(&first).await.unwrap(), Some(Exchange::Reused(_))));
    next();
    let mut ended = sessions.create(account(8)).await.unwrap().session;
    next();
    assert!(sessions.expire_because(&mut ended, EndReason::from_static("stolen")).await.unwrap());
    next();
    assert!(sessions.delete(ended).await.unwrap());
    next();
    let mut unending = sessions.create(account(8).never_expires()).await.unwrap().session;
    next();
    assert!(sessions.expire(&mut unending).await.unwrap());
    next();
    sessions.create(account(9)).await.unwrap();
    next();
    assert_eq!(sessions.query().expire_all().await.unwrap(), 1);
    next();
    let deleted = sessions.query().filter(Audited::USER_ID.eq(9)).status(Status::All).delete_all().await;
    assert_eq!(deleted.unwrap(), 1);
    next();
}

async fn each_change_has_one_entry_which_says_what_the_event_says(db: TestDatabase) {
    let (heard, sessions) = Heard::observe(&db.sessions::<Audited>().await);
    do_everything(&db, &sessions).await;
    let told = heard.take();
    let names: Vec<_> = told.iter().map(Event::name).collect();
    assert_eq!(
        names,
        [
            "created",
            "updated",
            "rotated",
            "rotated",
            "reauthenticated",
            "exchanged",
            "exchanged",
            "reused",
            "created",
            "ended",
            "deleted",
            "created",
            "ended",
            "created",
            "ended",
            "deleted"
        ]
    );
    assert_eq!(logged(&sessions).await, told);
    let entries = sessions.audit_log().fetch_all().await.unwrap();
    for (entry, event) in entries.iter().rev().zip(&told) {
        assert_eq!(
            (&entry.name[..], entry.session, &entry.owner, entry.recorded_at, &entry.reason),
            (
                event.name(),
                event.session(),
                &event.owner,
                event.at,
                &event.reason().map(|reason| reason.to_string())
            )
        );
        assert!(event.owner.is_some());
    }
    // Without an observer there are the same entries.
    let sessions = db.sessions::<Audited>().await;
    do_everything(&db, &sessions).await;
    let names_again: Vec<_> = logged(&sessions).await[told.len()..].iter().map(Event::name).collect();
    assert_eq!(names_again, names);
}

async fn what_is_rolled_back_leaves_no_entry(db: TestDatabase) {
    let sessions = db.sessions::<Audited>().await;
    let mut transaction = sessions.begin().await.unwrap();
    let mut within = sessions.within(&mut transaction);
    let mut session = within.create(account(7)).await.unwrap().session;
    assert!(within.expire(&mut session).await.unwrap());
    assert_eq!(within.audit_log().fetch_all().await.unwrap().len(), 2);
    transaction.rollback().await.unwrap();
    assert_eq!(logged(&sessions).await, []);
    let mut transaction = sessions.begin().await.unwrap();
    sessions.within(&mut transaction).create(account(7)).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(logged(&sessions).await.len(), 1);
}

/// Takes the log away, or brings it back.
async fn rename(db: &TestDatabase, from: &str, to: &str) {
    db.execute(&format!("ALTER TABLE {from} RENAME TO {to}")).await;
}

async fn a_change_that_cannot_be_recorded_is_not_made(db: TestDatabase) {
    let sessions = db.sessions::<Audited>().await;
    let created = sessions.create(account(7)).await.unwrap();
    let rows = async || {
        let mut rows = sessions.query().status(Status::All).fetch_all().await.unwrap();
        rows.sort_by_key(|session: &Session<Audited>| session.id);
        rows
    };
    let before = rows().await;
    rename(&db, "accounts_audit_log", "elsewhere").await;
    let failed = |done: cloakroom::Result<()>| {
        let error = done.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::MissingTable, Outcome::NotDone), "{error:?}");
    };
    let session = || created.session.clone();
    failed(sessions.create(account(7)).await.map(drop));
    let mut changed = session();
    *changed.data = serde_json::json!(1);
    failed(sessions.update(&mut changed).await);
    failed(sessions.rotate(&mut session()).await.map(drop));
    failed(sessions.rotate_with_grace(&mut session(), SECOND).await.map(drop));
    failed(sessions.reauthenticate(&mut session()).await.map(drop));
    failed(sessions.exchange(&created.token).await.map(drop));
    failed(sessions.expire(&mut session()).await.map(drop));
    failed(sessions.delete(session()).await.map(drop));
    failed(sessions.query().expire_all().await.map(drop));
    failed(sessions.query().delete_all().await.map(drop));
    failed(sessions.query().expire_all_returning().await.map(drop));
    let limited = sessions.clone().with_limit(PerOwner::at_most(1)).unwrap();
    failed(limited.create(account(7)).await.map(drop));
    rename(&db, "elsewhere", "accounts_audit_log").await;
    assert_eq!(rows().await, before);
    assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
    assert_eq!(logged(&sessions).await.len(), 1);
    // The session that a call was to change is as it was, so that the call may be repeated.
    let mut again = changed;
    sessions.update(&mut again).await.unwrap();
}

async fn an_extension_has_no_entry_and_needs_no_log(db: TestDatabase) {
    let sessions = db.sessions::<Audited>().await;
    let mut created = sessions.create(account(7)).await.unwrap();
    rename(&db, "accounts_audit_log", "elsewhere").await;
    db.clock().advance(DAY * 2);
    let session = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert!(session.expires_at > created.session.expires_at);
    db.clock().advance(DAY * 2);
    assert!(sessions.extend(&mut created.session).await.unwrap());
    rename(&db, "elsewhere", "accounts_audit_log").await;
    assert_eq!(logged(&sessions).await.len(), 1);
}

async fn an_evicted_session_has_its_entry_before_the_one_that_took_its_place(db: TestDatabase) {
    let sessions = db.sessions::<Audited>().await.with_limit(PerOwner::at_most(1)).unwrap();
    let first = sessions.create(account(7)).await.unwrap().session;
    let second = sessions.create(account(7)).await.unwrap().session;
    let logged = logged(&sessions).await;
    let names: Vec<_> = logged.iter().map(|event| (event.name(), event.session().unwrap())).collect();
    assert_eq!(names, [("created", first.id), ("evicted", first.id), ("created", second.id)]);
    assert!(logged.iter().all(|event| event.owner.as_deref() == Some("7")), "{logged:?}");
}

async fn the_log_is_asked_by_session_owner_event_time_and_page(db: TestDatabase) {
    let sessions = db.sessions::<Audited>().await;
    let start = db.now();
    let mut ids: Vec<Uuid> = Vec::new();
    for user in [7, 8, 7] {
        let mut session = sessions.create(account(user)).await.unwrap().session;
        db.clock().advance(SECOND);
        sessions.expire(&mut session).await.unwrap();
        db.clock().advance(SECOND);
        ids.push(session.id);
    }
    let log = || sessions.audit_log();
    let count = async |log: cloakroom::AuditLog<'static, Audited>| log.fetch_all().await.unwrap().len();
    assert_eq!(count(log()).await, 6);
    assert_eq!(count(log().session(ids[1])).await, 2);
    assert_eq!(count(log().owner(&7)).await, 4);
    assert_eq!(count(log().owner("70")).await, 0);
    assert_eq!(count(log().event("ended")).await, 3);
    assert_eq!(count(log().owner(&7).event("created").since(start + SECOND)).await, 1);
    assert_eq!(count(log().since(start + SECOND).until(start + SECOND * 3)).await, 2);
    let page = log().limit(4).fetch_all().await.unwrap();
    assert!(page.is_sorted_by_key(|entry| std::cmp::Reverse(entry.recorded_at)));
    let rest = log().limit(4).before(page[3].id).fetch_all().await.unwrap();
    assert_eq!((page.len(), rest.len()), (4, 2));
    assert!(rest[0].recorded_at < page[3].recorded_at);
    assert_eq!((rest[1].session, &rest[1].name[..]), (Some(ids[0]), "created"));
}

async fn entries_stay_when_sessions_are_pruned_and_go_by_their_own_age(db: TestDatabase) {
    let kept = db.config().audit_retention(DAY * 30);
    let sessions = db.sessions_with::<Audited>(kept).await;
    for _ in 0..3 {
        sessions.create(account(7)).await.unwrap();
    }
    db.clock().advance(DAY * 20);
    sessions.create(account(7)).await.unwrap();
    assert_eq!(sessions.delete_expired().await.unwrap(), 3);
    assert_eq!(logged(&sessions).await.len(), 4);
    db.clock().advance(DAY * 10 + SECOND);
    assert_eq!(sessions.delete_expired().await.unwrap(), 1);
    assert_eq!(logged(&sessions).await.len(), 1);
    // Without the setting they stay for ever.
    db.clock().advance(DAY * 4_000);
    db.sessions::<Audited>().await.delete_expired().await.unwrap();
    assert_eq!(logged(&sessions).await.len(), 1);
    sessions.delete_expired().await.unwrap();
    assert_eq!(logged(&sessions).await.len(), 0);
}

async fn an_entry_needs_a_transaction_on_a_connection_of_the_callers(db: TestDatabase) {
    let sessions = db.sessions::<Audited>().await;
    let mut session = sessions.create(account(7)).await.unwrap().session;
    macro_rules! check {
        ($pool:expr) => {{
            let mut connection = $pool.acquire().await.unwrap();
            let mut free = sessions.on_connection(&mut *connection);
            assert_eq!(free.create(account(7)).await.unwrap_err().kind(), ErrorKind::NoTransaction);
            assert_eq!(free.expire(&mut session).await.unwrap_err().kind(), ErrorKind::NoTransaction);
            let deleted = free.query().delete_all().await;
            assert_eq!(deleted.unwrap_err().kind(), ErrorKind::NoTransaction);
        }};
    }
    match db.kind() {
        Kind::Sqlite => check!(db.sqlite_pool()),
        Kind::Postgres => check!(db.postgres_pool()),
        Kind::MariaDb => check!(db.mariadb_pool()),
    }
    assert_eq!(sessions.query().count().await.unwrap(), 1);
    assert_eq!(logged(&sessions).await.len(), 1);
}

/// The same table, declared before it kept a log.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "accounts")]
struct Before {
    #[session(index, owner)]
    user_id: i64,
    #[session(ended_because)]
    ended_because: Option<String>,
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "accounts", audit_log)]
struct After {
    #[session(index, owner)]
    user_id: i64,
    #[session(ended_because)]
    ended_because: Option<String>,
}

async fn a_table_that_exists_gets_a_log_and_loses_it_with_itself(db: TestDatabase) {
    let before = db.sessions::<Before>().await;
    let fields = Before { user_id: 7, ended_because: None };
    let created = before.create(NewSession::new(fields)).await.unwrap();
    let config = || db.config().build().unwrap();
    let after = Sessions::<After>::new(db.database(), config()).unwrap();
    let missing = after.audit_log().fetch_all().await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::MissingTable);
    let names: Vec<_> = after.migrate().await.unwrap().iter().map(|done| done.version).collect();
    assert_eq!(names, [102]);
    assert!(after.migrate().await.unwrap().is_empty());
    let mut session = after.authenticate(&created.token).await.unwrap().unwrap();
    assert!(after.expire(&mut session).await.unwrap());
    let entries = after.audit_log().fetch_all().await.unwrap();
    assert_eq!((entries.len(), &entries[0].name[..]), (1, "ended"));
    // A tool that reads the table's definition from the database keeps the log too.
    let schema = db.schema().map(str::to_owned);
    let known = DynamicFields::definition_from(&db.database(), schema.as_deref(), "accounts").await;
    let known = known.unwrap().unwrap();
    assert!(known.keeps_audit_log());
    let tool = Sessions::<DynamicFields>::with_definition(db.database(), known, config()).unwrap();
    assert_eq!(tool.query().status(Status::All).delete_all().await.unwrap(), 1);
    assert_eq!(after.audit_log().session(session.id).fetch_all().await.unwrap().len(), 2);
    let undone: Vec<_> = after.migrate_down().await.unwrap().iter().map(|undone| undone.version).collect();
    assert_eq!(undone.first(), Some(&102));
    assert_eq!(after.audit_log().fetch_all().await.unwrap_err().kind(), ErrorKind::MissingTable);
}

async fn the_statements_of_the_migration_name_the_log(db: TestDatabase) {
    let backend = db.database().backend();
    let up = migrations::up_sql(&After::definition(), backend).unwrap();
    assert!(
        up.iter().any(|sql| sql.contains("CREATE TABLE") && sql.contains("accounts_audit_log")),
        "{up:?}"
    );
    let down = migrations::down_sql(&After::definition(), backend).unwrap();
    assert!(down[0].contains("accounts_audit_log"), "{down:?}");
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "of_long_names", audit_log)]
struct OfLongName {
    #[session(owner, sql_type = "text")]
    owner: String,
}

async fn an_owner_that_is_longer_than_the_column_is_found_by_the_whole(db: TestDatabase) {
    let sessions = db.sessions::<OfLongName>().await;
    let owner = "ö".repeat(300);
    sessions.create(NewSession::new(OfLongName { owner: owner.clone() })).await.unwrap();
    let entries = sessions.audit_log().owner(&owner).fetch_all().await.unwrap();
    assert_eq!(entries[0].owner.as_ref().map(|owner| owner.chars().count()), Some(255));
    assert_eq!(entries[0].event().unwrap().owner, Some(owner));
}

async fn an_entry_of_a_later_version_is_shown_as_far_as_it_is_known(db: TestDatabase) {
    let sessions = db.sessions::<Audited>().await;
    sessions.create(account(7)).await.unwrap();
    let details = r#"{"event":"levitated"}"#;
    db.execute(&format!("UPDATE accounts_audit_log SET event = 'levitated', details = '{details}'")).await;
    let [entry] = &sessions.audit_log().fetch_all().await.unwrap()[..] else { panic!("one entry") };
    assert_eq!((&entry.name[..], entry.event(), entry.owner.as_deref()), ("levitated", None, Some("7")));
    assert!(entry.details().contains("levitated"));
}

each_mode! {
    each_change_has_one_entry_which_says_what_the_event_says,
    a_change_that_cannot_be_recorded_is_not_made,
}

mod details {
    use super::*;

    each_database! {
        what_is_rolled_back_leaves_no_entry,
        an_extension_has_no_entry_and_needs_no_log,
        an_evicted_session_has_its_entry_before_the_one_that_took_its_place,
        the_log_is_asked_by_session_owner_event_time_and_page,
        entries_stay_when_sessions_are_pruned_and_go_by_their_own_age,
        an_entry_needs_a_transaction_on_a_connection_of_the_callers,
        a_table_that_exists_gets_a_log_and_loses_it_with_itself,
        the_statements_of_the_migration_name_the_log,
        an_owner_that_is_longer_than_the_column_is_found_by_the_whole,
        an_entry_of_a_later_version_is_shown_as_far_as_it_is_known,
    }
}
