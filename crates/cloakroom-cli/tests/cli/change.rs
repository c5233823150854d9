//! Commands that change one session or all of them.

use cloakroom_testing::{TestDatabase, each_database};
use serde_json::json;

use crate::harness::Cloakroom;

fn with_role(db: &TestDatabase) -> Cloakroom {
    let cloakroom = Cloakroom::on(db);
    cloakroom.run(&["migrate", "up", "--field", "user_id:text:index", "--field", "role:text?"]).done();
    cloakroom
}

async fn an_update_changes_what_is_named_and_nothing_else(db: TestDatabase) {
    let cloakroom = with_role(&db);
    let data = r#"{"huge":123456789012345678901234567890}"#;
    let (token, before) =
        cloakroom.create(&["--set", "user_id=1", "--set", "role=admin", "--data", data, "--never"]);
    let (_, other) = cloakroom.create(&["--set", "user_id=1", "--set", "role=admin"]);
    let id = before["id"].as_str().unwrap();
    let update = |arguments: &[&str]| cloakroom.json(&[&["update", "--id", id], arguments].concat());

    let after = update(&["--set", "user_id=2"]);
    assert_eq!(after["fields"], json!({"user_id": "2", "role": "admin"}));
    assert_eq!((&after["expires_at"], &after["inserted_at"]), (&json!(null), &before["inserted_at"]));
    let shown = cloakroom.run(&["show", "--id", id]).done().stdout;
    assert!(shown.contains("123456789012345678901234567890"), "every digit stays: {shown}");

    assert_eq!(update(&["--set-null", "role"])["fields"], json!({"user_id": "2", "role": null}));
    assert_eq!(update(&["--data", "{\"a\":1.50}"])["data"], json!({"a": 1.5}));
    let expiry = update(&["--expires-at", "2099-01-01T00:00:00Z"]);
    assert_eq!(expiry["expires_at"], "2099-01-01T00:00:00.000000Z");
    assert!(update(&["--ttl", "1h"])["expires_at"].as_str() < other["expires_at"].as_str());
    assert_eq!(update(&["--never"])["expires_at"], json!(null));
    assert_eq!(cloakroom.authenticate(&token).done().json()["id"], id, "the token stays");
    let other_id = other["id"].as_str().unwrap();
    assert_eq!(cloakroom.json(&["show", "--id", other_id]), other);

    for (arguments, expected) in [
        (&[][..], "say what is to change"),
        (&["--set", "colour=red"], "its fields: user_id, role"),
        (&["--set", "user_id="], "can't be blank"),
        (&["--set-null", "user_id"], "can't be blank"),
        (&["--set", "role=a", "--set-null", "role"], "role is set twice"),
        (&["--data", "{"], "takes JSON"),
        (&["--data", "{\"a\":123456789012345678901234567890}"], "more digits than can be kept"),
    ] {
        cloakroom.run(&[&["update", "--id", id], arguments].concat()).failed(2, expected);
    }
    cloakroom.json(&["expire", "--id", id]);
    let revive = ["update", "--id", id, "--expires-at", "2099-01-01T00:00:00Z"];
    cloakroom.run(&revive).failed(1, "has expired");
    cloakroom.authenticate(&token).failed(1, "no valid session");
}

async fn a_rotated_session_has_the_new_token_alone(db: TestDatabase) {
    let cloakroom = with_role(&db);
    let (old, before) = cloakroom.create(&["--set", "user_id=1"]);
    let id = before["id"].as_str().unwrap();
    let rotated = cloakroom.run(&["rotate", "--id", id]).done();
    let new = rotated.stdout.trim_end();
    assert!(new != old && new.len() == 64 && rotated.stderr.contains("user_id: 1"), "{rotated:?}");
    assert!(!rotated.stderr.contains(new), "{rotated:?}");
    cloakroom.authenticate(&old).failed(1, "no valid session");
    assert_eq!(cloakroom.authenticate(new).done().json()["id"], id);
    let again = cloakroom.json(&["rotate", "--id", id]);
    assert_eq!(
        (again["session"]["id"].as_str(), again["token"].as_str().map(str::len)),
        (Some(id), Some(64))
    );
    cloakroom.json(&["expire", "--id", id]);
    cloakroom.run(&["rotate", "--id", id]).failed(1, "has expired");
}

