use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Sessions, SystemClock};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_database, user};
use serde_json::{Value, json};

use crate::harness::Cloakroom;

const EVERY_TYPE: [&str; 10] = [
    "user_id:text:index",
    "quota:integer",
    "admin:bool",
    "score:float",
    "fingerprint:bytes",
    "tenant:uuid:index",
    "seen_at:timestamp",
    "device:json",
    "note:text?",
    "limit_of:integer?",
];

const VALUES: [&str; 8] = [
    "user_id=1=2",
    "quota=-9007199254740993",
    "admin=true",
    "score=1.5",
    "fingerprint=00FF",
    "tenant=a55ee49b-f592-4941-abde-ff497e5b951f",
    "seen_at=2026-11-23T02:48:09.5+01:00",
    "device={\"os\":\"iOS\"}",
];

async fn a_session_is_written_to_the_letter(db: TestDatabase) {
    let cloakroom = Cloakroom::on(&db);
    let fields = EVERY_TYPE.map(|field| ["--field", field]).concat();
    cloakroom.run(&[&["migrate", "up"], &fields[..]].concat()).done();
    let values = VALUES.map(|value| ["--set", value]).concat();
    let data = r#"{"huge":123456789012345678901234567890,"price":1.50}"#;
    let (token, session) = cloakroom.create(&[&["--data", data, "--never"], &values[..]].concat());

    let shown = cloakroom.authenticate(&token).done();
    let space = if db.kind() == Kind::Postgres { " " } else { "" };
    let expected = format!(
        "{{\"id\":{},\"fields\":{{\"user_id\":\"1=2\",\"quota\":-9007199254740993,\"admin\":true,\"score\":1.5,\
         \"fingerprint\":\"00ff\",\"tenant\":\"a55ee49b-f592-4941-abde-ff497e5b951f\",\
         \"seen_at\":\"2026-11-23T01:48:09.500000Z\",\"device\":{{\"os\":{space}\"iOS\"}},\"note\":null,\
         \"limit_of\":null}},\"data\":{data},\"status\":\"valid\",\"expires_at\":null,\
         \"inserted_at\":{},\"updated_at\":{}}}\n",
        session["id"],
        session["inserted_at"],
        session["updated_at"],
        data = data.replace(':', &format!(":{space}")).replace(",\"", &format!(",{space}\"")),
    );
    // jsonb has an order of its own, by the length of keys.
    assert_eq!(shown.stdout, expected);

    let instant = session["inserted_at"].as_str().unwrap();
    let (head, tail) = instant.split_once('.').unwrap();
    assert!(head.len() == 19 && tail.len() == 7 && tail.ends_with('Z'), "{instant}");

    // Each value finds its session again, as the type that it has.
    for value in &VALUES[..7] {
        let count = cloakroom.json(&["count", "--where", value]);
        assert_eq!(count, json!({"count": 1}), "{value}");
    }
    let id = format!("id={}", session["id"].as_str().unwrap());
    assert_eq!(cloakroom.json(&["count", "--where", &id, "--where", "admin=true"]), json!({"count": 1}));
    assert_eq!(cloakroom.json(&["count", "--where", &id, "--where", "admin=false"]), json!({"count": 0}));
}

async fn every_command_answers_with_one_value_of_its_own_form(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    let (token, session) = cloakroom.create(&["--set", "user_id=1"]);
    let (_, other) = cloakroom.create(&["--set", "user_id=2", "--ttl", "1h"]);
    let id = session["id"].as_str().unwrap();
    let other_id = other["id"].as_str().unwrap();

    assert_eq!(cloakroom.authenticate(&token).done().json(), session);
    assert_eq!(cloakroom.json(&["show", "--id", id]), session);
    assert_eq!(cloakroom.json(&["list"]), json!([other, session]), "newest first");
    assert_eq!(cloakroom.json(&["list", "--limit", "1"]), json!([other]));
    assert_eq!(cloakroom.json(&["list", "--limit", "0"]), json!([]));
    assert_eq!(cloakroom.json(&["list", "--status", "expired"]), json!([]));
    assert_eq!(cloakroom.json(&["count"]), json!({"count": 2}));
    assert_eq!(cloakroom.json(&["extend", "--id", id]), session, "no extension is due");

    let expired = cloakroom.json(&["expire", "--id", id]);
    assert_eq!((&expired["id"], &expired["status"]), (&session["id"], &json!("expired")));
    assert_eq!(expired["expires_at"], expired["updated_at"]);
    assert_eq!(cloakroom.json(&["expire", "--id", id]), expired, "it stays as it was");
    assert_eq!(cloakroom.json(&["expire", "--where", "user_id=2"]), json!({"affected": 1}));
    assert_eq!(cloakroom.json(&["expire", "--where", "user_id=2"]), json!({"affected": 0}));

    assert_eq!(cloakroom.json(&["delete", "--id", id]), json!({"affected": 1}));
    assert_eq!(cloakroom.json(&["delete", "--where", "user_id=1"]), json!({"affected": 0}));
    assert_eq!(cloakroom.json(&["show", "--id", other_id])["status"], "expired");
    assert_eq!(
        cloakroom.json(&["delete", "--where", "user_id=2", "--status", "valid"]),
        json!({"affected": 0})
    );
    assert_eq!(cloakroom.json(&["prune"]), json!({"affected": 1}));
    assert_eq!(cloakroom.json(&["list", "--status", "all"]), json!([]));
}

