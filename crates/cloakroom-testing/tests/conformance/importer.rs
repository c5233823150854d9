//! Moving in: any number of sessions of another system, in transactions of bounded size, and once more.

use std::convert::Infallible;
use std::time::Duration;

use cloakroom::{
    ErrorKind, Hashing, ImportError, ImportedSession, NewSession, Outcome, Reading, Scheme, Sessions, Status,
    Token,
};
use cloakroom_testing::{ApiKey, Kind, Role, START, TestDatabase, UserSession, each_database, user};
use futures_util::{StreamExt, stream};
use uuid::Uuid;

use crate::schemes::{is_valid, new_key, old_key, stored, with};

const DAY: Duration = Duration::from_hours(24);

fn knox() -> Scheme {
    Scheme::adopted("knox", Reading::of(Hashing::Sha512))
}

fn token(number: usize) -> Token {
    Token::import(format!("a-token-of-long-ago-{number}")).unwrap()
}

fn by_token(number: usize) -> ImportedSession<UserSession> {
    ImportedSession::with_token(user(&number.to_string()), token(number)).inserted_at(START - DAY)
}

fn by_digest(number: usize) -> ImportedSession<UserSession> {
    let digest = knox().digest(token(number)).unwrap();
    ImportedSession::with_digest(user(&number.to_string()), digest).inserted_at(START - DAY)
}

async fn count(sessions: &Sessions<UserSession>) -> u64 {
    sessions.query().status(Status::All).count().await.unwrap()
}

fn numbers(error: &ImportError) -> (Option<u64>, ErrorKind, u64) {
    (error.row(), error.error().kind(), error.progress().imported)
}

async fn sessions_of_a_stream_move_in_and_are_left_alone_the_second_time(db: TestDatabase) {
    let sessions = with(&db, [new_key(), knox()]).await;
    for make in [by_token, by_digest] {
        let mut seen = Vec::new();
        let rows = || stream::iter((0..1_234).map(make).map(Ok::<_, Infallible>));
        let importer = sessions.importer().batch(500).on_progress(|done| seen.push(done));
        let done = importer.run(rows()).await.unwrap();
        assert_eq!((done.read, done.imported, done.already_there), (1_234, 1_234, 0));
        let steps: Vec<_> = seen.iter().map(|done| (done.read, done.imported)).collect();
        assert_eq!(steps, [(500, 500), (1_000, 1_000), (1_234, 1_234)]);
        assert_eq!(count(&sessions).await, 1_234);
        let found = sessions.authenticate(token(700)).await.unwrap().unwrap();
        assert_eq!((&*found.fields.user_id, found.inserted_at), ("700", START - DAY));
        let before = stored(&db).await;
        let again = sessions.importer().run(rows()).await.unwrap();
        assert_eq!((again.read, again.imported, again.already_there), (1_234, 0, 1_234));
        assert_eq!(stored(&db).await, before);
        sessions.query().status(Status::All).delete_all().await.unwrap();
    }
    let done = sessions.importer().run_iter([]).await.unwrap();
    assert_eq!(done.read, 0);
}

