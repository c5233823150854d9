use cloakroom_testing::{Kind, TestDatabase, each_database};
use serde_json::Value;

use crate::harness::{Cloakroom, Outcome};

/// What `doctor` found, by check and state.
fn findings(outcome: &Outcome) -> Vec<(String, String, String)> {
    let json = outcome.json();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = json["findings"].as_array().unwrap().iter();
    findings.map(|one| (text(one, "check"), text(one, "state"), text(one, "says"))).collect()
}

fn doctor(cloakroom: &Cloakroom) -> Vec<(String, String, String)> {
    let outcome = cloakroom.run(&["--format", "json", "doctor"]);
    let findings = findings(&outcome);
    let has_warnings = findings.iter().any(|(_, state, _)| state == "warning");
    assert_eq!(outcome.code, i32::from(has_warnings), "{outcome:?}");
    // Servers for tests do not wait for the disk, and say so.
    findings.into_iter().filter(|(check, _, _)| check != "durability").collect()
}

fn says<'f>(findings: &'f [(String, String, String)], check: &str) -> Vec<(&'f str, &'f str)> {
    let those = findings.iter().filter(|(name, _, _)| name == check);
    those.map(|(_, state, says)| (state.as_str(), says.as_str())).collect()
}

async fn a_sound_database_has_no_warning(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    cloakroom.create(&["--set", "user_id=1"]);
    cloakroom.create(&["--set", "user_id=1", "--expires-at", "2020-01-01T00:00:00Z"]);
    let found = doctor(&cloakroom);
    let unsound: Vec<_> = found.iter().filter(|(_, state, _)| state != "ok").collect();
    assert!(unsound.is_empty(), "{unsound:?}");
    let server = match db.kind() {
        Kind::Sqlite => "SQLite 3.",
        Kind::Postgres => "PostgreSQL 1",
        Kind::MariaDb if db.is_mysql() => "MySQL",
        Kind::MariaDb => "MariaDB",
    };
    assert!(says(&found, "server")[0].1.contains(server), "{found:?}");
    assert!(says(&found, "strict")[0].1.starts_with("yes"), "{found:?}");
    assert_eq!(says(&found, "rows"), [("ok", "1 valid, 1 expired")]);
    assert_eq!(says(&found, "schemes"), [("ok", "sha256: 1 valid, and new tokens")]);
    assert_eq!(says(&found, "migrations"), [("ok", "nothing is to be done")]);
    let indexes: Vec<_> = says(&found, "index").into_iter().map(|(_, says)| says.to_owned()).collect();
    assert_eq!(
        indexes,
        [
            "authenticate: there is one on auth_token_digest",
            "prune: there is one on expires_at",
            "list by user_id: there is one on user_id"
        ]
    );
    if db.kind() == Kind::MariaDb {
        // Servers for tests have no binary log.
        let all = findings(&cloakroom.run(&["--format", "json", "doctor"]));
        let durability = says(&all, "durability");
        assert!(
            durability.iter().any(|(state, says)| *state == "note" && says.starts_with("log_bin OFF")),
            "{all:?}"
        );
    }
    // Tab-separated, as the other commands.
    let plain = cloakroom.run(&["doctor"]).stdout;
    assert!(plain.lines().any(|line| line == "ok\trows\t1 valid, 1 expired"), "{plain}");
}

async fn a_missing_index_is_a_warning(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    let index = "sessions_expires_at_index";
    db.execute(&match db.kind() {
        Kind::MariaDb => format!("DROP INDEX {index} ON sessions"),
        Kind::Sqlite | Kind::Postgres => format!("DROP INDEX {index}"),
    })
    .await;
    let found = doctor(&cloakroom);
    let warnings: Vec<_> = found.iter().filter(|(_, state, _)| state == "warning").collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    let (_, plan) = says(&found, "migrations")[0];
    assert!(plan.starts_with("`migrate up` would run: CREATE INDEX ") && plan.contains(index), "{plan}");
    assert!(says(&found, "index")[1].1.starts_with("prune: there is none that begins with expires_at"));
    assert_eq!(cloakroom.run(&["doctor"]).code, 1);
    // It has changed nothing.
    assert!(says(&doctor(&cloakroom), "migrations")[0].1.contains(index));
    cloakroom.run(&["migrate", "up"]).done();
    assert!(doctor(&cloakroom).iter().all(|(_, state, _)| state == "ok"));
}

