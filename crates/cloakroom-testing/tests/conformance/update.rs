use std::time::Duration;

use cloakroom::{ErrorKind, NewSession, SessionTable, Sessions, Status};
use cloakroom_testing::{Kind, START, TestDatabase, UserSession, each_mode, user};
use serde_json::json;
use time::OffsetDateTime;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

async fn an_update_writes_fields_data_and_expiry(db: TestDatabase) {
    let sessions = db.sessions_with::<UserSession>(db.config().auto_extend(false)).await;
    let mut session = sessions.create(user("1")).await.unwrap().session;
    let other = sessions.create(user("1")).await.unwrap().session;
    db.clock().advance(SECOND);
    session.fields.user_id = "2".into();
    *session.data = json!({"changed": true});
    session.expires_at = Some(START + DAY);
    sessions.update(&mut session).await.unwrap();
    assert_eq!(session.updated_at, START + SECOND);
    assert_eq!(session.inserted_at, START);
    assert_eq!(sessions.query().id(session.id).fetch_one().await.unwrap(), session);
    assert_eq!(session.fields.user_id, "2");
    assert_eq!(session.data, json!({"changed": true}));
    assert_eq!(session.expires_at, Some(START + DAY));
    assert_eq!(sessions.query().id(other.id).fetch_one().await.unwrap(), other);
    // And again, without reading it first.
    *session.data = json!([]);
    sessions.update(&mut session).await.unwrap();
    assert_eq!(sessions.query().id(session.id).fetch_one().await.unwrap(), session);
}

async fn of_two_writers_the_second_is_told_of_a_conflict(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut one = sessions.create(user("1")).await.unwrap().session;
    let mut other = one.clone();
    // Whether the clock moves between the two or not.
    for advance in [Duration::ZERO, SECOND] {
        *one.data = json!({"by": "one"});
        *other.data = json!({"by": "other"});
        sessions.update(&mut one).await.unwrap();
        db.clock().advance(advance);
        let error = sessions.update(&mut other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let row = sessions.query().fetch_one().await.unwrap();
        assert_eq!(row.data, json!({"by": "one"}));
        sessions.reload(&mut other).await.unwrap();
        assert_eq!(other, one);
        *other.data = json!({"by": "other"});
        sessions.update(&mut other).await.unwrap();
        sessions.reload(&mut one).await.unwrap();
        assert_eq!(one.data, json!({"by": "other"}));
    }
}

async fn every_kind_of_write_in_between_is_a_conflict(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for write in ["update", "extend", "rotate", "expire", "expire_all"] {
        let mut stale = sessions.create(user(write)).await.unwrap().session;
        let mut session = stale.clone();
        if write == "extend" {
            db.clock().advance(2 * DAY);
        }
        match write {
            "update" => sessions.update(&mut session).await.unwrap(),
            "extend" => assert!(sessions.extend(&mut session).await.unwrap()),
            "rotate" => drop(sessions.rotate(&mut session).await.unwrap()),
            "expire" => assert!(sessions.expire(&mut session).await.unwrap()),
            _ => assert_eq!(sessions.query().id(session.id).expire_all().await.unwrap(), 1),
        }
        stale.fields.user_id = "stale".into();
        let error = sessions.update(&mut stale).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{write}");
        let error = sessions.rotate(&mut stale).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Expired), "{write}: {error}");
        sessions.reload(&mut stale).await.unwrap();
        assert_eq!(stale.fields.user_id, write);
    }
}

async fn update_with_reads_again_and_starts_anew(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut one = sessions.create(user("1").data(json!({"a": 1, "b": 1}))).await.unwrap().session;
    let mut other = one.clone();
    sessions.update_with(&mut one, |session| session.data["a"] = json!(2)).await.unwrap();
    let mut runs = 0;
    sessions
        .update_with(&mut other, |session| {
            runs += 1;
            session.data["b"] = json!(2);
        })
        .await
        .unwrap();
    assert_eq!(runs, 2);
    assert_eq!(other.data, json!({"a": 2, "b": 2}));
    sessions.reload(&mut one).await.unwrap();
    assert_eq!(one, other);

    // What fails leaves the session as it was last read.
    let before = other.clone();
    let error = sessions.update_with(&mut other, |session| session.fields.user_id.clear()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidField);
    assert_eq!(other, before);
}

