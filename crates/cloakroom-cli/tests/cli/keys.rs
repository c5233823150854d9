//! Keys and schemes in the settings of the command.

use cloakroom::{Config, Key, Scheme};
use cloakroom_testing::{TestDatabase, each_database};
use serde_json::json;

use crate::harness::Cloakroom;

fn key(number: u8) -> Key {
    Key::from_bytes([number; 32]).unwrap()
}

fn entry(name: &str, number: u8) -> String {
    format!("{name}:{}", key(number).expose_base64().as_str())
}

async fn digests(db: &TestDatabase) -> Vec<String> {
    let digests = db.texts("SELECT auth_token_digest FROM sessions ORDER BY id").await;
    digests.into_iter().map(Option::unwrap).collect()
}

async fn tokens_are_stored_under_the_first_key_and_found_under_all(db: TestDatabase) {
    let plain = Cloakroom::with_table(&db);
    let (unkeyed, _) = plain.create(&["--set", "user_id=1"]);
    let old = Cloakroom::on(&db).with("CLOAKROOM_KEYS", &entry("2025-04", 1));
    let (older, session) = old.create(&["--set", "user_id=1"]);
    let keys = format!("{},{}", entry("2026-11", 2), entry("2025-04", 1));
    let new = Cloakroom::on(&db).with("CLOAKROOM_KEYS", &keys);
    let (newer, _) = new.create(&["--set", "user_id=1"]);
    let stored = digests(&db).await;
    let of = |scheme: Scheme, token: &str| scheme.digest(token).unwrap().expose().to_owned();
    assert_eq!(
        stored,
        [
            of(Scheme::sha256(), &unkeyed),
            of(Scheme::hmac_sha256("2025-04", &key(1)), &older),
            of(Scheme::hmac_sha256("2026-11", &key(2)), &newer)
        ]
    );
    new.authenticate(&older).done();
    new.authenticate(&newer).done();
    // What any program can compute is found only if the settings say so.
    new.authenticate(&unkeyed).failed(1, "no valid session");
    new.file("hashed.toml", "hashing = \"sha256\"");
    new.run_with_input(&["--config", "hashed.toml", "authenticate"], unkeyed.as_bytes()).done();
    assert_eq!(digests(&db).await, stored, "what the command reads it leaves as it is");
    // Unless it is told to write a new token.
    new.run(&["rotate", "--id", session["id"].as_str().unwrap()]).done();
    assert!(digests(&db).await[1].starts_with("2026-11$"));
    old.authenticate(&newer).failed(1, "no valid session");
}

async fn sessions_are_counted_by_scheme_and_unknown_ones_are_a_warning(db: TestDatabase) {
    let plain = Cloakroom::with_table(&db);
    plain.create(&["--set", "user_id=1"]);
    plain.create(&["--set", "user_id=1", "--expires-at", "2020-01-01T00:00:00Z"]);
    let keyed = Cloakroom::on(&db).with("CLOAKROOM_KEYS", &entry("2026-11", 1));
    keyed.create(&["--set", "user_id=1"]);
    keyed.file("two.toml", "hashing = \"sha256\"\nschemes = [\"knox4=sha512:decoded-hex\"]");
    let line = |value: &str, valid: u64, expired: u64, is_configured: bool| json!({"value": value, "valid": valid, "expired": expired, "all": valid + expired, "is_configured": is_configured});
    assert_eq!(
        keyed.json(&["--config", "two.toml", "stats", "--by", "scheme"]),
        json!({"field": "scheme", "values": [
            line("2026-11", 1, 0, true), line("sha256", 1, 1, true), line("knox4", 0, 0, true)
        ]})
    );
    let counted = plain.run(&["stats", "--by", "scheme"]).done();
    assert_eq!(counted.stdout, "sha256\t1\t1\t2\tyes\n2026-11\t1\t0\t1\tno\n");

    let doctor = |cloakroom: &Cloakroom, arguments: &[&str]| {
        let outcome = cloakroom.run(&[arguments, &["--format", "json", "doctor"]].concat());
        let findings = outcome.json()["findings"].as_array().unwrap().clone();
        let text = |finding: &serde_json::Value, key| finding[key].as_str().unwrap().to_owned();
        let schemes = findings.iter().filter(|finding| finding["check"] == "schemes");
        schemes.map(|finding| (text(finding, "state"), text(finding, "says"))).collect::<Vec<_>>()
    };
    let says = |state: &str, text: &str| (state.to_owned(), text.to_owned());
    assert_eq!(
        doctor(&keyed, &["--config", "two.toml"]),
        [
            says("ok", "2026-11: 1 valid, and new tokens"),
            says("ok", "sha256: 1 valid"),
            says("note", "knox4: 0 valid, nor expired: it can be taken out"),
        ]
    );
    let found = doctor(&plain, &[]);
    assert_eq!(found[0], says("ok", "sha256: 1 valid, and new tokens"));
    assert_eq!(found[1].0, "warning");
    assert!(found[1].1.starts_with("2026-11: 1 valid, and it is not in the configuration"), "{found:?}");
    assert_eq!(plain.run(&["doctor"]).code, 1);
}

