//! Sessions from a file.

use std::fmt::Write;
use std::time::{Duration, Instant};

use cloakroom::{Config, Hashing};
use cloakroom_testing::{Kind, TestDatabase, each_database};
use serde_json::json;

use crate::harness::Cloakroom;

const SALT: &str = "pepper-of-the-house";

fn with_fields(db: &TestDatabase) -> Cloakroom {
    let cloakroom = Cloakroom::on(db).with("CLOAKROOM_SECRET_SALT", SALT);
    let fields = ["--field", "user_id:text:index", "--field", "quota:integer?", "--field", "device:json?"];
    cloakroom.run(&[&["migrate", "up"], &fields[..]].concat()).done();
    cloakroom
}

fn token(number: u32) -> String {
    format!("a-token-of-another-system-{number:06}")
}

async fn sessions_of_another_system_go_on_with_their_tokens(db: TestDatabase) {
    let cloakroom = with_fields(&db);
    let csv = format!(
        "\u{feff}token,user_id,quota,device,data,expires_at,inserted_at,status\r\n\
         {},1,-9007199254740993,\"{{\"\"os\"\":1.50}}\",\"{{\"\"n\"\":123456789012345678901234567890}}\",never,\
         2020-01-01T00:00:00Z,valid\r\n\
         {},\"2\nwith \"\"quotes\"\", and = + - @\",,,,2099-01-01T00:00:00Z,,\r\n",
        token(1),
        token(2)
    );
    cloakroom.file("sessions.csv", csv);
    assert_eq!(
        cloakroom.json(&["import", "sessions.csv"]),
        json!({"imported": 2, "already_there": 0, "lines": 2})
    );
    let first = cloakroom.authenticate(&token(1)).done();
    assert!(first.stdout.contains("123456789012345678901234567890"), "to the last digit: {first:?}");
    let first = first.json();
    assert_eq!(first["fields"]["quota"], -9_007_199_254_740_993_i64);
    assert_eq!(
        (&first["expires_at"], &first["inserted_at"]),
        (&json!(null), &json!("2020-01-01T00:00:00.000000Z"))
    );
    let second = cloakroom.authenticate(&token(2)).done().json();
    assert_eq!(second["fields"]["user_id"], "2\nwith \"quotes\", and = + - @");
    assert_eq!((&second["fields"]["quota"], &second["data"]), (&json!(null), &json!({})));
    assert_eq!(second["expires_at"], "2099-01-01T00:00:00.000000Z");

    // JSON lines, from standard input, in both forms.
    let lines = format!(
        "{{\"token\":\"{}\",\"user_id\":\"3\",\"quota\":5,\"data\":{{\"a\":1.50}}}}\n\n\
         {{\"token\":\"{}\",\"fields\":{{\"user_id\":\"4\",\"quota\":\"6\"}},\"expires_at\":null}}\n",
        token(3),
        token(4)
    );
    let imported = cloakroom.run_with_input(&["import"], lines.as_bytes()).done();
    assert_eq!(imported.stdout, "2 sessions imported\n");
    assert_eq!(cloakroom.authenticate(&token(3)).done().json()["fields"]["quota"], 5);
    assert_eq!(cloakroom.authenticate(&token(4)).done().json()["expires_at"], json!(null));
    assert_eq!(cloakroom.count_all(), 4);
}

async fn what_is_exported_is_imported_again_as_it_was(db: TestDatabase) {
    let cloakroom = with_fields(&db);
    for user in ["1", "a,\"b\"\nc", "=1+1"] {
        let set = format!("user_id={user}");
        cloakroom.create(&["--set", &set, "--set", "device={\"a\": 1.50}", "--data", "{\"x\":[1e2]}"]);
    }
    cloakroom.create(&["--set", "user_id=2", "--expires-at", "2020-01-01T00:00:00Z"]);
    for format in ["csv", "jsonl"] {
        let export = ["list", "--status", "all", "--format", format];
        let before = cloakroom.run(&export).done().stdout;
        let digests: Vec<_> = db.texts("SELECT auth_token_digest FROM sessions").await;
        assert!(digests.iter().flatten().all(|digest| !before.contains(digest.as_str())));
        cloakroom.file("export", &before);
        cloakroom.json(&["delete", "--all", "--yes"]);
        // Tokens are in no export, so each gets a new one.
        cloakroom.run(&["import", "export"]).failed(2, "it has no token; say --tokens FILE");
        let tokens = format!("tokens-{format}.csv");
        cloakroom.run(&["import", "export", "--tokens", &tokens]).done();
        let columns =
            ["--columns", "id,user_id,quota,device,data,status,expires_at,inserted_at", "--format", "csv"];
        let after = cloakroom.run(&[&["list", "--status", "all"], &columns[..]].concat()).done().stdout;
        for line in before.lines().filter(|_| format == "csv").skip(1) {
            let id = line.split(',').next().unwrap();
            assert!(after.contains(id), "{line}\n{after}");
        }
        assert_eq!(cloakroom.count_all(), 4);
        assert_eq!(cloakroom.json(&["count", "--where", "user_id=a,\"b\"\nc"]), json!({"count": 1}));
        assert_eq!(cloakroom.json(&["count", "--status", "expired"]), json!({"count": 1}));
        let written = std::fs::read_to_string(cloakroom.directory().join(&tokens)).unwrap();
        let mut rows = written.lines();
        assert_eq!(rows.next(), Some("line,id,token"));
        for row in rows.take(1) {
            let [_, id, token] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
            let outcome = cloakroom.authenticate(token);
            if outcome.code == 0 {
                assert_eq!(outcome.json()["id"], id);
            }
        }
        cloakroom.run(&["import", "export", "--tokens", &tokens]).failed(2, "cannot make");
    }
}

