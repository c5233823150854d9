//! Which sessions a command is about.

use cloakroom_testing::{Kind, TestDatabase, each_database};
use serde_json::json;

use crate::harness::Cloakroom;

/// Users 1 to 5, whose quota is ten times their number; 4 has neither a quota nor data.
pub(crate) fn filled(db: &TestDatabase) -> Cloakroom {
    let cloakroom = Cloakroom::on(db);
    let fields =
        ["--field", "user_id:text:index", "--field", "quota:integer?", "--field", "seen_at:timestamp?"];
    cloakroom.run(&[&["migrate", "up"], &fields[..]].concat()).done();
    for (user, quota, seen_at, data) in [
        (
            "1",
            "10",
            "2026-01-01T00:00:00Z",
            r#"{"device":{"os":"iOS","v":9.50},"roles":["a","b"],"on":true}"#,
        ),
        ("2", "20", "2026-02-01T00:00:00Z", r#"{"device":{"os":"iOS ","v":10},"roles":[],"on":false}"#),
        ("3", "30", "2026-03-01T00:00:00Z", r#"{"device":{"os":"ios","v":"10"},"on":null}"#),
        ("5", "-50", "2027-01-01T00:00:00Z", r#"{"device":"none","b c-d":"é","v":-1e3}"#),
    ] {
        let (user, quota) = (format!("user_id={user}"), format!("quota={quota}"));
        let seen_at = format!("seen_at={seen_at}");
        cloakroom.create(&["--set", &user, "--set", &quota, "--set", &seen_at, "--data", data]);
    }
    cloakroom.create(&["--set", "user_id=4"]);
    cloakroom
}

/// The users whose sessions are listed, in ascending order.
pub(crate) fn users(cloakroom: &Cloakroom, arguments: &[&str]) -> String {
    let listed = cloakroom.run(&[&["list", "--columns", "user_id"], arguments].concat()).done();
    let mut users: Vec<&str> = listed.stdout.lines().collect();
    users.sort_unstable();
    users.join(" ")
}

async fn a_condition_compares_as_its_sign_says(db: TestDatabase) {
    let cloakroom = filled(&db);
    for (condition, expected) in [
        ("quota=20", "2"),
        ("quota!=20", "1 3 5"),
        ("quota<20", "1 5"),
        ("quota<=20", "1 2 5"),
        ("quota>10", "2 3"),
        ("quota>=10", "1 2 3"),
        ("quota is null", "4"),
        ("quota is not null", "1 2 3 5"),
        ("user_id>=4", "4 5"),
        ("user_id!=null", "1 2 3 4 5"),
        ("user_id is null", ""),
        ("seen_at<2026-02-01T00:00:00Z", "1"),
        ("seen_at>=2026-02-01", "2 3 5"),
        ("expires_at>+6d", "1 2 3 4 5"),
        ("expires_at is null", ""),
        ("inserted_at>now", ""),
    ] {
        assert_eq!(users(&cloakroom, &["--where", condition]), expected, "{condition}");
    }
    assert_eq!(users(&cloakroom, &["--where", "quota>10", "--where", "quota<30"]), "2", "all of several");
    cloakroom.run(&["list", "--where", "quota>ten"]).failed(2, "quota is not right");
    cloakroom.run(&["list", "--where", "quota"]).failed(2, "name is null");
    cloakroom.run(&["list", "--where", "auth_token_digest>0"]).failed(2, "no field");
    cloakroom.run(&["list", "--where", "auth_token_digest is not null"]).failed(2, "no field");
}

async fn a_session_is_found_by_one_of_its_scopes(db: TestDatabase) {
    let cloakroom = Cloakroom::on(&db);
    let fields = ["--field", "user_id:text:index", "--field", "may:text:scopes", "--field", "quota:integer?"];
    cloakroom.run(&[&["migrate", "up"], &fields[..]].concat()).done();
    for (user, scopes) in [("1", "read write"), ("2", "read:all unread"), ("3", ""), ("4", "Read r_ad")] {
        let (user, scopes) = (format!("user_id={user}"), format!("may={scopes}"));
        cloakroom.create(&["--set", &user, "--set", &scopes]);
    }
    for (condition, expected) in [
        ("may~=read", "1"),
        ("may~=Read", "4"),
        ("may~=read:all", "2"),
        ("may~=r_ad", "4"),
        ("may~=%", ""),
        ("may=", "3"),
    ] {
        assert_eq!(users(&cloakroom, &["--where", condition]), expected, "{condition}");
    }
    cloakroom.run(&["expire", "--where", "may~=write", "--yes"]).done();
    assert_eq!(users(&cloakroom, &["--status", "expired"]), "1");
    cloakroom.run(&["list", "--where", "may~=read write"]).failed(2, "no space");
    cloakroom.run(&["list", "--where", "quota~=1"]).failed(2, "no scopes");
    cloakroom.run(&["list", "--where", "data.a~=1"]).failed(2, "data has none");
    cloakroom.run(&["list", "--where", "nothing~=1"]).failed(2, "no field");
    cloakroom.run(&["create", "--set", "user_id=5"]).failed(2, "may");
    // What is written is text, as it is given.
    let (_, session) = cloakroom.create(&["--set", "user_id=6", "--set", "may=write  admin"]);
    assert_eq!(session["fields"]["may"], "write  admin");
    assert_eq!(users(&cloakroom, &["--where", "may~=admin"]), "6");
    cloakroom.run(&["update", "--id", session["id"].as_str().unwrap(), "--set", "may="]).done();
    assert_eq!(users(&cloakroom, &["--where", "may="]), "3 6");
}

async fn a_part_of_the_data_is_compared_on_every_database_alike(db: TestDatabase) {
    let cloakroom = filled(&db);
    for (condition, expected) in [
        // To the byte: neither case nor spaces at the end are passed over.
        ("data.device.os=iOS", "1"),
        ("data.device.os!=iOS", "2 3"),
        ("data.device.os>iOS", "2 3"),
        ("data.device.os is null", "4 5"),
        ("data.device is not null", "1 2 3 5"),
        ("data.device.v=9.5", "1"),
        ("data.device.v=10", "2 3"),
        ("data.device.v!=10", "1"),
        ("data.device.v<10", "1"),
        ("data.device.v>=9.5", "1 2"),
        ("data.v<-999", "5"),
        ("data.v=-1000", "5"),
        ("data.on=true", "1"),
        ("data.on!=true", "2"),
        ("data.on is null", "3 4 5"),
        ("data.roles.1=b", "1"),
        ("data.roles.0 is null", "2 3 4 5"),
        ("data.b c-d=é", "5"),
        ("data.device=none", "5"),
        ("data.x=' OR 1=1 --", ""),
        ("data.x') OR 1=1 --=1", ""),
    ] {
        assert_eq!(users(&cloakroom, &["--where", condition]), expected, "{condition}");
    }
    for refused in ["data={}", "data.=1", "data..a=1", "data.a\"b=1", "data.a\\b=1"] {
        cloakroom.run(&["list", "--where", refused]).failed(2, "data");
    }
}

async fn times_of_creation_and_expiry_bound_what_a_command_is_about(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    for (user, ttl) in [("1", "1h"), ("2", "3d"), ("3", "8d")] {
        cloakroom.create(&["--set", &format!("user_id={user}"), "--ttl", ttl]);
    }
    cloakroom.create(&["--set", "user_id=4", "--never"]);
    cloakroom.create(&["--set", "user_id=5", "--expires-at", "2020-01-01T00:00:00Z"]);
    for (arguments, expected) in [
        (&["--expires-before", "+7d"][..], "1 2"),
        (&["--expires-after", "+7d"], "3"),
        (&["--expires-after", "+1d", "--expires-before", "+7d"], "2"),
        (&["--expires-before", "2026-01-01", "--status", "all"], "5"),
        (&["--expires-before", "+7d", "--status", "all"], "1 2 5"),
        (&["--created-after", "-1h"], "1 2 3 4"),
        (&["--created-before", "-1h", "--status", "all"], ""),
        (&["--created-before=+1m", "--where", "user_id=2"], "2"),
    ] {
        assert_eq!(users(&cloakroom, arguments), expected, "{arguments:?}");
    }
    assert_eq!(cloakroom.json(&["count", "--expires-before", "+7d"]), json!({"count": 2}));
    cloakroom.run(&["count", "--expires-before", "soon"]).failed(2, "+7d");

    assert_eq!(cloakroom.json(&["expire", "--expires-before", "+1d"]), json!({"affected": 1}));
    let delete = ["delete", "--expires-before", "2021-01-01"];
    assert_eq!(cloakroom.json(&delete), json!({"affected": 1}));
    assert_eq!(cloakroom.count_all(), 4);
}

async fn pages_follow_each_other_without_gap_or_repetition(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    for user in 1..=7 {
        cloakroom.create(&["--set", &format!("user_id={user}")]);
    }
    for (sort, expected) in [("-inserted_at", "7 6 5 4 3 2 1"), ("inserted_at", "1 2 3 4 5 6 7")] {
        let mut seen = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut arguments = vec!["list", "--limit", "3", "--sort", sort, "--columns", "user_id,id"];
            arguments.extend(after.as_deref().map(|after| ["--after", after]).into_iter().flatten());
            let page = cloakroom.run(&arguments).done();
            seen.extend(page.stdout.lines().map(|line| line.split('\t').next().unwrap().to_owned()));
            let cursor = page.stderr.trim().strip_prefix("the next page: --after ").map(str::to_owned);
            let Some(cursor) = cursor else {
                assert_eq!(page.stderr, "");
                break;
            };
            // The id of the last session does as well.
            let id = page.stdout.lines().last().unwrap().split('\t').nth(1).unwrap().to_owned();
            after = Some(if seen.len() == 3 { cursor } else { id });
        }
        assert_eq!(seen.join(" "), expected);
    }
    assert_eq!(cloakroom.run(&["list", "--limit", "7"]).done().stderr, "", "there are no more");
    cloakroom.run(&["list", "--after", "yesterday"]).failed(2, "--after takes the cursor");
    cloakroom
        .run(&["list", "--after", "00000000-0000-7000-8000-000000000000"])
        .failed(1, "there is no session");
    cloakroom.run(&["list", "--after", "1_0", "--sort", "user_id"]).failed(2, "leave --sort out");
}

async fn columns_and_order_are_as_asked(db: TestDatabase) {
    let cloakroom = filled(&db);
    let listed = cloakroom.run(&["list", "--columns", "user_id,quota", "--sort", "-quota", "--limit", "2"]);
    // Null is the greatest on PostgreSQL, and the least elsewhere.
    let first = if db.kind() == Kind::Postgres { "4\t\n3\t30\n" } else { "3\t30\n2\t20\n" };
    assert_eq!(listed.done().stdout, first);
    let chosen = ["--columns", "user_id,data.device.v,expires_at,status,data.roles", "--where", "user_id=1"];
    let listed = cloakroom.json(&[&["list"], &chosen[..]].concat());
    let expires_at = listed[0]["expires_at"].as_str().unwrap();
    assert_eq!(
        listed,
        json!([{
            "user_id": "1", "data.device.v": 9.5, "expires_at": expires_at, "status": "valid",
            "data.roles": ["a", "b"],
        }])
    );
    let text = cloakroom.run(&[&["list"], &chosen[..]].concat()).done().stdout;
    assert!(
        text.starts_with("1\t9.50\t2") && text.trim_end().ends_with("Z\tvalid\t[\"a\",\"b\"]")
            || text.trim_end().ends_with("Z\tvalid\t[\"a\", \"b\"]"),
        "{text}"
    );
    cloakroom.run(&["list", "--columns", "colour"]).failed(2, "there are user_id, quota, seen_at, id, data");
    cloakroom.run(&["list", "--columns", "auth_token_digest"]).failed(2, "there is no column");
    cloakroom.run(&["list", "--columns", "id,id"]).failed(2, "twice");
    cloakroom.run(&["list", "--sort", "colour"]).failed(2, "no field");
}

each_database! {
    a_condition_compares_as_its_sign_says,
    a_session_is_found_by_one_of_its_scopes,
    a_part_of_the_data_is_compared_on_every_database_alike,
    times_of_creation_and_expiry_bound_what_a_command_is_about,
    pages_follow_each_other_without_gap_or_repetition,
    columns_and_order_are_as_asked,
}
