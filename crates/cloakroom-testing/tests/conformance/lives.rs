//! Sessions with a life of their own: fixed, sliding by a span of their own, and none beyond the absolute lifetime.

use std::time::Duration;

use cloakroom::{ErrorKind, Session, Sessions, Sliding, Status};
use cloakroom_testing::{Kind, START, TestDatabase, UserSession, each_mode, user};
use time::OffsetDateTime;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

async fn a_session_with_an_end_of_its_own_is_never_extended(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let end = START + 6 * DAY;
    for new in [user("1").expires_in(6 * DAY), user("2").expires_at(end)] {
        let created = sessions.create(new).await.unwrap();
        assert_eq!(created.session.sliding(), Sliding::Fixed);
        db.clock().set(START + 3 * DAY);
        for _ in 0..2 {
            let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
            assert_eq!((read.expires_at, read.sliding()), (Some(end), Sliding::Fixed));
        }
        let read = sessions.query().token(&created.token).fetch_one().await.unwrap();
        assert_eq!(read.expires_at, Some(end));
        let mut session = created.session;
        assert!(!sessions.extend(&mut session).await.unwrap());
        // A rotation and a write leave it as it is.
        let token = sessions.rotate(&mut session).await.unwrap();
        session.fields.user_id = "3".into();
        sessions.update(&mut session).await.unwrap();
        let read = sessions.authenticate(&token).await.unwrap().unwrap();
        assert_eq!((read.expires_at, read.sliding()), (Some(end), Sliding::Fixed));
        db.clock().set(end);
        assert!(sessions.authenticate(&token).await.unwrap().is_none());
        db.clock().set(START);
    }
}

async fn a_session_slides_by_a_span_of_its_own(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for (span, seldom) in [(90 * DAY, DAY), (7 * HOUR, HOUR)] {
        let created = sessions.create(user("1").sliding(span)).await.unwrap();
        assert_eq!(created.session.expires_at, Some(START + span));
        // The gain must be more than a day, or as much less as the span is shorter than a week.
        db.clock().set(START + seldom);
        let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
        assert_eq!(read.expires_at, Some(START + span));
        db.clock().advance(Duration::from_secs(1));
        let other = db.sessions::<UserSession>().await;
        let read = other.authenticate(&created.token).await.unwrap().unwrap();
        assert_eq!((read.expires_at, read.sliding()), (Some(db.now() + span), Sliding::By(span)));
        // In the other handle's cache, if there is one, it may be as it was.
        let listed = sessions.query().id(read.id).fetch_one().await.unwrap();
        assert_eq!(listed, read);
        db.clock().set(START);
    }
}

async fn an_earlier_expiry_is_fixed_and_a_later_one_slides_as_before(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    let mut session = created.session;
    session.expires_at = Some(START + 8 * DAY);
    sessions.update(&mut session).await.unwrap();
    assert_eq!(session.sliding(), Sliding::AsConfigured);
    session.expires_at = Some(START + 5 * DAY);
    sessions.update(&mut session).await.unwrap();
    assert_eq!(session.sliding(), Sliding::Fixed);
    db.clock().advance(4 * DAY);
    let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read, session);
    assert_eq!(read.expires_at, Some(START + 5 * DAY));
    // A session that never expired can be given an end.
    let mut session = sessions.create(user("2").never_expires()).await.unwrap().session;
    session.expires_at = Some(db.now() + 2 * DAY);
    sessions.update(&mut session).await.unwrap();
    assert_eq!(session.sliding(), Sliding::Fixed);
}

async fn looking_at_a_session_extends_nothing(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    db.clock().advance(3 * DAY);
    let end = created.session.expires_at;
    let by_id = || sessions.query().id(created.session.id);
    assert_eq!(by_id().fetch_one().await.unwrap().expires_at, end);
    assert_eq!(by_id().fetch_optional().await.unwrap().unwrap().expires_at, end);
    assert_eq!(by_id().fetch_all().await.unwrap()[0].expires_at, end);
    let mut reloaded = created.session.clone();
    sessions.reload(&mut reloaded).await.unwrap();
    assert_eq!(reloaded.expires_at, end);
    let read = sessions.authenticate_without_extending(&created.token).await.unwrap().unwrap();
    assert_eq!(read.expires_at, end);
    let read = sessions.query().token(&created.token).fetch_one().await.unwrap();
    assert_eq!(read.expires_at, Some(db.now() + 7 * DAY));
}