async fn a_missing_table_is_a_warning(db: TestDatabase) {
    let cloakroom = Cloakroom::on(&db);
    db.execute("CREATE TABLE visits (id integer)").await;
    let found = doctor(&cloakroom);
    let (state, text) = says(&found, "table")[0];
    assert_eq!(state, "warning");
    assert!(text.contains("make it with: cloakroom migrate up"), "{text}");
}

async fn a_database_that_cannot_be_had_is_trouble(db: TestDatabase) {
    let nowhere = match db.kind() {
        Kind::Sqlite => "sqlite:no/such/directory.db",
        Kind::Postgres => "postgres://nobody@127.0.0.1:1/nothing",
        Kind::MariaDb => "mysql://nobody@127.0.0.1:1/nothing",
    };
    Cloakroom::new().run(&["--database", nowhere, "doctor"]).failed(3, "database");
}

/// A role that may only read is told what it lacks.
async fn a_role_that_may_only_read_is_told_so_case(db: TestDatabase) {
    Cloakroom::with_table(&db);
    let (role, password) = (db.unique_name(), "a-password-for-a-test");
    let address = db.url().rsplit_once('@').unwrap().1.to_owned();
    let is_postgres = db.kind() == Kind::Postgres;
    let scheme = if is_postgres { "postgres" } else { "mysql" };
    db.execute(&if is_postgres {
        let own = db.schema().unwrap();
        format!(
            "CREATE ROLE {role} LOGIN PASSWORD '{password}'; GRANT USAGE ON SCHEMA {own} TO {role}; \
             GRANT SELECT ON sessions TO {role}"
        )
    } else {
        format!("CREATE USER {role} IDENTIFIED BY '{password}'; GRANT SELECT ON sessions TO {role}")
    })
    .await;
    let cloakroom = Cloakroom::new().with("DATABASE_URL", &format!("{scheme}://{role}:{password}@{address}"));
    let outcome = cloakroom.run(&["--format", "json", "doctor"]);
    let found = findings(&outcome);
    let rights = says(&found, "rights");
    assert_eq!(rights, [("warning", "this role lacks INSERT, UPDATE, DELETE on the table")], "{outcome:?}");
    assert!(!format!("{outcome:?}").contains(password));
    db.execute(&if is_postgres {
        format!("DROP OWNED BY {role}; DROP ROLE {role}")
    } else {
        format!("DROP USER {role}")
    })
    .await;
}

async fn digests_in_the_order_of_a_language_are_noted_and_the_advice_helps_case(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    let told = || {
        says(&doctor(&cloakroom), "collation").pop().map(|(state, says)| (state.to_owned(), says.to_owned()))
    };
    let sound = Some(("ok".to_owned(), "the digests are in the order of their bytes".to_owned()));
    assert_eq!(told(), sound, "as this library makes the table");
    db.execute("ALTER TABLE sessions ALTER COLUMN auth_token_digest TYPE varchar(255) COLLATE \"und-x-icu\"")
        .await;
    let (state, advice) = told().unwrap();
    assert_eq!(state, "note");
    let (_, statement) = advice.split_once("; ").unwrap();
    db.execute(statement.split_once(" makes").unwrap().0).await;
    assert_eq!(told(), sound);
    let migrations = doctor(&cloakroom);
    assert_eq!(says(&migrations, "migrations"), [("ok", "nothing is to be done")]);
}

each_database! {
    a_sound_database_has_no_warning,
    a_missing_index_is_a_warning,
    a_missing_table_is_a_warning,
    a_database_that_cannot_be_had_is_trouble,
}

mod roles {
    use cloakroom_testing::{Kind, run};

    mod postgres {
        use super::*;

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
        fn digests_in_the_order_of_a_language_are_noted_and_the_advice_helps() {
            run(
                Kind::Postgres,
                super::super::digests_in_the_order_of_a_language_are_noted_and_the_advice_helps_case,
            );
        }

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
        fn a_role_that_may_only_read_is_told_so() {
            run(Kind::Postgres, super::super::a_role_that_may_only_read_is_told_so_case);
        }
    }

    mod mariadb {
        use super::*;

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "MariaDB: run `cargo xtask test`")]
        fn a_role_that_may_only_read_is_told_so() {
            run(Kind::MariaDb, super::super::a_role_that_may_only_read_is_told_so_case);
        }
    }
}