async fn an_import_that_stopped_goes_on_where_it_stopped(db: TestDatabase) {
    let sessions = with(&db, [new_key(), knox()]).await;
    let broken = (0..700).map(|number| match number {
        650 => Err(std::io::Error::other("the old database is away")),
        number => Ok(by_digest(number)),
    });
    let error = sessions.importer().batch(300).run(stream::iter(broken)).await.unwrap_err();
    assert_eq!(numbers(&error), (Some(650), ErrorKind::Unavailable, 600));
    let source = std::error::Error::source(error.error()).unwrap();
    assert_eq!(source.to_string(), "the old database is away");
    assert_eq!(count(&sessions).await, 600);

    // A field that the table refuses: the row is named, and its transaction is undone.
    let blank = ImportedSession::with_digest(user(" "), knox().digest(token(9_999)).unwrap());
    let rows = (0..690).map(by_digest).chain([blank]).chain((691..700).map(by_digest));
    let error = sessions.importer().batch(100).run_iter(rows).await.unwrap_err();
    assert_eq!(numbers(&error), (Some(690), ErrorKind::InvalidField, 0));
    assert_eq!((error.progress().read, error.progress().already_there), (600, 600));
    assert_eq!(error.error().outcome(), Outcome::NotDone);
    assert!(!format!("{error:?} {error}").contains("long-ago"));

    // The future of one that is dropped leaves whole transactions behind.
    let rows = stream::iter((0..700).map(by_digest).map(Ok::<_, Infallible>));
    let mut transactions = 0;
    let stops = rows.take_while(|_| {
        transactions += 1;
        let goes_on = transactions < 650;
        async move { if goes_on { true } else { std::future::pending().await } }
    });
    let importer = sessions.importer().batch(20).run(stops);
    let never_ends = tokio::time::timeout(Duration::from_secs(5), importer).await;
    assert!(never_ends.is_err());
    assert_eq!(count(&sessions).await, 640);
    let done = sessions.importer().run_iter((0..700).map(by_digest)).await.unwrap();
    assert_eq!((done.imported, done.already_there), (60, 640));
    assert_eq!(count(&sessions).await, 700);
}

async fn what_has_been_used_since_is_not_imported_a_second_time(db: TestDatabase) {
    let sessions = with(&db, [new_key(), old_key(), knox()]).await;
    let rows = || [by_digest(1), by_digest(2), by_digest(3), by_digest(4), by_token(5), by_token(6)];
    assert_eq!(sessions.importer().run_iter(rows()).await.unwrap().imported, 6);
    // Used, and stored under the newest scheme. Used and ended. Rotated. Changed.
    assert!(is_valid(&sessions, token(1)).await);
    let mut ended = sessions.authenticate(token(2)).await.unwrap().unwrap();
    sessions.expire(&mut ended).await.unwrap();
    let mut rotated = sessions.authenticate(token(3)).await.unwrap().unwrap();
    sessions.rotate(&mut rotated).await.unwrap();
    let mut rotated = sessions.authenticate(token(6)).await.unwrap().unwrap();
    sessions.rotate(&mut rotated).await.unwrap();
    for config in [vec![new_key(), old_key(), knox()], vec![old_key(), new_key(), knox()]] {
        let again = with(&db, config).await.importer().run_iter(rows()).await.unwrap();
        assert_eq!((again.imported, again.already_there), (0, 6));
    }
    // Also by a program that does not have the application's keys.
    let without_keys = with(&db, [Scheme::sha256(), knox()]).await;
    let again = without_keys.importer().run_iter((1..=4).map(by_digest)).await.unwrap();
    assert_eq!((again.imported, again.already_there), (0, 4));
    assert_eq!(count(&sessions).await, 6);
    for (number, is_one) in [(1, true), (2, false), (3, false), (4, true), (5, true), (6, false)] {
        assert_eq!(is_valid(&sessions, token(number)).await, is_one, "{number}");
    }
}