async fn the_absolute_lifetime_holds_for_rows_of_any_origin(db: TestDatabase) {
    let lenient = db.sessions::<UserSession>().await;
    let mut tokens = Vec::new();
    for new in [user("1").never_expires(), user("2").expires_in(99 * DAY), user("3").sliding(99 * DAY)] {
        tokens.push(lenient.create(new).await.unwrap().token);
    }
    let strict = db.sessions_with::<UserSession>(db.config().max_lifetime(10 * DAY)).await;
    let end = START + 10 * DAY;
    db.clock().set(end - Duration::from_micros(1));
    for token in &tokens {
        let read = strict.authenticate(token).await.unwrap().unwrap();
        assert_eq!(read.expires_at, Some(end), "what the application sees is when it ends");
    }
    let count = |status| strict.query().status(status).count();
    assert_eq!((count(Status::Valid).await.unwrap(), count(Status::Expired).await.unwrap()), (3, 0));
    let mut written = strict.query().filter(UserSession::USER_ID.eq("1")).fetch_one().await.unwrap();
    written.fields.user_id = "4".into();
    strict.update(&mut written).await.unwrap();
    assert_eq!(written.sliding(), Sliding::AsConfigured, "the end was not the caller's");
    db.clock().set(end);
    for token in &tokens {
        assert!(strict.authenticate(token).await.unwrap().is_none());
        assert!(strict.query().token(token).fetch_optional().await.unwrap().is_none());
        assert!(lenient.authenticate(token).await.unwrap().is_some());
    }
    assert_eq!((count(Status::Valid).await.unwrap(), count(Status::Expired).await.unwrap()), (0, 3));
    assert!(strict.query().fetch_all().await.unwrap().is_empty());
    let over = strict.query().status(Status::Expired).fetch_all().await.unwrap();
    assert!(over.iter().all(|session| session.status(db.now()) == Status::Expired), "{over:?}");
    assert_eq!(strict.query().expire_all().await.unwrap(), 0, "none was valid");
    let mut session = over[0].clone();
    assert!(!strict.expire(&mut session).await.unwrap());
    assert!(!strict.extend(&mut session).await.unwrap());
    // Nobody brings back what was ended once more, not even a process with a longer lifetime.
    assert_eq!(lenient.query().count().await.unwrap(), 0);
}

/// Takes back what a later version has added to the table.
async fn as_it_was_first(db: &TestDatabase) -> Sessions<UserSession> {
    db.sessions::<UserSession>().await;
    db.execute_anew("ALTER TABLE sessions DROP COLUMN sliding_seconds").await;
    unmigrated(db)
}

fn unmigrated(db: &TestDatabase) -> Sessions<UserSession> {
    Sessions::new(db.database(), db.config().build().unwrap()).unwrap()
}

async fn a_table_that_was_not_migrated_goes_on_as_it_was(db: TestDatabase) {
    let sessions = as_it_was_first(&db).await;
    let created = sessions.create(user("1")).await.unwrap();
    let other = unmigrated(&db);
    let read = other.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read, created.session);
    assert_eq!(unmigrated(&db).query().fetch_all().await.unwrap(), std::slice::from_ref(&read));
    let mut session = read;
    session.fields.user_id = "2".into();
    unmigrated(&db).update(&mut session).await.unwrap();
    db.clock().advance(3 * DAY);
    let extended = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(extended.expires_at, Some(db.now() + 7 * DAY));
    let mut transaction = sessions.begin().await.unwrap();
    let again = unmigrated(&db);
    assert_eq!(again.within(&mut transaction).authenticate(&created.token).await.unwrap(), Some(extended));
    transaction.rollback().await.unwrap();
    assert_eq!(unmigrated(&db).query().token(&created.token).expire_all().await.unwrap(), 1);
}

async fn a_life_of_its_own_that_a_read_would_prolong_is_refused_until_the_table_is_migrated(
    db: TestDatabase,
) {
    let sessions = as_it_was_first(&db).await;
    let mut session = sessions.create(user("1")).await.unwrap().session;
    for new in [user("2").expires_in(30 * DAY), user("2").expires_at(START + DAY), user("2").sliding(DAY)] {
        let error = sessions.create(new).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingColumn, "{error}");
        assert!(error.to_string().contains("sliding_seconds"), "{error}");
    }
    session.expires_at = Some(START + DAY);
    assert_eq!(sessions.update(&mut session).await.unwrap_err().kind(), ErrorKind::MissingColumn);
    assert_eq!(sessions.query().count().await.unwrap(), 1, "nothing was written");
    // If nothing extends sessions, their end needs no column.
    let config = db.config().extend_after(None).build().unwrap();
    let unextended = Sessions::<UserSession>::new(db.database(), config).unwrap();
    let fixed = unextended.create(user("2").expires_in(DAY)).await.unwrap().session;
    assert_eq!(fixed.expires_at, Some(START + DAY));
    let done = db.sessions::<UserSession>().await;
    assert_eq!(done.migration_plan().await.unwrap(), Vec::<String>::new());
    let created = sessions.create(user("3").expires_in(DAY)).await.unwrap();
    assert_eq!(created.session.sliding(), Sliding::Fixed, "another process has migrated the table");
}

