use cloakroom_testing::{Kind, TestDatabase, each_database};

use crate::harness::Cloakroom;

async fn what_can_be_no_token_is_not_valid(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    let (token, _) = cloakroom.create(&["--set", "user_id=1"]);
    for input in [
        &b""[..],
        b"\n",
        b"\r\n",
        b"\0",
        b"short",
        b"\xff\xfe\x00\xc3\x28",
        b"' OR 1=1; DROP TABLE sessions; --",
        "séance-📱".as_bytes(),
        &vec![b'x'; 10_000_000],
        &[token.as_bytes(), b"\0"].concat(),
        &[token.as_bytes(), b"\n\n"].concat(),
        &[b" ", token.as_bytes()].concat(),
    ] {
        cloakroom.run_with_input(&["authenticate"], input).failed(1, "no valid session has this token");
        cloakroom.file("token", input);
        let from_file = cloakroom.run(&["authenticate", "--token-file", "token"]);
        from_file.failed(1, "no valid session has this token");
    }
    cloakroom.file("token", format!("{token}\n"));
    cloakroom.run(&["authenticate", "--token-file", "token"]).done();
    cloakroom.run(&["authenticate", "--token-file", "nowhere"]).failed(2, "nowhere");
    // A digest says why there is none.
    cloakroom.run(&["token", "digest"]).failed(2, "this is no token");
}

async fn a_value_means_nothing_but_itself(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    for value in ["'; DROP TABLE sessions; --", "\\", "%", "用户-ñ-🔑", "a\nb\tc\u{1b}[2J"] {
        let assignment = format!("user_id={value}");
        let (_, session) = cloakroom.create(&["--set", &assignment]);
        assert_eq!(session["fields"]["user_id"], value);
        let listed = cloakroom.json(&["list", "--where", &assignment]);
        assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
        let line = cloakroom.run(&["list", "--where", &assignment]).done().stdout;
        assert_eq!((line.lines().count(), line.split('\t').count()), (1, 6), "{line:?}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}

async fn what_a_column_cannot_hold_is_said_of_the_column(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    let long = format!("user_id={}", "x".repeat(300));
    let outcome = cloakroom.run(&["create", "--set", &long]);
    match db.kind() {
        Kind::Sqlite => drop(outcome.done()),
        Kind::Postgres => outcome.failed(2, "too long"),
        Kind::MariaDb => outcome.failed(2, "user_id"),
    }
    let outcome = cloakroom.run(&["create", "--set", "user_id=1", "--data", "{\"a\":\"\\u0000\"}"]);
    match db.kind() {
        Kind::Postgres => outcome.failed(2, "U+0000"),
        Kind::Sqlite | Kind::MariaDb => drop(outcome.done()),
    }
    let deep = "[".repeat(200) + &"]".repeat(200);
    cloakroom.run(&["create", "--set", "user_id=1", "--data", &deep]).failed(2, "data");
}

each_database! {
    what_can_be_no_token_is_not_valid,
    a_value_means_nothing_but_itself,
    what_a_column_cannot_hold_is_said_of_the_column,
}