async fn bad_lines_are_named_and_nothing_is_imported(db: TestDatabase) {
    let cloakroom = with_fields(&db);
    let secret = token(99);
    let mut csv = String::from("token,user_id,quota,data,expires_at,inserted_at,id\n");
    for line in [
        format!("{},1,1,,,,", token(2)),
        format!("{},1,ten-{secret},,,,", token(3)),
        format!("{},,1,,,,", token(4)),
        "short,1,1,,,,".to_owned(),
        format!("{},1,1,{{{secret},,,", token(6)),
        format!("{},1,1,,{secret},,", token(7)),
        format!("{},1,1,,,2999-01-01T00:00:00Z,", token(8)),
        format!("{},1,1,,,,{secret}", token(9)),
        format!("{},1,1", token(10)),
        format!("{},1,1,,,,", token(2)),
        ",1,1,,,,".to_owned(),
        format!("{},1,1,,,,", token(13)),
    ] {
        csv.push_str(&line);
        csv.push('\n');
    }
    cloakroom.file("bad.csv", csv);
    let outcome = cloakroom.run(&["import", "bad.csv"]);
    outcome.failed(2, "nothing was imported: 10 lines are bad");
    for expected in [
        "line 3: quota is not of the type integer",
        "line 4: user_id can't be blank",
        "line 5: a token's length must be at least 16",
        "line 6: data is no JSON",
        "line 7: expires_at: write a time as",
        "line 8: inserted_at lies in the future",
        "line 9: id is no UUID",
        "line 10: it has 3 cells, and the line of names 7",
        "line 11: it has the token of line 2",
        "line 12: it has no token",
    ] {
        assert!(outcome.stderr.contains(expected), "{expected}: {outcome:?}");
    }
    for shown in [&*secret, &token(2), &token(3)] {
        assert!(!outcome.stderr.contains(shown), "{outcome:?}");
    }
    assert_eq!(cloakroom.count_all(), 0);

    let lines = format!(
        "[1]\n{{\"token\":\"{secret}\",\"token\":\"{secret}\"}}\n{{\"{secret}\":1}}\n{{\"user_id\":{{}},\"token\":\"{}\"}}\n\
         \"{secret}\"\n",
        token(5)
    );
    let from_jsonl = ["import", "--from", "jsonl"];
    let outcome = cloakroom.run_with_input(&from_jsonl, lines.as_bytes());
    outcome.failed(2, "5 lines are bad");
    for expected in [
        "line 1: it is no JSON object",
        "line 2: it is no JSON object, or has a key twice",
        "line 3: it has a name that is none of user_id, quota, device, token",
        "line 4: user_id is not of the type text",
        "line 5: it is no JSON object",
    ] {
        assert!(outcome.stderr.contains(expected), "{expected}: {outcome:?}");
    }
    assert!(!outcome.stderr.contains(&secret), "{outcome:?}");
    cloakroom.run_with_input(&["import"], b"user_id,colour\n1,red\n").failed(2, "line 1: it has a name");
    cloakroom.run_with_input(&["import"], b"user_id,user_id\n1,1\n").failed(2, "the name user_id twice");
    cloakroom
        .run_with_input(&["import"], b"token,user_id\n\xff\xff,1\n")
        .failed(2, "line 2: it is not UTF-8");
    let unclosed = format!("token,user_id\n{},1\n{},\"2\n{},3\n", token(1), token(2), token(3));
    cloakroom.run_with_input(&["import"], unclosed.as_bytes()).failed(2, "line 3: it opens a quotation mark");
    assert_eq!(cloakroom.run_with_input(&["import"], b"").done().stdout, "0 sessions imported\n");
    cloakroom.run(&["import", "nowhere.csv"]).failed(2, "cannot read nowhere.csv");
    assert_eq!(cloakroom.count_all(), 0);
}