each_database! {
    tokens_are_stored_under_the_first_key_and_found_under_all,
    sessions_are_counted_by_scheme_and_unknown_ones_are_a_warning,
}

#[test]
fn a_generated_key_is_an_entry_of_the_variable() {
    let none = Cloakroom::new();
    let made = none.run(&["keys", "generate", "2026-11"]).done();
    let entry = made.stdout.trim_end();
    let (name, base64) = entry.split_once(':').unwrap();
    assert!(name == "2026-11" && Key::from_base64(base64).is_ok(), "{entry}");
    let config =
        Config::builder().digests([Scheme::hmac_sha256("2026-11", &Key::from_base64(base64).unwrap())]);
    let expected = config.build().unwrap().digest("a-token-of-the-client").unwrap();
    let with = Cloakroom::new().with("CLOAKROOM_KEYS", entry);
    let digest = with.run_with_input(&["token", "digest"], b"a-token-of-the-client\n").done();
    assert_eq!(digest.stdout.trim_end(), expected.expose());

    let by_default = none.run(&["--format", "json", "keys", "generate"]).done().json();
    let month = by_default["name"].as_str().unwrap();
    assert!(month.len() == 7 && month.as_bytes()[4] == b'-', "{month}");
    assert!(by_default["entry"].as_str().unwrap().starts_with(&format!("{month}:")));
    assert_ne!(none.run(&["keys", "generate", "2026-11"]).done().stdout, made.stdout);
    none.run(&["keys", "generate", "a b"]).failed(2, "a key's name must have 1 to 32 letters");
    with.run(&["keys", "generate", "2026-11"]).failed(2, "a name always stands for the same key");
    with.run(&["keys", "generate", "2026-12"]).done();
}

#[test]
fn a_bad_key_is_an_error_that_does_not_show_it() {
    let good = entry("2026-11", 7);
    let secret = good.split_once(':').unwrap().1.to_owned();
    for (keys, expected) in [
        (secret.clone(), "key 1 of 1 has no name"),
        (format!("{good},2025-04:aHVzaGh1c2g="), "key 2 of 2: the key has 8 bytes"),
        (format!("{good},2025-04:"), "key 2 of 2: the key is empty"),
        (format!("{good},2025-04:{secret}%"), "key 2 of 2: the key is not base64"),
        (format!("{good},2026-11:{secret}"), "2026-11"),
        (format!("{good},"), "key 2 of 2 has no name"),
    ] {
        let cloakroom = Cloakroom::new().with("CLOAKROOM_KEYS", &keys);
        let outcome = cloakroom.run(&["token", "generate"]);
        outcome.failed(2, expected);
        assert!(!outcome.stderr.contains(&*secret) && !outcome.stderr.contains("aHVza"), "{outcome:?}");
    }
    // A shell's way to say that there is none.
    Cloakroom::new().with("CLOAKROOM_KEYS", "").run(&["token", "generate"]).done();
}

#[test]
fn a_reading_takes_its_secret_from_the_environment() {
    let cloakroom = Cloakroom::new().with("OLD_SECRET", "hush-hush");
    cloakroom.file("one.toml", "hashing = \"sha512\"\nschemes = [\"grafana=sha256:append-env=OLD_SECRET\"]");
    cloakroom.run(&["--config", "one.toml", "token", "generate"]).done();
    cloakroom.file("two.toml", "schemes = [\"grafana=sha256:append=hush-hush\"]");
    let outcome = cloakroom.run(&["--config", "two.toml", "token", "generate"]);
    outcome.failed(2, "two.toml");
    assert!(outcome.stderr.contains("append-env=NAME") && !outcome.stderr.contains("hush"), "{outcome:?}");
    cloakroom.file("three.toml", "schemes = [\"grafana=sha256:append-env=NO_SECRET\"]");
    cloakroom.run(&["--config", "three.toml", "token", "generate"]).failed(2, "is not set, or is empty");
}