async fn an_extension_that_is_due_is_made_and_shown(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    // By a program that lets sessions live for an hour; the command's default is a week.
    let hour =
        db.config().clock(Arc::new(SystemClock)).ttl(Duration::from_hours(1)).extend_after(Duration::ZERO);
    let sessions = Sessions::<UserSession>::new(db.database(), hour.build().unwrap()).unwrap();
    let created = sessions.create(user("1")).await.unwrap();
    let (token, id) = (created.token.expose().to_owned(), &*created.session.id.to_string());
    let before = cloakroom.json(&["show", "--id", id]);
    let untouched =
        cloakroom.run_with_input(&["authenticate", "--no-extend", "--format=json"], token.as_bytes());
    assert_eq!(untouched.done().json(), before);
    assert_eq!(cloakroom.json(&["show", "--id", id]), before, "looking at a session does not extend it");
    let after = cloakroom.authenticate(&token).done().json();
    assert!(after["expires_at"].as_str() > before["expires_at"].as_str(), "{after}");
    assert_eq!(cloakroom.json(&["show", "--id", id]), after);

    let before = sessions.create(user("1")).await.unwrap().session;
    let id = &*before.id.to_string();
    let before = cloakroom.json(&["show", "--id", id]);
    let after = cloakroom.json(&["extend", "--id", id]);
    assert!(after["expires_at"].as_str() > before["expires_at"].as_str(), "{after}");

    // What was said to end in an hour does.
    let (token, before) = cloakroom.create(&["--set", "user_id=1", "--ttl", "1h"]);
    let after = cloakroom.authenticate(&token).done().json();
    assert_eq!(after["expires_at"], before["expires_at"]);
    let listed = cloakroom.json(&["list", "--columns", "id,sliding_seconds"]);
    let of = |id: &Value| {
        listed.as_array().unwrap().iter().find(|one| one["id"] == *id).unwrap()["sliding_seconds"].clone()
    };
    assert_eq!((of(&before["id"]), of(&json!(id))), (json!(0), Value::Null));
}

async fn a_long_list_is_one_array_and_ends_in_batches(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for number in 0..1_005 {
        let owner = if number == 7 { "other" } else { "many" };
        sessions.create(user(owner).never_expires()).await.unwrap();
    }
    let cloakroom = Cloakroom::on(&db);
    let listed = cloakroom.json(&["list"]);
    let ids: HashSet<&str> = listed.as_array().unwrap().iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(ids.len(), 1_005);
    assert_eq!(cloakroom.run(&["list"]).done().stdout.lines().count(), 1_005);

    let many = ["--where", "user_id=many", "--yes"];
    assert_eq!(cloakroom.json(&[&["expire"], &many[..]].concat()), json!({"affected": 1_004}));
    assert_eq!(cloakroom.json(&[&["expire"], &many[..]].concat()), json!({"affected": 0}));
    assert_eq!(cloakroom.json(&["count"]), json!({"count": 1}));
    assert_eq!(cloakroom.json(&[&["delete"], &many[..]].concat()), json!({"affected": 1_004}));
    assert_eq!(cloakroom.count_all(), 1);
}

async fn a_token_and_its_digest_are_made_without_a_table(db: TestDatabase) {
    let cloakroom = Cloakroom::on(&db);
    let Value::Object(generated) = cloakroom.json(&["token", "generate"]) else { panic!("an object") };
    let token = generated["token"].as_str().unwrap();
    assert_eq!((generated.len(), token.len()), (1, 64));
    let digest = |input: &str| {
        let digest = cloakroom.run_with_input(&["token", "digest", "--format", "json"], input.as_bytes());
        digest.done().json()
    };
    let expected = cloakroom::Config::default().digest(token).unwrap();
    assert_eq!(digest(token), json!({"digest": expected.expose()}));
    assert_eq!(digest(&format!("{token}\r\n")), digest(token), "a line end is no part of a token");
    assert_ne!(digest(&format!("{token}\n\n")), digest(token), "but only one");
}

each_database! {
    a_session_is_written_to_the_letter,
    every_command_answers_with_one_value_of_its_own_form,
    an_extension_that_is_due_is_made_and_shown,
    a_long_list_is_one_array_and_ends_in_batches,
    a_token_and_its_digest_are_made_without_a_table,
}
