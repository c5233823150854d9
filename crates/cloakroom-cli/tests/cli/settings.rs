use cloakroom::{Config, Hashing};
use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::Cloakroom;

const CONFIG: &str = "token_length = 32\nhashing = \"sha3-512\"\nsecret_salt = \"pepper\"\nttl = \"never\"\n";

async fn a_configured_table_is_read_by_the_same_configuration(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    cloakroom.file("cloakroom.toml", CONFIG);
    let created = cloakroom.json(&["--config", "cloakroom.toml", "create", "--set", "user_id=1"]);
    let token = created["token"].as_str().unwrap();
    assert_eq!((token.len(), &created["session"]["expires_at"]), (32, &serde_json::Value::Null));

    let authenticate = ["--config", "cloakroom.toml", "authenticate"];
    cloakroom.run_with_input(&authenticate, token.as_bytes()).done();
    cloakroom.authenticate(token).failed(1, "no valid session");

    // The variable comes before the file, unless it is empty.
    let stored = db.texts("SELECT auth_token_digest FROM sessions").await;
    let config = Config::builder().hashing(Hashing::Sha3_512).secret_salt("pepper").build().unwrap();
    assert_eq!(stored[0].as_deref(), Some(config.digest(token).unwrap().expose()));
    let other = Cloakroom::on(&db).with("CLOAKROOM_SECRET_SALT", "salt");
    other.file("cloakroom.toml", CONFIG);
    other.run_with_input(&authenticate, token.as_bytes()).failed(1, "no valid session");
    let unset = Cloakroom::on(&db).with("CLOAKROOM_SECRET_SALT", "");
    unset.file("cloakroom.toml", CONFIG);
    unset.run_with_input(&authenticate, token.as_bytes()).done();
}

each_database! { a_configured_table_is_read_by_the_same_configuration }

#[test]
fn a_configuration_that_cannot_be_is_2() {
    let cloakroom = Cloakroom::new();
    for (content, expected) in [
        ("colour = \"red\"", "unknown field `colour`"),
        ("ttl = \"soon\"", "soon"),
        ("ttl = 7", "a span such as"),
        ("hashing = \"md5\"", "md5"),
        ("hashing = \"none\"\nsecret_salt = \"pepper\"", "cannot be salted"),
        ("token_length = 21", "at least 22"),
        ("extend_after = \"8d\"", "must be less than ttl"),
        ("ttl = ", "line 1"),
    ] {
        cloakroom.file("bad.toml", content);
        let outcome = cloakroom.run(&["--config", "bad.toml", "token", "generate"]);
        outcome.failed(2, expected);
        assert!(outcome.stderr.contains("bad.toml"), "{outcome:?}");
    }
    cloakroom.run(&["--config", "nowhere.toml", "list"]).failed(2, "nowhere.toml");
    let salted = Cloakroom::new().with("CLOAKROOM_SECRET_SALT", "pepper");
    salted.file("plain.toml", "hashing = \"none\"");
    salted.run(&["--config", "plain.toml", "token", "generate"]).failed(2, "cannot be salted");
}