async fn what_the_database_refuses_leaves_nothing_behind(db: TestDatabase) {
    let cloakroom = with_fields(&db);
    let mut csv = String::from("token,user_id\n");
    for number in 0..900 {
        let _ = writeln!(csv, "{},1", token(number));
    }
    cloakroom.file("first.csv", format!("token,user_id\n{},7\n", token(834)));
    cloakroom.run(&["import", "first.csv"]).done();
    cloakroom.file("all.csv", &csv);
    let outcome = cloakroom.run(&["import", "all.csv"]);
    outcome.failed(2, "nothing was imported");
    assert!(outcome.stderr.contains("line 836"), "{outcome:?}");
    assert!(outcome.stderr.contains("has its token"), "{outcome:?}");
    assert!(!outcome.stderr.contains(&token(834)), "{outcome:?}");
    assert_eq!(cloakroom.count_all(), 1);
    let id = cloakroom.json(&["list"])[0]["id"].as_str().unwrap().to_owned();
    let csv = format!("token,user_id,id\n{},7,\n{},7,{id}\n", token(1), token(2));
    let outcome = cloakroom.run_with_input(&["import"], csv.as_bytes());
    outcome.failed(2, "line 3");
    assert!(outcome.stderr.contains("has its id"), "{outcome:?}");
    assert_eq!(cloakroom.count_all(), 1);
    // New tokens are not left behind either.
    cloakroom.file("long.csv", format!("user_id\n1\n{}\n", "x".repeat(300)));
    let outcome = cloakroom.run(&["import", "long.csv", "--tokens", "tokens.csv"]);
    if db.kind() == Kind::Sqlite {
        outcome.done();
    } else {
        outcome.failed(2, "line 3");
        assert!(!cloakroom.directory().join("tokens.csv").exists());
        assert_eq!(cloakroom.count_all(), 1);
    }
}

async fn digests_are_imported_only_where_that_is_said(db: TestDatabase) {
    let cloakroom = with_fields(&db);
    let config = Config::builder().secret_salt(SALT).build().unwrap();
    let digest = config.digest(token(1)).unwrap().expose().to_uppercase();
    let csv = format!("digest,user_id\n{digest},1\n");
    let refused = cloakroom.run_with_input(&["import"], csv.as_bytes());
    refused.failed(2, "line 2: it has a digest; say --scheme");
    assert!(!refused.stderr.contains(&digest), "{refused:?}");
    let dry = cloakroom.run_with_input(&["import", "--digests", "--dry-run"], csv.as_bytes()).done();
    assert_eq!(dry.stdout, "1 session could be imported\n");
    cloakroom.authenticate(&token(1)).failed(1, "no valid session");
    cloakroom.run_with_input(&["import", "--digests"], csv.as_bytes()).done();
    cloakroom.authenticate(&token(1)).done();
    cloakroom.authenticate(&digest).failed(1, "no valid session");

    let sha1 = Hashing::Sha1.digest(b"", token(2).as_bytes()).unwrap();
    let other = format!("digest,user_id\n{},1\n", sha1.expose());
    cloakroom
        .run_with_input(&["import", "--digests"], other.as_bytes())
        .failed(2, "no digest of the configured");
    let both = format!("digest,token,user_id\n{digest},{},1\n", token(3));
    cloakroom.run_with_input(&["import", "--digests"], both.as_bytes()).failed(2, "a token and a digest");
    let plain = Cloakroom::on(&db);
    plain.file("plain.toml", "hashing = \"none\"");
    let import = ["--config", "plain.toml", "import", "--digests"];
    plain.run_with_input(&import, csv.as_bytes()).failed(2, "no digest");
    assert_eq!(cloakroom.count_all(), 1);
}

async fn ten_thousand_are_imported_in_seconds(db: TestDatabase) {
    let cloakroom = with_fields(&db);
    let mut csv = String::from("token,user_id,quota,data\n");
    for number in 0..10_000 {
        let _ = writeln!(csv, "{},{},{number},\"{{\"\"n\"\":{number}}}\"", token(number), number % 100);
    }
    cloakroom.file("many.csv", csv);
    #[cfg(unix)]
    {
        // A terminal sees it go on.
        let (code, shown) = cloakroom.on_terminal(&["import", "many.csv", "--dry-run"], "");
        assert!(code == 0 && shown.contains("10000 sessions could be imported"), "{shown:?}");
        assert!(shown.contains("of 10,000 imported"), "{shown:?}");
    }
    assert_eq!(cloakroom.count_all(), 0);
    let begun = Instant::now();
    let imported = cloakroom.run(&["import", "many.csv"]).done();
    assert_eq!((&*imported.stdout, &*imported.stderr), ("10000 sessions imported\n", ""));
    let taken = begun.elapsed();
    println!("10,000 sessions in {taken:?} on {:?}", db.kind());
    assert!(taken < Duration::from_mins(1), "whatever else the machine does: {taken:?}");
    assert_eq!(cloakroom.count_all(), 10_000);
    assert_eq!(cloakroom.authenticate(&token(9_999)).done().json()["data"], json!({"n": 9_999}));
    assert_eq!(cloakroom.json(&["count", "--where", "user_id=42"]), json!({"count": 100}));
}

each_database! {
    sessions_of_another_system_go_on_with_their_tokens,
    what_is_exported_is_imported_again_as_it_was,
    bad_lines_are_named_and_nothing_is_imported,
    what_the_database_refuses_leaves_nothing_behind,
    digests_are_imported_only_where_that_is_said,
    ten_thousand_are_imported_in_seconds,
}
