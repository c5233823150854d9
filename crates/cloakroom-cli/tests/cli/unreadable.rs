//! Rows that do not decode: the values are of other programs, or of earlier releases.

use cloakroom_testing::{Kind, TestDatabase, each_database};
use serde_json::json;

use crate::filters::{filled, users};

/// Gives the rows of these users a value that the column takes and that does not decode.
async fn break_rows(db: &TestDatabase, column: &str, users: &str) {
    let value = match (db.kind(), column) {
        (Kind::Sqlite | Kind::MariaDb, "data") => "'{'",
        // JSON has no greatest number.
        (Kind::Postgres, "data") => r#"'{"v": 1e400}'"#,
        (Kind::Sqlite, _) => "'0'",
        (Kind::Postgres, _) => "'-infinity'",
        (Kind::MariaDb, _) => "'0000-00-00'",
    };
    // As a program that runs without these checks could have written it.
    let unchecked = match db.kind() {
        Kind::MariaDb => "SET SESSION sql_mode = '' /*M! , SESSION check_constraint_checks = 0 */; ",
        Kind::Sqlite | Kind::Postgres => "",
    };
    if db.is_mysql() {
        let checks = "SELECT constraint_name FROM information_schema.check_constraints WHERE constraint_schema = DATABASE()";
        for check in db.texts(checks).await.into_iter().flatten() {
            db.execute(&format!("ALTER TABLE sessions ALTER CHECK {check} NOT ENFORCED")).await;
        }
    }
    db.execute(&format!("{unchecked}UPDATE sessions SET {column} = {value} WHERE user_id IN ({users})"))
        .await;
}

async fn a_session_that_does_not_decode_hides_no_other(db: TestDatabase) {
    let cloakroom = filled(&db);
    break_rows(&db, "data", "'2'").await;
    break_rows(&db, "updated_at", "'3'").await;
    for arguments in [&["list"][..], &["list", "--sort", "quota"]] {
        let outcome = cloakroom.run(&[arguments, &["--format", "json"]].concat()).done();
        let listed = outcome.json();
        let listed = listed.as_array().unwrap();
        let (broken, whole): (Vec<_>, Vec<_>) = listed.iter().partition(|one| one["fields"].is_null());
        assert_eq!((broken.len(), whole.len()), (2, 3), "{outcome:?}");
        assert!(whole.iter().all(|one| one["error"].is_null()), "{outcome:?}");
        assert!(outcome.stderr.contains("2 of them could not be read"), "{outcome:?}");
        for broken in broken {
            assert!(broken["data"].is_null() && broken["status"] == "valid", "{broken}");
            let error = broken["error"].as_str().unwrap();
            assert!(error.contains("data") || error.contains("updated_at"), "{broken}");
            assert!(outcome.stderr.contains(broken["id"].as_str().unwrap()), "{outcome:?}");
        }
    }
    let id = cloakroom
        .json(&["list"])
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["fields"].is_null())
        .unwrap()["id"]
        .clone();
    let id = id.as_str().unwrap();
    assert_eq!(users(&cloakroom, &["--where", "quota<20"]), "1 5");
    assert_eq!(cloakroom.json(&["show", "--id", id])["status"], "valid");
    assert_eq!(cloakroom.json(&["expire", "--id", id])["status"], "expired");
    assert_eq!(cloakroom.json(&["delete", "--id", id]), json!({"affected": 1}));
    assert_eq!(cloakroom.count_all(), 4);
}

async fn of_many_sessions_that_do_not_decode_five_are_named(db: TestDatabase) {
    let cloakroom = filled(&db);
    for user in ["6", "7"] {
        cloakroom.create(&["--set", &format!("user_id={user}")]);
    }
    break_rows(&db, "data", "'1', '2', '3', '5', '6'").await;
    let five = cloakroom.run(&["list"]).done();
    assert!(five.stderr.contains("5 of them") && !five.stderr.contains('…'), "{five:?}");
    break_rows(&db, "data", "'7'").await;
    let six = cloakroom.run(&["list"]).done();
    let named = six.stdout.lines().filter(|line| six.stderr.contains(line.split('\t').next().unwrap()));
    assert_eq!(named.count(), 5, "{six:?}");
    assert!(six.stderr.contains("6 of them") && six.stderr.contains(", …; they can be ended"), "{six:?}");
}

async fn a_session_whose_instants_do_not_decode_is_listed_and_ends_no_page(db: TestDatabase) {
    let cloakroom = filled(&db);
    break_rows(&db, "inserted_at", "'2'").await;
    let all = cloakroom.run(&["list", "--format", "json"]).done();
    let listed = all.json();
    let listed = listed.as_array().unwrap();
    let place = listed.iter().position(|one| one["fields"].is_null()).unwrap();
    let broken = &listed[place];
    assert_eq!(listed.len(), 5);
    assert_eq!(broken["inserted_at"], "9999-12-31T23:59:59.999999Z");
    assert!(broken["error"].as_str().unwrap().contains("inserted_at"), "{broken}");
    assert!(all.stderr.contains(broken["id"].as_str().unwrap()), "{all:?}");
    // It is the least on every database. The oldest is the last of a page of one.
    assert_eq!(place, 4);
    let first = cloakroom.run(&["list", "--sort", "inserted_at", "--limit", "1"]).done();
    assert!(first.stdout.starts_with(broken["id"].as_str().unwrap()), "{first:?}");
    assert!(!first.stderr.contains("--after"), "{first:?}");
    assert!(first.stderr.contains("no page can begin after"), "{first:?}");
    let id = broken["id"].as_str().unwrap();
    cloakroom.run(&["list", "--after", id]).failed(2, "no page can begin after");
    let cursors = cloakroom.run(&["list", "--columns", "id,cursor"]).done().stdout;
    assert!(cursors.lines().any(|line| line == format!("{id}\t")), "{cursors}");
    let second = cloakroom.run(&["list", "--sort", "inserted_at", "--limit", "2"]).done();
    assert!(second.stderr.contains("the next page: --after"), "{second:?}");
}

each_database! {
    a_session_that_does_not_decode_hides_no_other,
    of_many_sessions_that_do_not_decode_five_are_named,
    a_session_whose_instants_do_not_decode_is_listed_and_ends_no_page,
}