async fn writers_at_the_same_time_lose_nothing_while_the_clock_stands_still(db: TestDatabase) {
    const WRITERS: u64 = 6;
    const ROUNDS: u64 = 5;
    let sessions = db.sessions::<UserSession>().await;
    let session = sessions.create(user("1").data(json!({"count": 0}))).await.unwrap().session;
    let mut tasks = Vec::new();
    for _ in 0..WRITERS {
        let (sessions, mut session) = (sessions.clone(), session.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..ROUNDS {
                let count = |session: &mut cloakroom::Session<UserSession>| {
                    let count = session.data["count"].as_u64().unwrap();
                    session.data["count"] = json!(count + 1);
                };
                sessions.update_with(&mut session, count).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let session = sessions.query().fetch_one().await.unwrap();
    assert_eq!(session.data, json!({"count": WRITERS * ROUNDS}));
    let writes = i32::try_from(WRITERS * ROUNDS).unwrap();
    assert_eq!(session.updated_at, START + time::Duration::MICROSECOND * writes);
}

async fn a_session_that_is_gone_is_never_inserted_again(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    let mut session = created.session;
    assert!(sessions.delete(session.clone()).await.unwrap());
    assert!(!sessions.delete(session.clone()).await.unwrap());

    session.fields.user_id = "2".into();
    assert_eq!(sessions.update(&mut session).await.unwrap_err().kind(), ErrorKind::NotFound);
    let change = |session: &mut cloakroom::Session<UserSession>| *session.data = json!(1);
    assert_eq!(sessions.update_with(&mut session, change).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(sessions.reload(&mut session).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(sessions.rotate(&mut session).await.unwrap_err().kind(), ErrorKind::NotFound);
    db.clock().advance(2 * DAY);
    assert_eq!(sessions.extend(&mut session).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!sessions.expire(&mut session).await.unwrap());
    assert!(!session.is_valid(START + 2 * DAY));
    assert_eq!(sessions.authenticate(created.token).await.unwrap(), None);
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 0);
}

async fn updated_at_grows_with_every_write_whatever_the_clock_does(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut session = sessions.create(user("1").expires_at(START + 3 * DAY)).await.unwrap().session;
    let mut last = session.updated_at;
    let mut grown = async |updated_at: OffsetDateTime| {
        let row = sessions.query().status(Status::All).fetch_all().await.unwrap().remove(0);
        assert_eq!(row.updated_at, updated_at);
        assert!(updated_at > last, "{updated_at} after {last}");
        last = updated_at;
    };
    for to in [START, START - DAY, START + DAY, START, START - 9 * DAY] {
        db.clock().set(to);
        sessions.update(&mut session).await.unwrap();
        grown(session.updated_at).await;
        sessions.rotate(&mut session).await.unwrap();
        grown(session.updated_at).await;
        if sessions.extend(&mut session).await.unwrap() {
            grown(session.updated_at).await;
        }
    }
    assert!(sessions.expire(&mut session).await.unwrap());
    grown(session.updated_at).await;
    db.clock().set(START - 20 * DAY);
    // It has ended, whatever this clock says.
    assert_eq!(sessions.query().expire_all().await.unwrap(), 0);
    let mut stale = session.clone();
    sessions.reload(&mut session).await.unwrap();
    assert_eq!(session, stale);
    sessions.update(&mut session).await.unwrap();
    grown(session.updated_at).await;
    assert_eq!(sessions.update(&mut stale).await.unwrap_err().kind(), ErrorKind::Conflict);
}

async fn a_rotated_session_has_a_new_token_and_no_old_one(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1").data(json!({"kept": 1}))).await.unwrap();
    let mut session = created.session.clone();
    let token = sessions.rotate(&mut session).await.unwrap();
    assert!(token != created.token);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
    let read = sessions.authenticate(&token).await.unwrap().unwrap();
    assert_eq!(read, session);
    assert_eq!((read.id, &read.data), (created.session.id, &created.session.data));

    sessions.expire(&mut session).await.unwrap();
    assert_eq!(sessions.rotate(&mut session).await.unwrap_err().kind(), ErrorKind::Expired);
    assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
}

async fn an_expiry_is_set_by_an_update_but_never_to_bring_a_session_back(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    let mut session = created.session;
    for expires_at in [Some(START + DAY), None, Some(START + 400 * DAY), Some(START + SECOND)] {
        session.expires_at = expires_at;
        sessions.update(&mut session).await.unwrap();
        assert_eq!(sessions.query().fetch_all().await.unwrap(), [session.clone()]);
    }
    // Finer than what is stored.
    session.expires_at = Some(START + SECOND + Duration::from_nanos(1_999));
    sessions.update(&mut session).await.unwrap();
    assert_eq!(session.expires_at, Some(START + SECOND + Duration::from_micros(1)));
    assert_eq!(sessions.query().fetch_all().await.unwrap(), [session.clone()]);

    db.clock().advance(DAY);
    for revived in [None, Some(START + 2 * DAY)] {
        let mut attempt = session.clone();
        attempt.expires_at = revived;
        assert_eq!(sessions.update(&mut attempt).await.unwrap_err().kind(), ErrorKind::Expired);
    }
    // What else it holds may change, and its end may be moved in the past.
    session.fields.user_id = "2".into();
    session.expires_at = Some(START);
    sessions.update(&mut session).await.unwrap();
    assert_eq!(sessions.query().status(Status::Expired).fetch_one().await.unwrap(), session);
    assert_eq!(sessions.authenticate(created.token).await.unwrap(), None);
}

async fn what_is_over_as_it_was_read_and_lives_on_elsewhere_is_read_again_and_is_a_conflict(
    db: TestDatabase,
) {
    let sessions = db.sessions::<UserSession>().await;
    let mut session = sessions.create(user("1")).await.unwrap().session;
    let (mut asks, mut rotates, mut updates) = (session.clone(), session.clone(), session.clone());
    db.clock().advance(6 * DAY);
    assert!(sessions.extend(&mut session).await.unwrap());
    db.clock().advance(DAY);
    assert!(!asks.is_valid(db.now()) && session.is_valid(db.now()));

    updates.expires_at = Some(db.now() + DAY);
    assert_eq!(sessions.update(&mut updates).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(sessions.rotate(&mut rotates).await.unwrap_err().kind(), ErrorKind::Conflict);
    // The other's extension is so recent that none is due.
    assert!(!sessions.extend(&mut asks).await.unwrap());
    assert_eq!(asks, session);
}

async fn an_extension_that_is_not_due_leaves_what_the_caller_has_changed(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut session = sessions.create(user("1")).await.unwrap().session;
    session.fields.user_id = "2".into();
    *session.data = json!({"cart": 1});
    let before = session.clone();
    assert!(!sessions.extend(&mut session).await.unwrap());
    assert_eq!(session, before, "it was read again, and what was to be written is lost");
    sessions.update(&mut session).await.unwrap();
    assert_eq!(sessions.query().fetch_one().await.unwrap().fields.user_id, "2");
}

async fn an_update_may_end_a_session(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    let mut session = created.session;
    session.expires_at = Some(START);
    sessions.update(&mut session).await.unwrap();
    assert_eq!(sessions.authenticate(created.token).await.unwrap(), None);
}

async fn no_expiry_passes_the_absolute_lifetime(db: TestDatabase) {
    let config = db.config().max_lifetime(10 * DAY);
    let sessions = db.sessions_with::<UserSession>(config).await;
    let end = Some(START + 10 * DAY);
    for new in
        [user("1").never_expires(), user("1").expires_in(99 * DAY), user("1").expires_at(START + 11 * DAY)]
    {
        assert_eq!(sessions.create(new).await.unwrap().session.expires_at, end);
    }
    let mut session = sessions.create(user("1")).await.unwrap().session;
    assert_eq!(session.expires_at, Some(START + 7 * DAY));
    for asked in [None, Some(START + 99 * DAY)] {
        session.expires_at = asked;
        sessions.update(&mut session).await.unwrap();
        assert_eq!(session.expires_at, end);
        let mut row = session.clone();
        sessions.reload(&mut row).await.unwrap();
        assert_eq!(row, session);
        session.expires_at = Some(START + 7 * DAY);
        sessions.update(&mut session).await.unwrap();
    }
    let mut session = sessions.create(user("1")).await.unwrap().session;
    db.clock().advance(5 * DAY);
    assert!(sessions.extend(&mut session).await.unwrap());
    assert_eq!(session.expires_at, end);
    db.clock().advance(4 * DAY);
    assert!(!sessions.extend(&mut session).await.unwrap());
    db.clock().advance(DAY);
    assert_eq!(sessions.query().count().await.unwrap(), 0);
}

/// The text of `data` as it is stored, and of `updated_at`.
async fn stored(db: &TestDatabase) -> String {
    let data = match db.kind() {
        Kind::Sqlite => "data",
        Kind::Postgres => "data::text",
        Kind::MariaDb => "CAST(data AS char)",
    };
    db.texts(&format!("SELECT {data} FROM sessions")).await.remove(0).unwrap()
}

async fn data_that_was_not_changed_is_not_rewritten(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    let written = r#"{ "z":1.50, "a" : [1e20, 123456789012345678901234567890], "é":"\u00e9" }"#;
    let written = if db.kind() == Kind::MariaDb { written.replace('\\', "\\\\") } else { written.to_owned() };
    db.execute(&format!("UPDATE sessions SET data = '{written}'")).await;
    let before = stored(&db).await;
    let mut session = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(session.stored_data(), before);
    session.fields.user_id = "2".into();
    sessions.update(&mut session).await.unwrap();
    db.clock().advance(2 * DAY);
    assert!(sessions.extend(&mut session).await.unwrap());
    sessions.rotate(&mut session).await.unwrap();
    sessions.expire(&mut session).await.unwrap();
    assert_eq!(stored(&db).await, before);
    // The same again is no change.
    *session.data = session.data.clone();
    sessions.update(&mut session).await.unwrap();
    assert_eq!(stored(&db).await, before);

    session.data["new"] = json!(true);
    sessions.update(&mut session).await.unwrap();
    let after = stored(&db).await;
    assert_ne!(after, before);
    for kept in ["1.50", "123456789012345678901234567890"] {
        assert!(after.contains(kept), "{after}");
    }
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "same")]
struct Same {
    user_id: String,
}

async fn an_update_that_changes_nothing_is_a_write_all_the_same(db: TestDatabase) {
    let sessions: Sessions<Same> = db.sessions().await;
    let new = NewSession::new(Same { user_id: "1".into() });
    let mut session = sessions.create(new).await.unwrap().session;
    let mut stale = session.clone();
    sessions.update(&mut session).await.unwrap();
    assert!(session.updated_at > stale.updated_at);
    assert_eq!(sessions.update(&mut stale).await.unwrap_err().kind(), ErrorKind::Conflict);
}

async fn a_look_that_is_no_use_leaves_the_expiry_and_answers_as_any_other(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    assert_eq!(sessions.authenticate(&created.token).await.unwrap().as_ref(), Some(&created.session));
    db.clock().advance(6 * DAY);
    for _ in 0..2 {
        let found = sessions.authenticate_without_extending(&created.token).await.unwrap();
        assert_eq!(found.as_ref(), Some(&created.session));
    }
    // What was kept of it is no reason to extend it any later.
    let used = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(used.expires_at, Some(START + 13 * DAY));
    db.clock().advance(7 * DAY);
    assert_eq!(sessions.authenticate_without_extending(&created.token).await.unwrap(), None);
    for token in ["unknown", ""] {
        assert_eq!(sessions.authenticate_without_extending(token).await.unwrap(), None);
    }
}

each_mode! {
    a_look_that_is_no_use_leaves_the_expiry_and_answers_as_any_other,
    an_update_writes_fields_data_and_expiry,
    of_two_writers_the_second_is_told_of_a_conflict,
    every_kind_of_write_in_between_is_a_conflict,
    update_with_reads_again_and_starts_anew,
    writers_at_the_same_time_lose_nothing_while_the_clock_stands_still,
    a_session_that_is_gone_is_never_inserted_again,
    updated_at_grows_with_every_write_whatever_the_clock_does,
    a_rotated_session_has_a_new_token_and_no_old_one,
    an_expiry_is_set_by_an_update_but_never_to_bring_a_session_back,
    what_is_over_as_it_was_read_and_lives_on_elsewhere_is_read_again_and_is_a_conflict,
    an_extension_that_is_not_due_leaves_what_the_caller_has_changed,
    an_update_may_end_a_session,
    no_expiry_passes_the_absolute_lifetime,
    data_that_was_not_changed_is_not_rewritten,
    an_update_that_changes_nothing_is_a_write_all_the_same,
}
