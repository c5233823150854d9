//! Records of tower-sessions', one call at a time.

use std::time::Duration;

use cloakroom::Status;
use cloakroom_testing::{TestDatabase, each_database, each_mode};
use serde_json::{Value, json};
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, ExpiredDeletion};

use crate::store;

fn record(db: &TestDatabase, entries: &[(&str, Value)]) -> Record {
    let data = entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    Record { id: Id::default(), data, expiry_date: db.now() + Duration::from_hours(1) }
}

async fn what_is_created_is_loaded_and_the_database_holds_no_id(db: TestDatabase) {
    let store = store(&db).await;
    let mut record = record(&db, &[("user", json!("ann")), ("cart", json!([1, {"two": 2.5}]))]);
    let made = record.id;
    store.create(&mut record).await.unwrap();
    assert_eq!(record.id, made);
    assert_eq!(store.load(&record.id).await.unwrap(), Some(record.clone()));
    assert_eq!(store.load(&Id::default()).await.unwrap(), None);
    let digest = store.sessions().config().digest(cloakroom::Token::import(record.id.to_string()).unwrap());
    let stored = db.texts("SELECT auth_token_digest FROM sessions").await;
    assert_eq!(stored, [Some(digest.unwrap().expose().to_owned())]);
    let shown = format!("{store:?}");
    assert!(!shown.contains(&record.id.to_string()), "{shown}");
}

async fn a_save_writes_data_expiry_and_the_columns_that_follow_and_no_other(db: TestDatabase) {
    let store = store(&db).await;
    let mut record = record(&db, &[("language", json!("fr"))]);
    store.create(&mut record).await.unwrap();
    let sessions = store.sessions();
    let mut session = sessions.query().fetch_one().await.unwrap();
    assert_eq!(session.fields.user_id, None);
    session.fields.note = Some("of the application's".into());
    sessions.update(&mut session).await.unwrap();
    record.data.insert("user".into(), json!("ann"));
    record.expiry_date += Duration::from_hours(1);
    store.save(&record).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), Some(record.clone()));
    let session = sessions.query().owner("ann").fetch_one().await.unwrap();
    assert_eq!(session.fields.note.as_deref(), Some("of the application's"));
    record.data.clear();
    store.save(&record).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), Some(record));
    assert_eq!(sessions.query().fetch_one().await.unwrap().fields.user_id, None);
}

async fn a_session_that_was_ended_is_not_brought_back(db: TestDatabase) {
    let store = store(&db).await;
    let mut record = record(&db, &[("user", json!("ann"))]);
    store.create(&mut record).await.unwrap();
    // A cache has it from here on.
    assert!(store.load(&record.id).await.unwrap().is_some());
    assert_eq!(store.sessions().query().owner("ann").expire_all().await.unwrap(), 1);
    assert_eq!(store.load(&record.id).await.unwrap(), None);
    // A request that began before.
    record.data.insert("cart".into(), json!([1]));
    store.save(&record).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), None);
    assert_eq!(store.sessions().query().status(Status::All).count().await.unwrap(), 1);
    store.delete(&record.id).await.unwrap();
    store.save(&record).await.unwrap();
    assert_eq!(store.sessions().query().count().await.unwrap(), 0);
}

async fn an_id_that_is_taken_is_replaced(db: TestDatabase) {
    let store = store(&db).await;
    let mut first = record(&db, &[("user", json!("ann"))]);
    store.create(&mut first).await.unwrap();
    let mut second = Record { id: first.id, ..record(&db, &[("user", json!("bob"))]) };
    store.create(&mut second).await.unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(store.load(&first.id).await.unwrap(), Some(first));
    assert_eq!(store.load(&second.id).await.unwrap(), Some(second));
}

async fn what_is_deleted_is_gone_or_kept_as_ended(db: TestDatabase) {
    let deleting = store(&db).await;
    for (store, kept) in [(deleting.clone(), 0), (deleting.keep_ended(true), 1)] {
        let mut record = record(&db, &[]);
        store.create(&mut record).await.unwrap();
        store.delete(&record.id).await.unwrap();
        store.delete(&record.id).await.unwrap();
        assert_eq!(store.load(&record.id).await.unwrap(), None);
        assert_eq!(store.sessions().query().status(Status::All).count().await.unwrap(), kept);
    }
}

async fn an_expired_session_is_absent_and_pruned(db: TestDatabase) {
    let store = store(&db).await;
    let mut record = record(&db, &[]);
    store.create(&mut record).await.unwrap();
    // Reading does not extend it: the expiry is that of tower-sessions.
    db.clock().advance(Duration::from_mins(59));
    assert_eq!(store.load(&record.id).await.unwrap(), Some(record.clone()));
    db.clock().advance(Duration::from_mins(1));
    assert_eq!(store.load(&record.id).await.unwrap(), None);
    store.delete_expired().await.unwrap();
    assert_eq!(store.sessions().query().status(Status::All).count().await.unwrap(), 0);
}

async fn saves_at_the_same_time_leave_one_of_them_whole(db: TestDatabase) {
    let store = store(&db).await;
    let mut made = record(&db, &[]);
    store.create(&mut made).await.unwrap();
    let saves = (0..12).map(|number| {
        let (store, mut record) = (store.clone(), made.clone());
        record.data.insert(format!("of {number}"), json!(number));
        async move { store.save(&record).await.map(|()| record) }
    });
    let all: Vec<_> = futures_util::future::try_join_all(saves).await.unwrap();
    let stored = store.load(&made.id).await.unwrap().unwrap();
    assert!(all.contains(&stored), "{stored:?}");
}

async fn a_database_that_is_away_is_an_error(db: TestDatabase) {
    let store = store(&db).await;
    let mut made = record(&db, &[]);
    store.create(&mut made).await.unwrap();
    store.sessions().database().close().await;
    let is_backend = |error: Error| matches!(error, Error::Backend(_));
    assert!(is_backend(store.load(&made.id).await.unwrap_err()));
    assert!(is_backend(store.save(&made).await.unwrap_err()));
    assert!(is_backend(store.create(&mut made).await.unwrap_err()));
    assert!(is_backend(store.delete(&made.id).await.unwrap_err()));
}

async fn data_of_another_program_that_is_no_object_is_an_error(db: TestDatabase) {
    let store = store(&db).await;
    let mut made = record(&db, &[]);
    store.create(&mut made).await.unwrap();
    let sessions = store.sessions();
    let mut session = sessions.query().fetch_one().await.unwrap();
    *session.data = json!([1]);
    sessions.update(&mut session).await.unwrap();
    let error = store.load(&made.id).await.unwrap_err();
    assert!(matches!(error, Error::Decode(_)), "{error:?}");
    // A save replaces it, since tower-sessions says what all of it is.
    store.save(&made).await.unwrap();
    assert_eq!(store.load(&made.id).await.unwrap(), Some(made));
}

each_mode! {
    what_is_created_is_loaded_and_the_database_holds_no_id,
    a_save_writes_data_expiry_and_the_columns_that_follow_and_no_other,
    a_session_that_was_ended_is_not_brought_back,
}

mod details {
    use super::*;

    each_database! {
        an_id_that_is_taken_is_replaced,
        what_is_deleted_is_gone_or_kept_as_ended,
        an_expired_session_is_absent_and_pruned,
        saves_at_the_same_time_leave_one_of_them_whole,
        a_database_that_is_away_is_an_error,
        data_of_another_program_that_is_no_object_is_an_error,
    }
}
