//! What is stored is what was said, or the answer says what is stored.

use cloakroom::{ErrorKind, NewSession, SessionTable, Sessions, Status};
use cloakroom_testing::{Kind, START, TestDatabase, UserSession, each_database, run, user};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::{Duration, OffsetDateTime};

use crate::rows;

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "visits")]
struct Visit {
    name: String,
    number: i64,
    seen_at: OffsetDateTime,
    weight: f64,
}

fn visit(name: &str, number: i64) -> Visit {
    Visit { name: name.into(), number, seen_at: START, weight: 0.1 }
}

/// The table, whose columns are narrower than the struct.
async fn narrower(db: &TestDatabase) -> Sessions<Visit> {
    db.sessions::<Visit>().await.migrate().await.unwrap();
    match db.kind() {
        Kind::Sqlite => {}
        Kind::Postgres => {
            db.execute(
                "ALTER TABLE visits ALTER name TYPE varchar(4), ALTER number TYPE smallint, \
                 ALTER seen_at TYPE timestamp(0), ALTER weight TYPE real",
            )
            .await;
        }
        Kind::MariaDb => {
            db.execute(
                "ALTER TABLE visits MODIFY name varchar(4) NOT NULL, MODIFY number smallint NOT NULL, \
                 MODIFY seen_at datetime NOT NULL, MODIFY weight decimal(5,1) NOT NULL",
            )
            .await;
        }
    }
    Sessions::new(db.database(), db.config().build().unwrap()).unwrap()
}

async fn a_value_that_its_column_would_cut_is_an_error_that_names_the_field(db: TestDatabase) {
    if db.kind() == Kind::Sqlite {
        // It knows neither lengths nor widths.
        return;
    }
    let sessions = narrower(&db).await;
    // The weight that is read is of another type on MariaDB, which this is not about.
    if db.kind() == Kind::MariaDb {
        db.execute("ALTER TABLE visits MODIFY weight double NOT NULL").await;
    }
    let mut session = sessions.create(NewSession::new(visit("four", 32_767))).await.unwrap().session;
    for (fields, field) in [
        (visit("fiver", 1), "name"),
        // The servers themselves cut spaces.
        (visit("four ", 1), "name"),
        (visit("four", 32_768), "number"),
        (visit("four", -32_769), "number"),
    ] {
        let before = session.clone();
        let error = sessions.create(NewSession::new(fields.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidField, "{error:?}");
        assert!(error.to_string().contains(field), "{error}");
        session.fields = fields;
        let error = sessions.update(&mut session).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidField, "{error:?}");
        assert!(error.to_string().contains(field), "{error}");
        session = before;
    }
    assert_eq!(sessions.query().fetch_all().await.unwrap(), [session]);

    // A column that is wider now is asked about again.
    db.execute(match db.kind() {
        Kind::Postgres => "ALTER TABLE visits ALTER name TYPE text, ALTER number TYPE bigint",
        _ => "ALTER TABLE visits MODIFY name text NOT NULL, MODIFY number bigint NOT NULL",
    })
    .await;
    let created = sessions.create(NewSession::new(visit("fiver ", 1 << 40))).await.unwrap();
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
}

async fn what_a_column_rounds_is_answered_as_the_row_holds_it(db: TestDatabase) {
    let sessions = narrower(&db).await;
    if db.kind() == Kind::MariaDb {
        // A decimal number is not read as a float, and one of half the width is.
        db.execute("ALTER TABLE visits MODIFY weight float NOT NULL").await;
    }
    let fields = Visit { seen_at: START + Duration::milliseconds(777), ..visit("a", 1) };
    let mut created = sessions.create(NewSession::new(fields)).await.unwrap();
    let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read, created.session);
    created.session.fields.seen_at += Duration::milliseconds(400);
    sessions.update(&mut created.session).await.unwrap();
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session.clone()));
    // Nothing else has changed, and no write is lost.
    created.session.fields.name = "b".into();
    sessions.update(&mut created.session).await.unwrap();
}