async fn a_session_of_another_user_is_not_taken_for_the_one_to_import(db: TestDatabase) {
    let sessions = with(&db, [new_key(), knox()]).await;
    let id = Uuid::from_u128(7);
    let theirs =
        |user_id: &str| ImportedSession::with_digest(user(user_id), knox().digest(token(1)).unwrap());
    let first = theirs("1").id(id).inserted_at(START - DAY);
    sessions.importer().run_iter([first.clone(), by_token(2)]).await.unwrap();
    let with_token = |user_id: &str| ImportedSession::with_token(user(user_id), token(2));
    let of_two = ImportedSession::with_digest(user("1"), knox().digest(token(3)).unwrap()).id(id);
    for (row, kind, says) in [
        (theirs("2"), ErrorKind::DuplicateToken, "user_id differs"),
        (theirs("1").inserted_at(START), ErrorKind::DuplicateToken, "inserted_at differs"),
        (theirs("1").id(Uuid::from_u128(8)), ErrorKind::DuplicateToken, "the ids differ"),
        (with_token("3"), ErrorKind::DuplicateToken, "user_id differs"),
        (of_two, ErrorKind::Constraint, "the tokens differ"),
    ] {
        let rows = (10..1_000).map(by_digest).chain([row]).chain((1_000..1_100).map(by_digest));
        let error = sessions.importer().run_iter(rows).await.unwrap_err();
        assert_eq!((error.row(), error.error().kind()), (Some(990), kind), "{says}");
        assert!(error.error().to_string().ends_with(says), "{error:?}");
        sessions
            .query()
            .status(Status::All)
            .filter(UserSession::USER_ID.is_in(["1", "2"]).not())
            .delete_all()
            .await
            .unwrap();
    }
    // What is not given is not compared.
    let same = [theirs("1"), theirs("1").id(id), first, with_token("2")];
    assert_eq!(sessions.importer().run_iter(same).await.unwrap().already_there, 4);
    assert_eq!(count(&sessions).await, 2);
}

async fn a_session_that_comes_twice_is_written_once(db: TestDatabase) {
    let sessions = with(&db, [new_key(), knox()]).await;
    let rows = (0..300).chain(0..300).map(by_digest);
    let done = sessions.importer().run_iter(rows).await.unwrap();
    assert_eq!((done.imported, done.already_there), (300, 300));
    let of_another = ImportedSession::with_token(user("other"), token(300));
    let rows = [by_token(300), of_another];
    let error = sessions.importer().run_iter(rows).await.unwrap_err();
    assert_eq!(numbers(&error), (Some(1), ErrorKind::DuplicateToken, 0));
    assert_eq!(count(&sessions).await, 300);
}

async fn two_imports_of_the_same_sessions_do_no_harm(db: TestDatabase) {
    let sessions = with(&db, [new_key(), knox()]).await;
    let import = async |first: usize| {
        let rows = (0..600).map(|number| by_digest((number + first) % 600));
        sessions.importer().batch(50).run_iter(rows).await
    };
    let (one, other) = tokio::join!(import(0), import(300));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.imported + other.imported, 600);
    assert_eq!((one.read, other.read), (600, 600));
    assert_eq!(count(&sessions).await, 600);
}

async fn expired_sessions_are_imported_as_they_are(db: TestDatabase) {
    let sessions = db
        .sessions_with::<UserSession>(db.config().digests([new_key(), knox()]).max_lifetime(30 * DAY))
        .await;
    let digest = |number| knox().digest(token(number)).unwrap();
    let expired = |number: usize, ago| {
        ImportedSession::with_digest(user(&number.to_string()).expires_at(START - ago), digest(number))
    };
    let rows = [
        expired(1, DAY).inserted_at(START - 2 * DAY),
        // No creation is known, so that it is now: after the expiry.
        expired(2, DAY),
        ImportedSession::with_digest(user("3").never_expires(), digest(3)).inserted_at(START - 31 * DAY),
        ImportedSession::with_digest(user("4").never_expires(), digest(4)).inserted_at(START - 29 * DAY),
    ];
    let done = sessions.importer().run_iter(rows).await.unwrap();
    assert_eq!(done.imported, 4);
    assert_eq!(sessions.query().status(Status::Expired).count().await.unwrap(), 3);
    for number in 1..=3 {
        assert!(!is_valid(&sessions, token(number)).await);
    }
    let fourth = sessions.authenticate(token(4)).await.unwrap().unwrap();
    assert_eq!((fourth.inserted_at, fourth.expires_at), (START - 29 * DAY, Some(START + DAY)));
    assert_eq!(sessions.delete_expired().await.unwrap(), 3);
}

