use cloakroom_testing::{Kind, TestDatabase, each_database};

use crate::harness::Cloakroom;

const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

async fn what_is_not_there_is_1(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    for verb in ["show", "extend", "expire", "delete"] {
        cloakroom.run(&[verb, "--id", NOBODY]).failed(1, "there is no session");
    }
    let (token, session) = cloakroom.create(&["--set", "user_id=1", "--expires-at", "2020-01-01T00:00:00Z"]);
    cloakroom.run(&["extend", "--id", session["id"].as_str().unwrap()]).failed(1, "has expired");
    cloakroom.authenticate(&token).failed(1, "no valid session");
    let unknown = cloakroom.run(&["token", "generate"]).done().stdout;
    cloakroom.authenticate(&unknown).failed(1, "no valid session");
}

async fn what_makes_no_sense_is_2(db: TestDatabase) {
    let cloakroom = Cloakroom::on(&db);
    cloakroom.run(&["migrate", "up", "--field", "user_id:text:index", "--field", "quota:integer?"]).done();
    let (_, session) = cloakroom.create(&["--set", "user_id=1"]);
    let id = session["id"].as_str().unwrap();
    for (arguments, expected) in [
        (&["create", "--set", "user_id=1", "--set", "colour=red"][..], "its fields: user_id, quota"),
        (&["create", "--set", "user_id=1", "--set", "quota=ten"], "quota is not right"),
        (&["create", "--set", "user_id"], "name=value"),
        (&["create", "--set", "user_id= "], "user_id can't be blank"),
        (&["create"], "user_id can't be blank"),
        (&["create", "--set", "user_id=1", "--ttl", "soon"], "7d"),
        (&["create", "--set", "user_id=1", "--ttl", "0s"], "some length"),
        (&["create", "--set", "user_id=1", "--expires-at", "tomorrow"], "2026-11-23T01:48:09Z"),
        (&["create", "--set", "user_id=1", "--ttl", "1d", "--never"], "cannot be used with"),
        (&["create", "--set", "user_id=1", "--data", "{"], "takes JSON"),
        (&["list", "--where", "colour=red"], "its fields: user_id, quota"),
        (&["count", "--where", "id=1"], "is not a UUID"),
        (&["count", "--where", "auth_token_digest=x"], "no field"),
        (&["list", "--status", "alive"], "expired"),
        (&["list", "--limit", "many"], "--limit"),
        (&["show", "--id", "1"], "a UUID"),
        (&["show"], "--id"),
        (&["expire"], "--id"),
        (&["delete", "--id", id, "--where", "user_id=1"], "cannot be used with"),
        (&["prune", "--every", "now and then"], "--every"),
        (&["migrate", "up", "--field", "user_id:string"], "the types are text, integer"),
        (&["migrate", "up", "--field", "a\tb:text"], "is no name for a column"),
        (&["migrate", "up", "--field", "data:text"], "built in"),
        (&["sing"], "sing"),
        (&["--database", "oracle://x", "list"], "must begin with"),
        (&["--database", "postgres://localhost:port/x", "list"], "is no URL"),
    ] {
        let expected = if expected == "must begin with" { "begins with sqlite:" } else { expected };
        cloakroom.run(arguments).failed(2, expected);
    }
    assert_eq!(cloakroom.count_all(), 1, "nothing of it was done");
}

async fn trouble_with_the_database_is_3(db: TestDatabase) {
    let cloakroom = Cloakroom::on(&db);
    for arguments in [
        &["list"][..],
        &["count"],
        &["authenticate"],
        &["show", "--id", NOBODY],
        &["extend", "--id", NOBODY],
        &["expire", "--where", "user_id=1"],
        &["delete", "--id", NOBODY],
        &["prune"],
        &["prune", "--every", "1h"],
        &["stats"],
    ] {
        let outcome = cloakroom.run_with_input(arguments, b"some-token-or-other");
        outcome.failed(
            3,
            "there is no table sessions; make it with: cloakroom migrate up --field user_id:text:index",
        );
    }
    if db.kind() == Kind::Sqlite {
        cloakroom.run(&["create", "--set", "user_id=1"]).done();
    } else {
        cloakroom.run(&["create", "--set", "user_id=1"]).failed(3, "migrate up --field");
    }

    db.execute("CREATE TABLE visits (id integer)").await;
    cloakroom.run(&["--table", "visits", "list"]).failed(3, "it has no column auth_token_digest");
    cloakroom.run(&["--table", "visits", "migrate", "up"]).failed(3, "auth_token_digest");

    let nowhere = match db.kind() {
        Kind::Sqlite => "sqlite:no/such/directory.db",
        Kind::Postgres => "postgres://nobody@127.0.0.1:1/nothing",
        Kind::MariaDb => "mysql://nobody@127.0.0.1:1/nothing",
    };
    let begun = std::time::Instant::now();
    cloakroom.run(&["--database", nowhere, "create", "--set", "user_id=1"]).failed(3, "cannot open the");
    assert!(begun.elapsed().as_secs() < 15, "somebody waits at a shell");
}

each_database! { what_is_not_there_is_1, what_makes_no_sense_is_2, trouble_with_the_database_is_3 }
