//! Columns of types that the library has no word for, in tables that somebody else made.

use cloakroom::{DynamicFields, DynamicValue, ErrorKind, NewSession, Sessions};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_database, user};

/// A type, what is given for a column of it, what the column then holds, and another value that it can hold.
type Sample = (&'static str, &'static str, &'static str, &'static str);

const POSTGRES: [Sample; 36] = [
    ("numeric", "12345678901234567890.12345678900", "12345678901234567890.12345678900", "-0.5"),
    ("numeric(10,2)", "12.50", "12.50", "NaN"),
    // What its scale does not hold is rounded, and the answer says so.
    ("numeric(6,1)", "1.25", "1.3", "7.0"),
    ("money", "12345.67", "$12,345.67", "-$0.01"),
    ("oid", "1234", "1234", "4294967295"),
    ("date", "2026-11-28", "2026-11-28", "infinity"),
    ("time", "24:00:00", "24:00:00", "10:00:00.123456"),
    ("time(0)", "10:00:00.9", "10:00:01", "00:00:00"),
    ("timetz", "10:00:00+09", "10:00:00+09", "10:00:00-03:30"),
    ("interval", "1 day 2 hours", "1 day 02:00:00", "-00:00:00.5"),
    ("inet", "10.0.0.1", "10.0.0.1", "fe80::/10"),
    ("cidr", "10.0.0.0/8", "10.0.0.0/8", "::1/128"),
    ("macaddr", "08-00-2b-01-02-03", "08:00:2b:01:02:03", "00:00:00:00:00:00"),
    ("bit(3)", "101", "101", "000"),
    ("varbit(5)", "1", "1", "10101"),
    ("mood", "cross", "cross", "calm"),
    ("mood[]", "{cross,calm}", "{cross,calm}", "{}"),
    ("text[]", r#"{a,"b c",NULL,"\"}"}"#, r#"{a,"b c",NULL,"\"}"}"#, "{}"),
    ("varchar(3)[]", "{abc}", "{abc}", "{}"),
    ("int[]", "{{1,2},{3,4}}", "{{1,2},{3,4}}", "{NULL}"),
    ("timestamptz[]", "{infinity}", "{infinity}", "{}"),
    ("short", "abc", "abc", "de"),
    ("shorts", "{abc}", "{abc}", "{de}"),
    ("price", "1.10", "1.10", "0.00"),
    ("even", "4", "4", "2"),
    ("pair", "(1,\"a b\")", "(1,\"a b\")", "(,)"),
    ("int4range", "[1,3]", "[1,4)", "empty"),
    ("tsvector", "b a", "'a' 'b'", "'c'"),
    ("\"char\"", "x", "x", "y"),
    ("name", "some_name", "some_name", "other"),
    ("char(4)", "ab", "ab  ", "abcd"),
    ("real", "0.1", "0.1", "-2.5"),
    ("smallint", "-7", "-7", "32767"),
    // From version 19 on its second half has eight digits.
    ("pg_lsn", "16/B374D848", "16/B374D848", "7/89ABCDEF"),
    ("macaddr8", "08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03:04:05", "00:00:00:00:00:00:00:00"),
    ("bytea", "00ff", "00ff", ""),
];

/// Those that PostgreSQL compares with nothing.
const WITHOUT_EQUALITY: [Sample; 3] = [
    ("xml", "<a/>", "<a/>", "<b>1</b>"),
    ("point", "(1,2)", "(1,2)", "(0.5,-1)"),
    ("jsonpath", "$.a", "$.\"a\"", "$"),
];

const MARIADB: [Sample; 18] = [
    ("decimal(30,10)", "12345678901234567890.1234567890", "12345678901234567890.1234567890", "-0.5000000000"),
    ("decimal(5,2)", "1.239", "1.24", "7.00"),
    ("date", "2026-11-28", "2026-11-28", "1999-12-31"),
    ("time", "-10:00:00", "-10:00:00", "838:59:59"),
    ("time(6)", "10:00:00.123456", "10:00:00.123456", "00:00:00.000000"),
    ("year", "2026", "2026", "1999"),
    ("enum('calm','Cross')", "Cross", "Cross", "calm"),
    ("set('a','b','c')", "c,a", "a,c", ""),
    ("bit(8)", "5", "5", "255"),
    ("bit(64)", "18446744073709551615", "18446744073709551615", "0"),
    ("bigint unsigned", "18446744073709551615", "18446744073709551615", "0"),
    ("int unsigned", "4294967295", "4294967295", "0"),
    (
        "uuid",
        "a55ee49b-f592-4941-abde-ff497e5b951f",
        "a55ee49b-f592-4941-abde-ff497e5b951f",
        "00000000-0000-0000-0000-000000000001",
    ),
    ("inet6", "fe80::1", "fe80::1", "::"),
    ("inet4", "10.0.0.1", "10.0.0.1", "0.0.0.0"),
    ("float", "0.1", "0.1", "-2.5"),
    ("char(4)", "ab", "ab", "abcd"),
    ("varbinary(3)", "00ff", "00ff", ""),
];

const SQLITE: [Sample; 9] = [
    ("DECIMAL(10,2)", "12.50", "12.5", "7"),
    ("NUMERIC", "0.1", "0.1", "9223372036854775807"),
    ("DATE", "2026-11-28", "2026-11-28", "1999-12-31"),
    ("TIME", "10:00", "10:00", "23:59"),
    ("VARCHAR(3)", "longer than that", "longer than that", "7"),
    ("BIGINT", "-7", "-7", "9223372036854775807"),
    ("BLOB", "00ff", "00ff", ""),
    ("REAL", "0.30000000000000004", "0.30000000000000004", "-2.5"),
    ("money", "12345.67", "12345.67", "1"),
];

fn samples(db: &TestDatabase) -> Vec<Sample> {
    match db.kind() {
        Kind::Sqlite => SQLITE.to_vec(),
        Kind::Postgres => POSTGRES.to_vec(),
        Kind::MariaDb => MARIADB.into_iter().filter(|(sql_type, ..)| has_type(db, sql_type)).collect(),
    }
}

/// MySQL has none of these, which are MariaDB's.
fn has_type(db: &TestDatabase, sql_type: &str) -> bool {
    !(db.is_mysql() && ["uuid", "inet4", "inet6"].contains(&sql_type))
}

/// A table of sessions that somebody else made, of which SQLite checks no types.
async fn adopted(db: &TestDatabase) {
    if db.kind() == Kind::Sqlite {
        db.execute(
            "CREATE TABLE sessions (id BLOB NOT NULL PRIMARY KEY, auth_token_digest TEXT NOT NULL, data TEXT NOT NULL, \
             expires_at TEXT, user_id TEXT NOT NULL, inserted_at TEXT NOT NULL, updated_at TEXT NOT NULL)",
        )
        .await;
    }
    db.sessions::<UserSession>().await;
    if db.kind() == Kind::Postgres {
        db.execute(
            "CREATE TYPE mood AS ENUM ('calm', 'cross'); CREATE DOMAIN short AS varchar(5); \
             CREATE DOMAIN shorts AS short[]; CREATE DOMAIN price AS numeric(6,2); \
             CREATE DOMAIN even AS bigint CHECK (VALUE % 2 = 0); CREATE TYPE pair AS (a int, b text)",
        )
        .await;
    }
}

async fn dynamic(db: &TestDatabase) -> Sessions<DynamicFields> {
    let table = DynamicFields::definition_from(&db.database(), None, "sessions").await.unwrap().unwrap();
    Sessions::with_definition(db.database(), table, db.config().build().unwrap()).unwrap()
}

fn parsed(sessions: &Sessions<DynamicFields>, name: &str, text: &str) -> DynamicValue {
    let field = sessions.definition().fields().iter().find(|field| field.name() == name).unwrap();
    DynamicValue::parse(field.column_type(sessions.backend()), text).unwrap()
}

fn shown(fields: &DynamicFields, name: &str) -> String {
    fields.get(name).unwrap().to_string()
}

/// How many sessions the filter by this value finds.
async fn found(sessions: &Sessions<DynamicFields>, name: &str, text: &str) -> cloakroom::Result<u64> {
    let value = parsed(sessions, name, text);
    sessions.query().filter(DynamicFields::equals(sessions.definition(), name, &value)).count().await
}

/// A session whose `name` holds what is given for it.
async fn with(
    sessions: &Sessions<DynamicFields>,
    name: &str,
    text: &str,
) -> cloakroom::Session<DynamicFields> {
    let mut fields = DynamicFields::new(sessions.definition(), sessions.backend());
    fields.set("user_id", DynamicValue::Text("1".into())).unwrap();
    fields.set(name, parsed(sessions, name, text)).unwrap();
    let created = sessions.create(NewSession::new(fields)).await;
    created.unwrap_or_else(|error| panic!("{name} = {text}: {error:?}")).session
}

async fn a_type_of_the_databases_own_is_read_written_and_compared_digit_by_digit(db: TestDatabase) {
    adopted(&db).await;
    let without = if db.kind() == Kind::Postgres { &WITHOUT_EQUALITY[..] } else { &[] };
    let samples = samples(&db);
    for (number, (sql_type, ..)) in samples.iter().chain(without).enumerate() {
        db.execute(&format!("ALTER TABLE sessions ADD f{number} {sql_type}")).await;
    }
    let sessions = dynamic(&db).await;
    for (number, (sql_type, given, stored, other)) in samples.iter().chain(without).enumerate() {
        let name = format!("f{number}");
        let mut session = with(&sessions, &name, given).await;
        assert_eq!(shown(&session.fields, &name), *stored, "{sql_type}");
        let mut read = sessions.query().id(session.id).fetch_one().await.unwrap();
        assert_eq!(read, session, "{sql_type}");

        if number < samples.len() {
            assert_eq!(found(&sessions, &name, stored).await.unwrap(), 1, "{sql_type}");
            assert_eq!(found(&sessions, &name, other).await.unwrap(), 0, "{sql_type}");
        } else {
            let error = found(&sessions, &name, stored).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{sql_type}: {error:?}");
        }

        session.fields.set(&name, parsed(&sessions, &name, other)).unwrap();
        sessions.update(&mut session).await.unwrap_or_else(|error| panic!("{sql_type}: {error:?}"));
        assert_eq!(shown(&session.fields, &name), *other, "{sql_type}");
        sessions.reload(&mut read).await.unwrap();
        assert_eq!(read, session, "{sql_type}");
        session.fields.set(&name, DynamicValue::Null).unwrap();
        sessions.update(&mut session).await.unwrap();
        sessions.reload(&mut session).await.unwrap();
        assert_eq!(session.fields.get(&name), Some(&DynamicValue::Null), "{sql_type}");
    }
}

async fn text_that_is_no_value_of_a_columns_type_is_refused_and_equals_nothing(db: TestDatabase) {
    adopted(&db).await;
    let wrong: &[(&str, &str)] = match db.kind() {
        Kind::Postgres => &[
            ("numeric(4,2)", "123.4"),
            ("money", "12abc"),
            ("date", "2026-02-30"),
            ("inet", "10.0.0.300"),
            ("mood", "odd"),
            ("short", "abcdefgh"),
            ("varchar(3)[]", "{abcd}"),
            ("bit(3)", "1010"),
            ("even", "3"),
            ("real", "1e300"),
        ],
        Kind::MariaDb => &[
            ("decimal(4,2)", "12abc"),
            ("decimal(4,2)", "123.4"),
            ("date", "2026-02-30"),
            ("time", "abc"),
            ("year", "12abc"),
            ("enum('calm','cross')", "odd"),
            ("bit(3)", "abc"),
            ("bit(3)", "8"),
            ("bigint unsigned", "-1"),
            ("inet6", "10.0.0.300"),
        ],
        // It takes any text.
        Kind::Sqlite => &[],
    };
    let wrong: Vec<_> = wrong.iter().filter(|(sql_type, _)| has_type(&db, sql_type)).collect();
    for (number, (sql_type, _)) in wrong.iter().enumerate() {
        db.execute(&format!("ALTER TABLE sessions ADD f{number} {sql_type}")).await;
    }
    let sessions = dynamic(&db).await;
    for (number, (sql_type, text)) in wrong.iter().enumerate() {
        let name = format!("f{number}");
        let mut fields = DynamicFields::new(sessions.definition(), sessions.backend());
        fields.set("user_id", DynamicValue::Text("1".into())).unwrap();
        fields.set(&name, parsed(&sessions, &name, text)).unwrap();
        let error = sessions.create(NewSession::new(fields)).await.unwrap_err();
        let is_checked = *sql_type == "even";
        let kind = if is_checked { ErrorKind::Constraint } else { ErrorKind::InvalidField };
        assert_eq!(error.kind(), kind, "{sql_type} {text}: {error:?}");
        assert!(text.len() < 3 || !format!("{error:?}").contains(text), "{error:?}");
        // Nothing holds it; where the database can be asked at all, it says so.
        match found(&sessions, &name, text).await {
            Ok(count) => assert_eq!(count, 0, "{sql_type} {text}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidField, "{sql_type} {text}: {error:?}"),
        }
    }
    assert_eq!(sessions.query().count().await.unwrap(), 0);
}

async fn a_column_whose_type_was_changed_goes_on(db: TestDatabase) {
    let typed = db.sessions::<UserSession>().await;
    let token = typed.create(user("0042")).await.unwrap().token;
    for (sql_type, stored) in
        [("numeric(12,2)", "42.00"), ("bigint", "42"), ("text", "42"), ("citext_like", "42")]
    {
        let sql = match (db.kind(), sql_type) {
            (Kind::Sqlite, _) => return,
            (Kind::Postgres, "citext_like") => "ALTER TABLE sessions ALTER COLUMN user_id TYPE varchar(7)[] \
                USING ARRAY[user_id]"
                .to_owned(),
            (Kind::Postgres, _) => {
                format!("ALTER TABLE sessions ALTER COLUMN user_id TYPE {sql_type} USING user_id::{sql_type}")
            }
            (Kind::MariaDb, "text") => "ALTER TABLE sessions MODIFY user_id varchar(30) NOT NULL".to_owned(),
            (Kind::MariaDb, "citext_like") => {
                "ALTER TABLE sessions MODIFY user_id enum('42') NOT NULL".to_owned()
            }
            (Kind::MariaDb, _) => format!("ALTER TABLE sessions MODIFY user_id {sql_type} NOT NULL"),
        };
        db.execute(&sql).await;
        let stored = if sql.contains("[]") { "{42}" } else { stored };
        let mut sessions = dynamic(&db).await;
        if db.is_mysql() {
            // A statement that was prepared before the change goes on to compare by the column's old type.
            let anew = cloakroom::Database::connect(db.url()).await.unwrap();
            let definition = sessions.definition().clone();
            sessions = Sessions::with_definition(anew, definition, db.config().build().unwrap()).unwrap();
        }
        let session = sessions.authenticate(&token).await.unwrap().unwrap();
        assert_eq!(shown(&session.fields, "user_id"), stored, "{sql}");
        assert_eq!(found(&sessions, "user_id", stored).await.unwrap(), 1, "{sql}");
        let made = with(&sessions, "user_id", stored).await;
        assert_eq!(shown(&made.fields, "user_id"), stored, "{sql}");
        assert!(sessions.delete(made).await.unwrap());
    }
}

each_database! {
    a_type_of_the_databases_own_is_read_written_and_compared_digit_by_digit,
    text_that_is_no_value_of_a_columns_type_is_refused_and_equals_nothing,
    a_column_whose_type_was_changed_goes_on,
}
