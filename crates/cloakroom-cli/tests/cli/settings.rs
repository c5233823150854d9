use cloakroom::{Config, Hashing, TokenFormat};
use cloakroom_testing::{TestDatabase, each_database};
use serde_json::{Value, json};

use crate::harness::Cloakroom;

const CONFIG: &str = "token_length = 32\nhashing = \"sha3-512\"\nsecret_salt = \"pepper\"\nttl = \"never\"\n";

async fn a_configured_table_is_read_by_the_same_configuration(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    cloakroom.file("cloakroom.toml", CONFIG);
    let created = cloakroom.json(&["--config", "cloakroom.toml", "create", "--set", "user_id=1"]);
    let token = created["token"].as_str().unwrap();
    assert_eq!((token.len(), &created["session"]["expires_at"]), (32, &Value::Null));

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

async fn keys_with_a_prefix_are_made_and_checked_and_their_hints_are_shown(db: TestDatabase) {
    let cloakroom = Cloakroom::on(&db);
    let fields = ["--field", "user_id:text:index", "--field", "shown:text:hint"];
    cloakroom.run(&[&["migrate", "up"], &fields[..]].concat()).done();
    let status = cloakroom.json(&["migrate", "status"]);
    assert_eq!((&status["fields"][0]["role"], &status["fields"][1]["role"]), (&Value::Null, &json!("hint")));

    let live = TokenFormat::prefixed("acme_live").unwrap();
    let hint = |token: &str| json!(live.hint(&live.parse(token).unwrap()));
    let (token, session) = cloakroom.create(&["--set", "user_id=1", "--prefix", "acme_live"]);
    assert_eq!(session["fields"]["shown"], hint(&token));
    assert_eq!(cloakroom.json(&["list"])[0]["fields"]["shown"], hint(&token));
    assert!(cloakroom.run(&["list"]).done().stdout.contains(hint(&token).as_str().unwrap()));
    cloakroom.authenticate(&token).done();

    // By the configuration file; the option comes first.
    cloakroom.file("keys.toml", "token_prefix = \"acme_live\"\naccept_unprefixed = false\n");
    let keys = ["--config", "keys.toml"];
    let id = session["id"].as_str().unwrap();
    let rotated = cloakroom.json(&[&keys[..], &["rotate", "--id", id]].concat());
    let rotated_token = rotated["token"].as_str().unwrap();
    assert_eq!(rotated["session"]["fields"]["shown"], hint(rotated_token));
    cloakroom.authenticate(&token).failed(1, "no valid session has this token");
    let authenticate = [&keys[..], &["authenticate"]].concat();
    cloakroom.run_with_input(&authenticate, rotated_token.as_bytes()).done();
    let (plain, _) = cloakroom.create(&["--set", "user_id=2"]);
    let mistyped = format!("{}-", &rotated_token[..42]);
    for refused in [&plain, &mistyped] {
        let outcome = cloakroom.run_with_input(&authenticate, refused.as_bytes());
        outcome.failed(1, "none of the accepted formats");
    }
    let other = cloakroom.run(&[&keys[..], &["--prefix", "acme_test", "token", "generate"]].concat()).done();
    assert!(TokenFormat::prefixed("acme_test").unwrap().parse(other.stdout.trim_end()).is_ok());

    // Imported sessions: by token, by digest, and with a new token.
    let digest = Config::default().digest("an-issued-token-3").unwrap();
    let lines = format!(
        "user_id,shown,token,digest\n3,,{},\n4,of-before,,{}\n5,,,\n",
        live.generate().unwrap().expose(),
        digest.expose()
    );
    cloakroom.file("sessions.csv", &lines);
    let import = ["import", "sessions.csv", "--digests", "--tokens", "tokens.csv"];
    cloakroom.run(&[&keys[..], &import].concat()).done();
    let new = std::fs::read_to_string(cloakroom.directory().join("tokens.csv")).unwrap();
    let new = new.lines().nth(1).and_then(|line| line.rsplit(',').next()).unwrap();
    let imported = cloakroom.json(&["list", "--where", "user_id>=3", "--sort", "user_id"]);
    assert_eq!(
        (&imported[1]["fields"]["shown"], &imported[2]["fields"]["shown"]),
        (&json!("of-before"), &hint(new))
    );
    assert!(imported[0]["fields"]["shown"].as_str().unwrap().starts_with("acme_live_"), "{imported}");
    cloakroom.file("blank.csv", format!("user_id,shown,digest\n6,,{}\n", digest.expose()));
    cloakroom.run(&["import", "blank.csv", "--digests"]).failed(2, "shown can't be blank");
    cloakroom.file("refused.csv", "user_id,token\n7,an-issued-token-of-before\n");
    cloakroom.run(&[&keys[..], &["import", "refused.csv"]].concat()).failed(2, "accepted formats");
}

each_database! {
    a_configured_table_is_read_by_the_same_configuration,
    keys_with_a_prefix_are_made_and_checked_and_their_hints_are_shown,
}

#[test]
fn a_prefix_has_a_regular_expression_and_no_prefix_none() {
    let cloakroom = Cloakroom::new();
    let regex = cloakroom.run(&["token", "regex", "--prefix", "acme_live"]).done();
    assert_eq!(regex.stdout, "\\bacme_live_[0-9A-Za-z]{33}\\b\n");
    cloakroom.run(&["token", "regex"]).failed(2, "say --prefix");
    for prefix in ["", "Acme", "acme_", "a_prefix_that_is_longer_than_any_is"] {
        let outcome = cloakroom.run(&["token", "generate", "--prefix", prefix]);
        outcome.failed(2, "--prefix: the prefix of a token");
        assert!(prefix.is_empty() || !outcome.stderr.contains(prefix), "it may be a token: {outcome:?}");
    }
}

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
