//! Columns of types that the command has no word for, in a table that `ecto_sessions` made.

use cloakroom::{Database, sqlx};
use cloakroom_testing::{Kind, TestDatabase, each_database};
use serde_json::{Value, json};

use crate::harness::Cloakroom;

/// The columns that an application added: name, type, what is set, what is shown, another value, what is shown of it.
type Column = (&'static str, &'static str, &'static str, &'static str, &'static str);

const POSTGRES: [Column; 9] = [
    ("price", "decimal(12,4)", "12345678.90", "12345678.9000", "0.0001"),
    ("born", "date", "1815-12-10", "1815-12-10", "2026-11-28"),
    ("opens", "time(0)", "09:30", "09:30:00", "23:59:59"),
    ("tags", "varchar(255)[]", r#"{admin,"two words"}"#, r#"{admin,"two words"}"#, "{}"),
    ("seen_from", "inet", "10.0.0.1", "10.0.0.1", "fe80::1/64"),
    ("email", "citext", "Ada@Example.com", "Ada@Example.com", "bob@example.com"),
    ("paid", "money", "12345.67", "$12,345.67", "$0.01"),
    (
        "badge",
        "uuid",
        "a55ee49b-f592-4941-abde-ff497e5b951f",
        "a55ee49b-f592-4941-abde-ff497e5b951f",
        "00000000-0000-0000-0000-000000000001",
    ),
    ("mood", "mood", "calm", "calm", "cross"),
];

const MARIADB: [Column; 7] = [
    ("price", "decimal(12,4)", "12345678.90", "12345678.9000", "0.0001"),
    ("born", "date", "1815-12-10", "1815-12-10", "2026-11-28"),
    ("opens", "time", "09:30", "09:30:00", "23:59:59"),
    ("seen_from", "inet6", "fe80::1", "fe80::1", "::"),
    (
        "badge",
        "uuid",
        "a55ee49b-f592-4941-abde-ff497e5b951f",
        "a55ee49b-f592-4941-abde-ff497e5b951f",
        "00000000-0000-0000-0000-000000000001",
    ),
    ("mood", "enum('calm','cross')", "calm", "calm", "cross"),
    ("flags", "bit(8)", "5", "5", "0"),
];

const SQLITE: [Column; 3] = [
    ("price", "DECIMAL(12,4)", "12345678.5", "12345678.5", "0.25"),
    ("born", "DATE", "1815-12-10", "1815-12-10", "2026-11-28"),
    ("opens", "TIME", "09:30", "09:30", "23:59:59"),
];

const ORIGINAL: &str = include_str!("../../../cloakroom-testing/golden/schema.sql");

/// The command on a table of the original's with these columns, and the connection's database.
async fn adopted(db: &TestDatabase, columns: &[Column]) -> (Cloakroom, Database) {
    let mut url = db.url().to_owned();
    if db.kind() == Kind::Postgres {
        // A database of its own: one has an extension once, whatever its schemas.
        let name = db.unique_name();
        db.execute(&format!("CREATE DATABASE {name}")).await;
        let (server, _) = db.url().split_once('?').unwrap();
        let (server, _) = server.rsplit_once('/').unwrap();
        url = format!("{server}/{name}");
    }
    let database = Database::connect(&url).await.unwrap();
    let mut statements = Vec::new();
    match db.kind() {
        Kind::Postgres => {
            statements.push("CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('calm', 'cross')".to_owned());
            statements.push(ORIGINAL.split_once("-- 2.").unwrap().0.to_owned());
        }
        Kind::MariaDb => statements.push(
            "CREATE TABLE sessions (id binary(16) NOT NULL PRIMARY KEY, auth_token_digest varchar(255) NOT NULL UNIQUE, \
             data json NOT NULL, expires_at datetime(6), user_id varchar(255) NOT NULL, inserted_at datetime(6) NOT NULL, \
             updated_at datetime(6) NOT NULL)"
                .to_owned(),
        ),
        Kind::Sqlite => statements.push(
            "CREATE TABLE sessions (id BLOB NOT NULL PRIMARY KEY, auth_token_digest TEXT NOT NULL UNIQUE, \
             data TEXT NOT NULL, expires_at TEXT, user_id TEXT NOT NULL, inserted_at TEXT NOT NULL, updated_at TEXT NOT NULL)"
                .to_owned(),
        ),
    }
    let added =
        columns.iter().map(|(name, sql_type, ..)| format!("ALTER TABLE sessions ADD {name} {sql_type}"));
    statements.extend(added);
    for sql in statements {
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        match &database {
            Database::Sqlite(pool) => sql.execute(pool).await.map(drop),
            Database::Postgres(pool) => sql.execute(pool).await.map(drop),
            Database::MySql(pool) => sql.execute(pool).await.map(drop),
            other => panic!("no such database: {other:?}"),
        }
        .unwrap();
    }
    (Cloakroom::new().with("DATABASE_URL", &url), database)
}

fn set(user: &str, columns: &[Column], value: impl Fn(&Column) -> &'static str) -> Vec<String> {
    let fields = columns.iter().map(|column| format!("{}={}", column.0, value(column)));
    [format!("user_id={user}")].into_iter().chain(fields).flat_map(|it| ["--set".to_owned(), it]).collect()
}

/// What is shown of a value: a number where the database keeps one.
fn as_shown(kind: Kind, text: &str) -> Value {
    match text.parse::<f64>() {
        Ok(number) if kind == Kind::Sqlite => json!(number),
        _ => json!(text),
    }
}

async fn the_columns_of_an_application_are_listed_shown_set_and_ended_by_digit_by_digit(db: TestDatabase) {
    let kind = db.kind();
    let mut columns = match kind {
        Kind::Sqlite => SQLITE.to_vec(),
        Kind::Postgres => POSTGRES.to_vec(),
        Kind::MariaDb => MARIADB.to_vec(),
    };
    if db.is_mysql() {
        // These are MariaDB's.
        columns.retain(|(_, sql_type, ..)| !["inet6", "uuid"].contains(sql_type));
    }
    let columns = &columns[..];
    let (cloakroom, database) = adopted(&db, columns).await;
    let arguments = set("1", columns, |column| column.2);
    let (token, session) = cloakroom.create(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let others = set("2", columns, |column| column.4);
    let (_, other) = cloakroom.create(&others.iter().map(String::as_str).collect::<Vec<_>>());
    for (name, _, _, shown, other_value) in columns {
        assert_eq!(session["fields"][name], as_shown(kind, shown), "{name}");
        assert_eq!(other["fields"][name], as_shown(kind, other_value), "{name}");
    }
    assert_eq!(cloakroom.authenticate(&token).done().json()["fields"], session["fields"]);
    assert_eq!(
        cloakroom.json(&["show", "--id", session["id"].as_str().unwrap()])["fields"],
        session["fields"]
    );
    assert_eq!(cloakroom.json(&["list"]).as_array().map(Vec::len), Some(2));
    assert_eq!(cloakroom.json(&["stats"])["counts"]["valid"], 2);

    for (name, _, given, shown, _) in columns {
        for value in [given, shown] {
            let listed = cloakroom.json(&["list", "--where", &format!("{name}={value}")]);
            assert_eq!(listed.as_array().map(Vec::len), Some(1), "{name}={value}");
            assert_eq!(listed[0]["id"], session["id"], "{name}={value}");
        }
    }
    if kind == Kind::Postgres {
        // She writes her address as she likes.
        let listed = cloakroom.json(&["list", "--where", "email=ADA@example.COM"]);
        assert_eq!(listed[0]["id"], session["id"]);
        cloakroom.run(&["create", "--set", "user_id=1", "--set", "mood=odd"]).failed(2, "mood");
        cloakroom.run(&["list", "--where", "paid=a lot"]).failed(2, "money");
    }
    let id = other["id"].as_str().unwrap();
    for (name, _, given, shown, _) in columns {
        let updated = cloakroom.json(&["update", "--id", id, "--set", &format!("{name}={given}")]);
        assert_eq!(updated["fields"][name], as_shown(kind, shown), "{name}");
    }
    let back = set("2", columns, |column| column.4);
    let back = ["update", "--id", id].into_iter().chain(back.iter().map(String::as_str)).collect::<Vec<_>>();
    assert_eq!(cloakroom.json(&back)["fields"], other["fields"]);

    let condition = if kind == Kind::Postgres { "email=ADA@example.COM" } else { "born=1815-12-10" };
    assert_eq!(cloakroom.json(&["expire", "--where", condition, "--yes"])["affected"], 1);
    cloakroom.authenticate(&token).failed(1, "no valid session");
    assert_eq!(cloakroom.json(&["list"])[0]["id"], other["id"]);

    let name = match &database {
        Database::Postgres(pool) => pool.connect_options().get_database().map(str::to_owned),
        _ => None,
    };
    database.close().await;
    if let Some(name) = name {
        db.execute(&format!("DROP DATABASE {name}")).await;
    }
}

each_database! { the_columns_of_an_application_are_listed_shown_set_and_ended_by_digit_by_digit }
