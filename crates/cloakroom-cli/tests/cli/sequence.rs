use cloakroom_testing::{Kind, TestDatabase, each_database};
use serde_json::json;

use crate::harness::Cloakroom;

/// An embedded database needs no more than `create`.
fn ready(db: &TestDatabase) -> Cloakroom {
    let cloakroom = Cloakroom::on(db);
    if db.kind() != Kind::Sqlite {
        cloakroom.run(&["migrate", "up"]).done();
    }
    cloakroom
}

async fn a_session_lives_and_ends_by_command(db: TestDatabase) {
    let cloakroom = ready(&db);
    let data = r#"{"device_name":"Sample Browser"}"#;
    let created = cloakroom.run(&["create", "--set", "user_id=1234", "--data", data]).done();
    let token = created.stdout.strip_suffix('\n').unwrap();
    assert_eq!(token.len(), 64, "the token stands alone on standard output: {created:?}");
    assert!(created.stderr.contains("user_id: 1234"), "{created:?}");

    // As a shell's pipe hands it over, with its line end.
    let shown = cloakroom.run_with_input(&["authenticate"], created.stdout.as_bytes()).done();
    assert!(
        shown.stdout.contains("user_id\t1234\n") && shown.stdout.contains("status\tvalid\n"),
        "{shown:?}"
    );
    assert!(shown.stdout.contains("Sample Browser"), "{shown:?}");

    let listed = cloakroom.run(&["list", "--where", "user_id=1234"]).done().stdout;
    assert_eq!(listed.lines().count(), 1);
    assert!(listed.contains("\t1234\tvalid\t") && listed.contains("Sample Browser"), "{listed}");
    assert_eq!(cloakroom.run(&["list", "--where", "user_id=1235"]).done().stdout, "");

    let expired = cloakroom.run(&["expire", "--where", "user_id=1234"]).done();
    assert_eq!(expired.stdout, "1 session expired\n");
    cloakroom.authenticate(token).failed(1, "no valid session");
    assert_eq!(cloakroom.run(&["count"]).done().stdout, "0\n");
    assert_eq!(cloakroom.run(&["count", "--status", "expired"]).done().stdout, "1\n");

    assert_eq!(cloakroom.run(&["prune"]).done().stdout, "1 session deleted\n");
    assert_eq!(cloakroom.run(&["count", "--status", "all"]).done().stdout, "0\n");
}

async fn a_table_is_made_described_and_dropped(db: TestDatabase) {
    let cloakroom = Cloakroom::on(&db);
    let pending = cloakroom.json(&["migrate", "status"]);
    assert_eq!((&pending["exists"], &pending["migrations"][0]["applied"]), (&json!(false), &json!(false)));

    let up = ["migrate", "up", "--field", "user_id:text:index", "--field", "quota:integer?"];
    let applied = cloakroom.json(&up);
    assert_eq!(applied["applied"].as_array().unwrap().len(), 3, "{applied}");
    assert_eq!(cloakroom.json(&up), json!({"applied": []}), "once is enough");

    let status = cloakroom.json(&["migrate", "status"]);
    assert_eq!(status["exists"], true);
    assert_eq!(
        status["fields"],
        json!([
            {"name": "user_id", "type": "text", "nullable": false},
            {"name": "quota", "type": "integer", "nullable": true},
        ])
    );
    assert!(status["migrations"].as_array().unwrap().iter().all(|migration| migration["applied"] == true));

    cloakroom.create(&["--set", "user_id=1234"]);
    // Without fields it is the table's own.
    assert_eq!(cloakroom.json(&["migrate", "up"]), json!({"applied": []}));
    assert_eq!(cloakroom.json(&["migrate", "down", "--yes"])["undone"].as_array().unwrap().len(), 3);
    cloakroom.run(&["count"]).failed(3, "migrate up");
}

async fn the_printed_statements_make_the_table(db: TestDatabase) {
    let cloakroom = Cloakroom::on(&db);
    let fields = ["--field", "user_id:text:index", "--field", "role:text?"];
    let sql = cloakroom.run(&[&["migrate", "sql"][..], &fields].concat()).done().stdout;
    db.execute(&sql).await;
    cloakroom.create(&["--set", "user_id=1234"]);
    assert_eq!(cloakroom.count_all(), 1);
    let down = cloakroom.run(&["migrate", "sql", "--down"]).done().stdout;
    db.execute(&down).await;
    cloakroom.run(&["count"]).failed(3, "there is no table sessions");
}

async fn tables_and_schemas_are_told_apart(db: TestDatabase) {
    let schema = match db.kind() {
        Kind::Sqlite => "main".to_owned(),
        Kind::Postgres | Kind::MariaDb => db.unique_name(),
    };
    let cloakroom = Cloakroom::with_table(&db);
    let elsewhere = ["--schema", &schema, "--table", "api_keys"];
    cloakroom.run(&[&elsewhere[..], &["migrate", "up"]].concat()).done();
    cloakroom.run(&[&elsewhere[..], &["create", "--set", "user_id=1234"]].concat()).done();
    assert_eq!(cloakroom.run(&[&elsewhere[..], &["count"]].concat()).done().stdout, "1\n");
    assert_eq!(cloakroom.json(&[&elsewhere[..], &["stats"]].concat())["busiest"]["value"], "1234");
    assert_eq!(cloakroom.count_all(), 0);
    cloakroom.run(&["--table", "x\ndrop table sessions", "count"]).failed(2, "is no name for a table");
}

async fn stats_tell_how_many_how_old_and_whose(db: TestDatabase) {
    let cloakroom = Cloakroom::on(&db);
    // No column is called user_id: the owner is the one to look up by.
    cloakroom.run(&["migrate", "up", "--field", "role:text", "--field", "owner:integer:index"]).done();
    let empty = cloakroom.json(&["stats"]);
    assert_eq!(
        empty,
        json!({"counts": {"valid": 0, "expired": 0, "all": 0}, "newest": null, "oldest": null, "busiest": null})
    );
    let create = |owner: &str, expiry: &[&str]| {
        let owner = format!("owner={owner}");
        cloakroom.create(&[&["--set", "role=reader", "--set", &owner], expiry].concat()).1
    };
    let first = create("7", &["--expires-at", "2020-01-01T00:00:00Z"]);
    create("9", &["--never"]);
    let last = create("7", &[]);
    assert_eq!(
        cloakroom.json(&["stats"]),
        json!({
            "counts": {"valid": 2, "expired": 1, "all": 3},
            "newest": last["inserted_at"],
            "oldest": first["inserted_at"],
            "busiest": {"field": "owner", "value": 7, "count": 2},
        })
    );
    let text = cloakroom.run(&["stats"]).done().stdout;
    assert!(text.contains("valid\t2\n") && text.contains("busiest\towner=7 (2 sessions)\n"), "{text}");
}

each_database! {
    a_session_lives_and_ends_by_command,
    a_table_is_made_described_and_dropped,
    the_printed_statements_make_the_table,
    tables_and_schemas_are_told_apart,
    stats_tell_how_many_how_old_and_whose,
}