async fn instants_by_which_writes_are_told_apart_are_not_rounded(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut session = sessions.create(user("1")).await.unwrap().session;
    let sql = |column: &str, digits: u8| match db.kind() {
        Kind::Postgres => format!("ALTER TABLE sessions ALTER {column} TYPE timestamp({digits})"),
        _ => format!("ALTER TABLE sessions MODIFY {column} datetime({digits})"),
    };
    if db.kind() == Kind::Sqlite {
        return;
    }
    // Others may be: the answer is what the row holds.
    for column in ["expires_at", "inserted_at"] {
        db.execute(&sql(column, 0)).await;
    }
    let anew = || Sessions::<UserSession>::new(db.database(), db.config().build().unwrap()).unwrap();
    let rounding = anew();
    let created = rounding.create(user("2")).await.unwrap();
    assert_eq!(rounding.authenticate(&created.token).await.unwrap(), Some(created.session.clone()));
    assert_eq!(created.session.inserted_at.microsecond(), 0);
    rounding
        .update_with(&mut created.session.clone(), |session| session.fields.user_id = "3".into())
        .await
        .unwrap();

    db.execute(&sql("updated_at", 3)).await;
    let sessions = anew();
    sessions.reload(&mut session).await.unwrap();
    for error in [
        sessions.create(user("4")).await.unwrap_err(),
        sessions.update(&mut session).await.unwrap_err(),
        sessions.rotate(&mut session).await.unwrap_err(),
        sessions.extend(&mut session).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.to_string().contains("updated_at"), "{error}");
    }
    // What is there goes on, and ends.
    assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
    assert!(sessions.expire(&mut session).await.unwrap());
    assert_eq!(sessions.query().expire_all().await.unwrap(), 1);

    db.execute(&sql("updated_at", 6)).await;
    sessions.create(user("5")).await.unwrap();
}

/// A document that is written in a form in which it is not read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    value: f64,
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "readings", data = Reading)]
struct OfReading {}

