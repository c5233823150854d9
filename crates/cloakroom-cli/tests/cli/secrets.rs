use cloakroom::{Config, Hashing};
use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::{Cloakroom, Outcome};

const SALT: &str = "pepper-that-nobody-sees";

async fn a_token_is_printed_once_and_its_digest_and_salt_never(db: TestDatabase) {
    let cloakroom = Cloakroom::on(&db).with("CLOAKROOM_SECRET_SALT", SALT);
    cloakroom.run(&["migrate", "up"]).done();
    let created = cloakroom.run(&["create", "--set", "user_id=1", "--ttl", "1h"]).done();
    let token = created.stdout.trim_end().to_owned();
    let digest = Config::builder().secret_salt(SALT).build().unwrap().digest(&token).unwrap();
    assert!(!created.stderr.contains(&token) && !created.stderr.contains(digest.expose()));

    let run = |arguments: &[&str]| cloakroom.run_with_input(arguments, token.as_bytes());
    let id = cloakroom.json(&["list"])[0]["id"].as_str().unwrap().to_owned();
    let outcomes: Vec<Outcome> = [
        &["authenticate"][..],
        &["authenticate", "--format", "json"],
        &["list"],
        &["list", "--format", "json"],
        &["show", "--id", &id],
        &["list", "--format", "csv"],
        &["list", "--format", "jsonl", "--columns", "id,user_id,data,cursor"],
        &["update", "--id", &id, "--set", "user_id=2"],
        &["import", "--tokens", "tokens.csv"],
        &["stats"],
        &["stats", "--by", "user_id"],
        &["migrate", "status"],
        &["extend", "--id", &id],
        &["expire", "--id", &id],
        &["authenticate"],
        // A token, taken for something else.
        &["authenticate", &token],
        &["authenticate", "--no-extend", &token],
        &["token", "digest", &token],
        &["show", "--id", &token],
        &["expire", "--id", &token],
        &["delete", "--id", &token],
        &["delete", "--id", &id],
        &["prune"],
        &["--help"],
        &["authenticate", "--help"],
    ]
    .into_iter()
    .map(run)
    .collect();
    for outcome in &outcomes {
        for secret in [&token, digest.expose(), SALT] {
            assert!(!outcome.stdout.contains(secret) && !outcome.stderr.contains(secret), "{outcome:?}");
        }
    }
    // The ones that were refused are refused for their form.
    for refused in &outcomes[15..21] {
        refused.failed(2, "token");
    }
}

async fn a_stored_token_is_not_told_by_an_error(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    cloakroom.file("plain.toml", "hashing = \"none\"");
    let create = ["--config", "plain.toml", "create", "--set"];
    let token = cloakroom.run(&[&create[..], &["user_id=1"]].concat()).done().stdout;
    let token = token.trim_end();
    assert!(cloakroom.run(&["list"]).done().stdout.lines().all(|line| !line.contains(token)));
    let digest = Hashing::Sha256.digest(b"", token.as_bytes()).unwrap();
    cloakroom.authenticate(token).failed(1, "no valid session");
    let plain = ["--config", "plain.toml", "authenticate"];
    assert!(!cloakroom.run_with_input(&plain, token.as_bytes()).done().stdout.contains(token));
    cloakroom.run_with_input(&plain, digest.expose().as_bytes()).failed(1, "no valid session");
}

each_database! { a_token_is_printed_once_and_its_digest_and_salt_never, a_stored_token_is_not_told_by_an_error }

#[test]
fn a_token_that_looks_like_an_option_is_refused_as_a_token() {
    let token = "-pU8ZkV3mC1xT0qYwLr7sNb2dGf5hJk9";
    for arguments in [
        &["authenticate", token][..],
        &["token", "digest", token],
        &["show", "--id", token],
        &["extend", "--id", token],
        &["expire", "--id", token],
        &["delete", "--id", token],
    ] {
        let outcome = Cloakroom::new().with("DATABASE_URL", "sqlite::memory:").run(arguments);
        outcome.failed(2, "token");
        assert!(!outcome.stderr.contains("-p"), "{outcome:?}");
    }
}

#[test]
fn the_password_of_the_database_is_not_shown() {
    for url in [
        "postgres://user:hunter2@127.0.0.1:1/app",
        "postgres://user:hunter2@127.0.0.1:port/app",
        "postgres://user:hunter2@127.0.0.1:1/app?sslmode=sometimes",
        "postgres://user:hunter2@[::1/app",
        "mysql://user:hunter2@127.0.0.1:1/app",
        "mysql://user:hunter2@127.0.0.1:99999/app",
        "mysql://user:hunter2@127.0.0.1:1/app?charset=none&colour=hunter2",
        "sqlite:nowhere.db?password=hunter2",
        "oracle://user:hunter2@localhost",
        "hunter2",
    ] {
        let cloakroom = Cloakroom::new().with("DATABASE_URL", url);
        for arguments in
            [&["list"][..], &["migrate", "up"], &["--help"], &["list", "--help"], &["list", "--x"]]
        {
            let outcome = cloakroom.run(arguments);
            assert!(
                !outcome.stdout.contains("hunter2") && !outcome.stderr.contains("hunter2"),
                "{outcome:?}"
            );
        }
    }
}