async fn a_process_that_knows_the_table_as_it_was_does_not_extend_what_another_has_fixed(db: TestDatabase) {
    let before = as_it_was_first(&db).await;
    let asks = unmigrated(&db);
    let sliding = before.create(user("1")).await.unwrap();
    for handle in [&before, &asks] {
        assert!(handle.authenticate(&sliding.token).await.unwrap().is_some());
    }
    let after = db.sessions::<UserSession>().await;
    let fixed = after.create(user("2").expires_in(6 * DAY)).await.unwrap();
    let read = before.authenticate(&fixed.token).await.unwrap().unwrap();
    assert_eq!(read.expires_at, fixed.session.expires_at);
    // As it was read without the column.
    let mut asked_for = asks.authenticate(&fixed.token).await.unwrap().unwrap();
    assert_eq!(asked_for.sliding(), Sliding::AsConfigured);
    db.clock().advance(5 * DAY);
    assert!(!asks.extend(&mut asked_for).await.unwrap());
    assert_eq!(asked_for, fixed.session);
    let read = async |token| before.authenticate(token).await.unwrap().map(|session| session.expires_at);
    assert_eq!(read(&fixed.token).await, Some(fixed.session.expires_at));
    assert_eq!(read(&sliding.token).await, Some(Some(db.now() + 7 * DAY)));
    let mut looked_at = fixed.session.clone();
    assert!(!before.extend(&mut looked_at).await.unwrap());
}

async fn migrating_waits_for_a_long_transaction_without_keeping_readers_waiting(db: TestDatabase) {
    let sessions = as_it_was_first(&db).await;
    let created = sessions.create(user("1")).await.unwrap();
    let mut transaction = sessions.begin().await.unwrap();
    let reads = sessions.within(&mut transaction).query().count().await.unwrap();
    assert_eq!(reads, 1);
    let migrating = tokio::spawn({
        let sessions = unmigrated(&db);
        async move { sessions.migrate().await }
    });
    // On SQLite a reader in another transaction keeps nobody from writing.
    for _ in 0..if db.kind() == Kind::Sqlite { 1 } else { 200 } {
        assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
        assert!(db.kind() == Kind::Sqlite || !migrating.is_finished());
    }
    transaction.rollback().await.unwrap();
    let done = migrating.await.unwrap().unwrap();
    assert_eq!(done.iter().map(|migration| migration.version).collect::<Vec<_>>(), [3]);
    let fixed = sessions.create(user("2").expires_in(DAY)).await.unwrap();
    assert_eq!(sessions.authenticate(&fixed.token).await.unwrap(), Some(fixed.session));
}

async fn what_another_program_wrote_into_the_column_is_read_for_what_it_can_mean(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let token = sessions.create(user("1")).await.unwrap().token;
    let read = async |value: &str| -> Session<UserSession> {
        db.execute_anew(&format!("UPDATE sessions SET sliding_seconds = {value}")).await;
        db.sessions::<UserSession>().await.authenticate(&token).await.unwrap().unwrap()
    };
    assert_eq!(read("-5").await.sliding(), Sliding::Fixed);
    assert_eq!(read("0").await.sliding(), Sliding::Fixed);
    assert_eq!(read("NULL").await.sliding(), Sliding::AsConfigured);
    assert_eq!(read("86400").await.sliding(), Sliding::By(DAY));
    db.clock().advance(2 * DAY);
    // A span beyond the calendar ends with it.
    let far = read("9223372036854775807").await;
    assert_eq!(far.expires_at.map(OffsetDateTime::year), Some(9999));
}

each_mode! {
    a_session_with_an_end_of_its_own_is_never_extended,
    a_session_slides_by_a_span_of_its_own,
    an_earlier_expiry_is_fixed_and_a_later_one_slides_as_before,
    looking_at_a_session_extends_nothing,
    the_absolute_lifetime_holds_for_rows_of_any_origin,
    a_table_that_was_not_migrated_goes_on_as_it_was,
    a_life_of_its_own_that_a_read_would_prolong_is_refused_until_the_table_is_migrated,
    a_process_that_knows_the_table_as_it_was_does_not_extend_what_another_has_fixed,
    migrating_waits_for_a_long_transaction_without_keeping_readers_waiting,
    what_another_program_wrote_into_the_column_is_read_for_what_it_can_mean,
}
