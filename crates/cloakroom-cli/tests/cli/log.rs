//! What happened to sessions, and the keys of before.

use std::time::Duration;

use cloakroom::{NewSession, SessionTable};
use cloakroom_testing::{TestDatabase, each_database};
use serde_json::{Value, json};

use crate::harness::Cloakroom;

#[derive(Clone, SessionTable)]
#[session(rotation_grace, audit_log)]
struct Key {
    #[session(index, owner)]
    user_id: String,
    #[session(hint)]
    shown: String,
    #[session(ended_because)]
    ended_because: Option<String>,
}

fn key(user_id: &str) -> NewSession<Key> {
    let key = Key { user_id: user_id.into(), shown: String::new(), ended_because: None };
    // The command goes by the machine's clock, and the test begins at an instant that is long ago.
    NewSession::new(key).never_expires()
}

async fn the_log_shows_what_the_application_and_the_command_did(db: TestDatabase) {
    let sessions = db.sessions::<Key>().await;
    let [first, second] =
        [sessions.create(key("7")).await.unwrap(), sessions.create(key("8")).await.unwrap()];
    let cloakroom = Cloakroom::on(&db);
    let id = first.session.id.to_string();
    cloakroom.run(&["expire", "--id", &id]).done();
    cloakroom.run(&["delete", "--where", "user_id=8", "--yes"]).done();
    let log = cloakroom.json(&["log"]);
    let brief = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", text("event"), text("owner"), text("reason"))
    };
    let all: Vec<_> = log.as_array().unwrap().iter().map(brief).collect();
    // The command goes by the machine's clock, which is not the test's: so the order is that of the ids.
    assert_eq!(all.len(), 4, "{log}");
    for expected in ["created 7 ", "created 8 ", "ended 7 logged_out", "deleted 8 "] {
        assert!(all.iter().any(|entry| entry == expected), "{expected}: {all:?}");
    }
    let of_first = cloakroom.json(&["log", "--session", &id, "--event", "ended"]);
    assert_eq!(of_first[0]["session"], json!(id));
    assert_eq!(of_first[0]["details"]["reason"], json!("logged_out"));
    assert_eq!(cloakroom.json(&["log", "--owner", "8"]).as_array().unwrap().len(), 2);
    let page = cloakroom.json(&["log", "--limit", "3"]);
    let last = page[2]["id"].as_str().unwrap();
    assert_eq!(cloakroom.json(&["log", "--after", last]).as_array().unwrap().len(), 1);
    let lines = cloakroom.run(&["log", "--owner", "7", "--event", "ended"]).done().stdout;
    assert!(lines.ends_with(&format!("\tended\t{id}\t7\tlogged_out\n")), "{lines}");
    cloakroom.run(&["log", "--after", "7"]).failed(2, "the id of an entry");
    drop(second);
}

async fn a_table_without_a_log_says_so(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    cloakroom.run(&["log"]).failed(2, "keeps no audit log");
}

async fn a_key_that_was_rotated_with_a_grace_is_shown_with_the_one_before(db: TestDatabase) {
    let sessions = db.sessions::<Key>().await;
    let mut created = sessions.create(key("7")).await.unwrap();
    let hint = created.session.fields.shown.clone();
    let id = created.session.id.to_string();
    let cloakroom = Cloakroom::on(&db);
    assert_eq!(cloakroom.json(&["show", "--id", &id]).get("old_tokens"), None);
    sessions.rotate_with_grace(&mut created.session, Duration::from_hours(24 * 36_500)).await.unwrap();
    let shown = cloakroom.json(&["show", "--id", &id]);
    assert_eq!(shown["old_tokens"][0]["hint"], json!(hint));
    assert_eq!(shown["old_tokens"].as_array().unwrap().len(), 1);
    let lines = cloakroom.run(&["show", "--id", &id]).done().stdout;
    assert!(lines.contains(&format!("old token\t{hint}, good until 21")), "{lines}");
}

each_database! {
    the_log_shows_what_the_application_and_the_command_did,
    a_table_without_a_log_says_so,
    a_key_that_was_rotated_with_a_grace_is_shown_with_the_one_before,
}