async fn all_sessions_end_only_when_that_is_agreed_to(db: TestDatabase) {
    let cloakroom = with_role(&db);
    cloakroom.create(&["--set", "user_id=1"]);
    // One is asked about, too: it is all that there is.
    for verb in ["expire", "delete"] {
        cloakroom.run_with_input(&[verb, "--all"], b"y\n").failed(2, "all, 1 session of sessions? Nobody");
        cloakroom.run(&[verb, "--all", "--where", "user_id=1"]).failed(2, "cannot be used with");
        cloakroom.run(&[verb]).failed(2, "--id");
    }
    #[cfg(unix)]
    {
        let (code, shown) = cloakroom.on_terminal(&["expire", "--all"], "n\n");
        assert!(code == 2 && shown.contains("Expire all, 1 session of sessions? [y/N]"), "{shown}");
        assert_eq!(cloakroom.json(&["count"]), json!({"count": 1}));
        let (code, shown) = cloakroom.on_terminal(&["expire", "--all"], "y\n");
        assert!(code == 0 && shown.contains("1 session expired"), "{shown}");
    }
    cloakroom.create(&["--set", "user_id=2"]);
    assert!(cloakroom.json(&["expire", "--all", "-y"])["affected"].as_u64() > Some(0));
    assert_eq!(cloakroom.json(&["count"]), json!({"count": 0}));
    assert_eq!(cloakroom.json(&["expire", "--all"]), json!({"affected": 0}), "there is nothing to ask about");
    assert_eq!(cloakroom.json(&["delete", "--all", "--yes"]), json!({"affected": 2}));
}

async fn pruning_keeps_what_ended_of_late_and_is_quiet_if_told(db: TestDatabase) {
    let cloakroom = with_role(&db);
    let create =
        |expires_at: &str| drop(cloakroom.create(&["--set", "user_id=1", "--expires-at", expires_at]));
    create("2020-01-01T00:00:00Z");
    let (_, ended) = cloakroom.create(&["--set", "user_id=2"]);
    cloakroom.json(&["expire", "--id", ended["id"].as_str().unwrap()]);
    let quiet = cloakroom.run(&["prune", "--older-than", "30d", "--quiet"]).done();
    assert_eq!((&*quiet.stdout, &*quiet.stderr), ("", ""));
    assert_eq!(cloakroom.count_all(), 1);
    assert_eq!(cloakroom.json(&["prune", "--older-than", "30d"]), json!({"affected": 0}));
    cloakroom.run(&["prune", "--older-than", "0s"]).failed(2, "some length");
    assert_eq!(cloakroom.json(&["prune"]), json!({"affected": 1}));
    cloakroom.run(&["prune", "--quiet", "--table", "nowhere"]).failed(3, "there is no table nowhere");
}

async fn stats_count_by_a_field(db: TestDatabase) {
    let cloakroom = with_role(&db);
    for (role, count) in [("role=admin", 1), ("role=reader", 3), ("", 2)] {
        for number in 0..count {
            let expiry = if number == 0 { "2020-01-01T00:00:00Z" } else { "2099-01-01T00:00:00Z" };
            let set = if role.is_empty() { vec![] } else { vec!["--set", role] };
            cloakroom.create(&[&["--set", "user_id=1", "--expires-at", expiry], &set[..]].concat());
        }
    }
    let by_role = json!({"field": "role", "values": [
        {"value": "reader", "valid": 2, "expired": 1, "all": 3},
        {"value": null, "valid": 1, "expired": 1, "all": 2},
        {"value": "admin", "valid": 0, "expired": 1, "all": 1},
    ]});
    assert_eq!(cloakroom.json(&["stats", "--by", "role"]), by_role);
    let most = cloakroom.run(&["stats", "--by", "role", "--limit", "1"]).done().stdout;
    assert_eq!(most, "reader\t2\t1\t3\n");
    let csv = cloakroom.run(&["stats", "--by", "role", "--limit", "1", "--format", "csv"]).done().stdout;
    assert_eq!(csv, "role,valid,expired,all\nreader,2,1,3\n");
    cloakroom.run(&["stats", "--by", "colour"]).failed(2, "its fields: user_id, role");
    cloakroom.run(&["stats", "--by", "auth_token_digest"]).failed(2, "no field");
}

async fn what_a_migration_did_is_said_and_only_nothing_is_nothing(db: TestDatabase) {
    let cloakroom = with_role(&db);
    assert_eq!(cloakroom.run(&["migrate", "up"]).done().stdout, "nothing was to be done\n");
    let on = if db.kind() == cloakroom_testing::Kind::MariaDb { " ON sessions" } else { "" };
    db.execute(&format!("DROP INDEX sessions_expires_at_index{on}")).await;
    let again = cloakroom.run(&["migrate", "up"]).done().stdout;
    assert!(again.starts_with("2\tapplied\t") && again.lines().count() == 1, "{again}");
    assert_eq!(cloakroom.run(&["migrate", "up"]).done().stdout, "nothing was to be done\n");

    // Somebody else's table is dropped as well.
    db.execute("DROP TABLE sessions_cloakroom_migrations").await;
    let down = cloakroom.run(&["migrate", "down", "--yes"]).done().stdout;
    assert!(down.lines().count() == 3 && down.contains("undone"), "{down}");
    let nothing = cloakroom.run(&["migrate", "down", "--yes"]).done().stdout;
    assert_eq!(nothing, "nothing was to be done\n");
}

each_database! {
    an_update_changes_what_is_named_and_nothing_else,
    a_rotated_session_has_the_new_token_alone,
    all_sessions_end_only_when_that_is_agreed_to,
    pruning_keeps_what_ended_of_late_and_is_quiet_if_told,
    stats_count_by_a_field,
    what_a_migration_did_is_said_and_only_nothing_is_nothing,
}