async fn data_that_could_not_be_read_again_is_refused(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    // MariaDB's own limit is lower.
    let most = if db.kind() == Kind::MariaDb { 31 } else { 127 };
    for text in [r#"{"a": 1e309}"#, r#"{"a": [-1e99999]}"#, r#"{"a": "\ud800"}"#, &deep(128), &deep(100_000)]
    {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        let error = sessions.create(user("1").raw_data(&raw)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{text:.40}: {error:?}");
    }
    let deepest = RawValue::from_string(deep(most)).unwrap();
    let mut session = sessions.create(user("1").raw_data(&deepest)).await.unwrap().session;
    sessions.reload(&mut session).await.unwrap();
    for levels in [128, 1_000] {
        let mut data = serde_json::Value::Null;
        for _ in 0..levels {
            data = serde_json::Value::Array(vec![data]);
        }
        *session.data = data;
        let error = sessions.update(&mut session).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error:?}");
    }
    // Digits beyond those of a float are no harm.
    let exact = RawValue::from_string(r#"{"a":1.00000000000000000000000000001,"b":1e300}"#.into()).unwrap();
    let created = sessions.create(user("1").raw_data(&exact)).await.unwrap();
    assert!(sessions.authenticate(&created.token).await.unwrap().is_some());

    let readings = db.sessions::<OfReading>().await;
    let new = |value| NewSession::with_data(OfReading {}, Reading { value });
    assert_eq!(readings.create(new(f64::NAN)).await.unwrap_err().kind(), ErrorKind::InvalidData);
    let mut reading = readings.create(new(1.5)).await.unwrap().session;
    reading.data.value = f64::INFINITY;
    assert_eq!(readings.update(&mut reading).await.unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(readings.query().fetch_one().await.unwrap().data, Reading { value: 1.5 });
}

async fn a_row_that_nobody_can_read_is_listed_ended_and_deleted_by_its_id(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let changes: &[(&str, &str)] = match db.kind() {
        Kind::Sqlite => &[
            ("data", "'{\"a\":1e400}'"),
            ("data", "'no JSON'"),
            ("expires_at", "'tomorrow'"),
            ("expires_at", "'9999-12-31T23:59:59-10:00'"),
            ("updated_at", "'0000-01-01T00:00:00+10:00'"),
            ("inserted_at", "'long ago'"),
        ],
        Kind::Postgres => &[
            ("data", "'{\"a\":1e400}'"),
            ("expires_at", "'10000-01-03'"),
            ("expires_at", "'294276-12-31'"),
            ("updated_at", "'-infinity'"),
            ("updated_at", "'4713-01-01 BC'"),
            ("inserted_at", "'infinity'"),
            ("inserted_at", "'20000-01-01'"),
        ],
        Kind::MariaDb => &[
            // MySQL refuses such a number.
            if db.is_mysql() { ("expires_at", "'0000-02-00'") } else { ("data", "'{\"a\":1e400}'") },
            ("expires_at", "'0000-01-01'"),
            ("inserted_at", "'0000-00-00'"),
            ("updated_at", "'2026-00-10'"),
            ("expires_at", "'2030-02-31'"),
            ("inserted_at", "'2026-04-31'"),
            ("updated_at", "'2026-02-30'"),
        ],
    };
    let mut ids = Vec::new();
    for (column, value) in changes {
        let created = sessions.create(user("1")).await.unwrap();
        let update = match db.kind() {
            Kind::MariaDb => rows::LENIENT_UPDATE,
            Kind::Sqlite | Kind::Postgres => "UPDATE",
        };
        let digest = sessions.config().digest(&created.token).unwrap();
        let row = format!("auth_token_digest = '{}'", digest.expose());
        db.execute(&format!("{update} sessions SET {column} = {value} WHERE {row}")).await;
        // It is an error, unless the database itself finds that it has expired.
        match sessions.authenticate(&created.token).await {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Decode, "{column} {value}: {error:?}"),
            Ok(found) => assert!(found.is_none() && *column != "data", "{column} {value}"),
        }
        ids.push(created.session.id);
    }
    let bystander = sessions.create(user("2")).await.unwrap().session;
    let all = || sessions.query().status(Status::All);
    for listed in [
        all().fetch_each().await.unwrap(),
        all().oldest_first().fetch_each().await.unwrap(),
        all().stream_each().try_collect().await.unwrap(),
        all().oldest_first().stream_each().try_collect().await.unwrap(),
    ] {
        let (read, unreadable): (Vec<_>, Vec<_>) = listed.into_iter().partition(Result::is_ok);
        let read: Vec<_> = read.into_iter().map(Result::unwrap).collect();
        assert_eq!(read, std::slice::from_ref(&bystander));
        let mut listed: Vec<_> = unreadable.into_iter().map(|each| each.unwrap_err()).collect();
        listed.sort_by_key(|unreadable| unreadable.id);
        assert_eq!(listed.iter().map(|unreadable| unreadable.id).collect::<Vec<_>>(), ids);
        for (unreadable, (column, value)) in listed.iter().zip(changes) {
            assert_eq!(unreadable.error.kind(), ErrorKind::Decode);
            assert!(unreadable.error.to_string().contains(column), "{column} {value}: {}", unreadable.error);
        }
    }
    for id in ids {
        let error = all().id(id).fetch_one().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        sessions.query().id(id).expire_all().await.unwrap();
        assert_eq!(all().id(id).delete_all().await.unwrap(), 1);
    }
    assert_eq!(all().fetch_all().await.unwrap(), [bystander]);
}

each_database! {
    a_value_that_its_column_would_cut_is_an_error_that_names_the_field,
    what_a_column_rounds_is_answered_as_the_row_holds_it,
    instants_by_which_writes_are_told_apart_are_not_rounded,
    data_that_could_not_be_read_again_is_refused,
    a_row_that_nobody_can_read_is_listed_ended_and_deleted_by_its_id,
}

/// An instant after all others, which PostgreSQL has.
mod only_on_postgres {
    use super::*;

    async fn infinity_is_never_case(db: TestDatabase) {
        let sessions = db.sessions::<UserSession>().await;
        let created = sessions.create(user("1")).await.unwrap();
        db.execute("UPDATE sessions SET expires_at = 'infinity'").await;
        let mut session = sessions.authenticate_fresh(&created.token).await.unwrap().unwrap();
        assert_eq!(session.expires_at, None);
        db.clock().advance(Duration::days(100_000));
        assert_eq!(sessions.authenticate_fresh(&created.token).await.unwrap(), Some(session.clone()));
        assert!(!sessions.extend(&mut session).await.unwrap());
        assert_eq!(sessions.query().fetch_all().await.unwrap(), [session.clone()]);
        assert_eq!(sessions.query().status(Status::Expired).count().await.unwrap(), 0);
        assert_eq!(sessions.delete_expired().await.unwrap(), 0);

        // Written as it was read, by whatever name.
        session.fields.user_id = "2".into();
        sessions.update(&mut session).await.unwrap();
        let token = sessions.rotate(&mut session).await.unwrap();
        db.execute("UPDATE sessions SET expires_at = 'infinity'").await;
        assert!(sessions.expire(&mut session).await.unwrap());
        assert_eq!(sessions.authenticate(&token).await.unwrap(), None);

        let created = sessions.create(user("3")).await.unwrap();
        db.execute("UPDATE sessions SET expires_at = '-infinity' WHERE user_id = '3'").await;
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
        let error =
            sessions.query().status(Status::All).id(created.session.id).fetch_one().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert_eq!(sessions.delete_expired().await.unwrap(), 2);
    }

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
    fn infinity_is_never() {
        run(Kind::Postgres, infinity_is_never_case);
    }
}

/// A mode of the server's that cuts what is too long, which MariaDB has.
mod only_on_mariadb {
    use cloakroom::Database;
    use sqlx::Executor;
    use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};

    use super::*;

    async fn nothing_is_cut_in_whatever_mode_the_server_is_case(db: TestDatabase) {
        let options: MySqlConnectOptions = db.url().parse().unwrap();
        let pool = MySqlPoolOptions::new()
            .max_connections(2)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute("SET sql_mode = ''").await.map(drop) })
            })
            .connect_with(options)
            .await
            .unwrap();
        db.sessions::<UserSession>().await;
        let database = Database::from(pool.clone());
        let sessions = Sessions::<UserSession>::new(database, db.config().build().unwrap()).unwrap();
        let mut session = sessions.create(user("1")).await.unwrap().session;
        // The library knows nothing of this length: its handle has asked before.
        db.execute("ALTER TABLE sessions MODIFY user_id varchar(4) NOT NULL").await;
        let long = "longer than that";
        let error = sessions.create(user(long)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidField, "{error:?}");
        assert!(error.to_string().contains("user_id"), "{error}");
        session.fields.user_id = long.into();
        let error = sessions.update(&mut session).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidField, "{error:?}");
        assert!(error.to_string().contains("user_id"), "{error}");
        let mut transaction = sessions.begin().await.unwrap();
        let error = sessions.within(&mut transaction).create(user(long)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidField, "{error:?}");
        transaction.rollback().await.unwrap();
        // The application's own mode stays.
        let modes: Vec<(String,)> = sqlx::query_as("SELECT @@sql_mode").fetch_all(&pool).await.unwrap();
        assert_eq!(modes, [(String::new(),)]);
        assert_eq!(sessions.query().count().await.unwrap(), 1);
        pool.close().await;
    }

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "MariaDB: run `cargo xtask test`")]
    fn nothing_is_cut_in_whatever_mode_the_server_is() {
        run(Kind::MariaDb, nothing_is_cut_in_whatever_mode_the_server_is_case);
    }
}