async fn a_dry_run_finds_the_same_errors_and_writes_nothing(db: TestDatabase) {
    let sessions = with(&db, [new_key(), knox()]).await;
    let done = sessions.importer().dry_run().run_iter((0..300).map(by_digest)).await.unwrap();
    assert_eq!((done.imported, count(&sessions).await), (300, 0));
    sessions.importer().run_iter([by_digest(7)]).await.unwrap();
    let taken = ImportedSession::with_digest(user("other"), knox().digest(token(7)).unwrap());
    let rows = (100..200).map(by_digest).chain([taken]);
    let error = sessions.importer().batch(60).dry_run().run_iter(rows).await.unwrap_err();
    assert_eq!(numbers(&error), (Some(100), ErrorKind::DuplicateToken, 60));
    assert_eq!(count(&sessions).await, 1);
}

async fn the_row_that_the_database_refuses_is_found(db: TestDatabase) {
    let keys = db.sessions_with::<ApiKey>(db.config().digests([new_key(), knox()])).await;
    let key = |number: usize, quota: i32| {
        let fields = ApiKey { user_id: number.to_string(), role: Role::Reader, quota: Some(quota) };
        let new = NewSession::new(fields).data(serde_json::json!({"n": number}));
        ImportedSession::with_digest(new, knox().digest(token(number)).unwrap())
    };
    match db.kind() {
        Kind::Sqlite => db.execute("CREATE UNIQUE INDEX one_each ON api_keys (quota)").await,
        Kind::Postgres | Kind::MariaDb => {
            db.execute("ALTER TABLE api_keys ADD CONSTRAINT ok CHECK (quota < 100)").await;
        }
    }
    // One value that is there already, or one that is too great.
    let quota = |number: i32| match (db.kind(), number) {
        (Kind::Sqlite, 777) => 3,
        (Kind::Sqlite, number) => number,
        (Kind::Postgres | Kind::MariaDb, 777) => 100,
        (Kind::Postgres | Kind::MariaDb, _) => 1,
    };
    let rows = (0..1_000).map(|number| key(usize::try_from(number).unwrap(), quota(number)));
    let error = keys.importer().batch(700).run_iter(rows).await.unwrap_err();
    assert_eq!(numbers(&error), (Some(777), ErrorKind::Constraint, 700), "{error:?}");
    assert_eq!(keys.query().count().await.unwrap(), 700);
    assert!(keys.authenticate(token(699)).await.unwrap().is_some());
}

/// The plan of a lookup that shared its statement when the table was empty reads the whole table.
async fn after_many_sessions_no_statement_keeps_a_plan_for_the_empty_table(db: TestDatabase) {
    let sessions = with(&db, [new_key()]).await;
    let rows = || (0..1_000).map(by_token);
    sessions.importer().dry_run().run_iter(rows()).await.unwrap();
    let analyzed = "SELECT reltuples::int8::text FROM pg_class WHERE oid = 'sessions'::regclass";
    if db.kind() == Kind::Postgres {
        assert!(["0", "-1"].contains(&db.texts(analyzed).await[0].as_deref().unwrap()));
    }
    sessions.importer().run_iter(rows()).await.unwrap();
    if db.kind() == Kind::Postgres {
        assert_eq!(db.texts(analyzed).await, [Some("1000".to_owned())]);
    }
    assert!(is_valid(&sessions, token(999)).await);
}

each_database! {
    after_many_sessions_no_statement_keeps_a_plan_for_the_empty_table,
    sessions_of_a_stream_move_in_and_are_left_alone_the_second_time,
    an_import_that_stopped_goes_on_where_it_stopped,
    what_has_been_used_since_is_not_imported_a_second_time,
    a_session_of_another_user_is_not_taken_for_the_one_to_import,
    a_session_that_comes_twice_is_written_once,
    two_imports_of_the_same_sessions_do_no_harm,
    expired_sessions_are_imported_as_they_are,
    a_dry_run_finds_the_same_errors_and_writes_nothing,
    the_row_that_the_database_refuses_is_found,
}
