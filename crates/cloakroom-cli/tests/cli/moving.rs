//! Moving in from other systems: their digests, their names, and an import that goes on.

use std::fmt::Write;

use cloakroom::{Hashing, Reading, Scheme};
use cloakroom_testing::{Kind, TestDatabase, each_database};
use serde_json::json;

use crate::harness::Cloakroom;

const SECRET: &str = "a-secret-of-the-old-system";

fn token(number: usize) -> String {
    format!("{:064x}", 0xfeed_0000_0000_u64 + number as u64)
}

fn hex(scheme: &Scheme, token: &str) -> String {
    scheme.digest(token).unwrap().expose().split_once('$').unwrap().1.to_owned()
}

async fn digests(db: &TestDatabase) -> Vec<String> {
    let digests = db.texts("SELECT auth_token_digest FROM sessions ORDER BY user_id").await;
    digests.into_iter().map(Option::unwrap).collect()
}

async fn digests_of_each_reading_move_in(db: TestDatabase) {
    let of = Reading::of;
    for (scheme, reading, presented) in [
        ("knox5=sha512", of(Hashing::Sha512), token(1)),
        ("knox4=sha512:decoded-hex", of(Hashing::Sha512).decoded_hex(), token(1)),
        ("sanctum=sha256:after=|", of(Hashing::Sha256).after('|'), format!("7|{}", token(1))),
        ("phx=sha256:decoded-base64url", of(Hashing::Sha256).decoded_base64url(), "_-8A".repeat(10)),
        ("grafana=sha256:append-env=OLD_SECRET", of(Hashing::Sha256).append(SECRET), token(1)),
    ] {
        let cloakroom = Cloakroom::with_table(&db).with("OLD_SECRET", SECRET);
        let tag = scheme.split('=').next().unwrap();
        let digest = hex(&Scheme::adopted(tag, reading), &presented);
        let lines = json!({"digest": digest, "owner": 7, "created": "2020-01-01T00:00:00Z", "ends": null});
        let maps = ["--map", "user_id=owner", "--map", "inserted_at=created", "--map", "expires_at=ends"];
        let import = [&["import", "--scheme", scheme][..], &maps].concat();
        let imported = cloakroom.run_with_input(&import, lines.to_string().as_bytes()).done();
        assert_eq!(imported.stdout, "1 session imported\n");
        assert_eq!(digests(&db).await, [format!("{tag}${digest}")]);
        // The command finds it once its configuration has the scheme, and leaves it as it is.
        cloakroom.authenticate(&presented).failed(1, "no valid session");
        cloakroom.file("with.toml", format!("schemes = [\"{scheme}\"]"));
        let authenticate = ["--config", "with.toml", "--format", "json", "authenticate"];
        let found = cloakroom.run_with_input(&authenticate, presented.as_bytes()).done().json();
        assert_eq!((&found["fields"]["user_id"], &found["expires_at"]), (&json!("7"), &json!(null)));
        assert_eq!(found["inserted_at"], "2020-01-01T00:00:00.000000Z");
        assert_eq!(digests(&db).await, [format!("{tag}${digest}")]);
        // A scheme of the configuration goes by its name.
        let again = [&["--config", "with.toml", "import", "--scheme", tag][..], &maps].concat();
        let again = cloakroom.run_with_input(&again, lines.to_string().as_bytes()).done();
        assert_eq!(again.stdout, "0 sessions imported, 1 was there already\n");
        cloakroom.run(&["delete", "--all", "--yes"]).done();
    }
}

async fn a_file_in_csv_is_mapped_too(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    let scheme = Scheme::adopted("old", Reading::of(Hashing::Sha256));
    let csv = format!("key_digest,owner\n{},1\n{},2\n", hex(&scheme, &token(1)), hex(&scheme, &token(2)));
    let import = ["import", "--scheme", "old=sha256", "--map", "digest=key_digest", "--map", "user_id=owner"];
    assert_eq!(
        cloakroom.json(&[&import[..], &["--dry-run", "-"]].concat()),
        json!({"imported": 0, "already_there": 0, "lines": 0})
    );
    let imported = cloakroom.run_with_input(&import, csv.as_bytes()).done();
    assert_eq!(imported.stdout, "2 sessions imported\n");
    for (map, expected) in [
        ("colour=owner", "--map: colour is none of user_id, token, digest"),
        ("user_id=owner", "--map: user_id is mapped twice"),
        ("id=owner", "--map: id is mapped twice"),
    ] {
        let maps = [&import[..], &["--map", map]].concat();
        cloakroom.run_with_input(&maps, csv.as_bytes()).failed(2, expected);
    }
    cloakroom
        .run_with_input(
            &["import", "--scheme", "old=sha256", "--map", "user_id=owner"],
            b"user_id,owner\n1,2\n",
        )
        .failed(2, "line 1: it has the name user_id twice");
}

async fn an_import_that_stopped_is_run_again(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    let scheme = Scheme::adopted("knox5", Reading::of(Hashing::Sha512));
    let lines = |spoilt: Option<usize>| {
        let mut lines = String::new();
        for number in 0..7_000 {
            // SQLite's column takes a name of any length, so there the token is another's.
            let owner = match (spoilt == Some(number), db.kind()) {
                (true, Kind::Postgres | Kind::MariaDb) => "x".repeat(300),
                _ => number.to_string(),
            };
            let line = json!({"digest": hex(&scheme, &token(number)), "user_id": owner, "expires_at": null});
            let _ = writeln!(lines, "{line}");
        }
        lines
    };
    let import = ["import", "--scheme", "knox5=sha512"];
    let taken = json!({"digest": hex(&scheme, &token(6_500)), "user_id": "another"}).to_string();
    if db.kind() == Kind::Sqlite {
        cloakroom.run_with_input(&import, taken.as_bytes()).done();
    }
    let stopped = cloakroom.run_with_input(&import, lines(Some(6_500)).as_bytes());
    let (batch, extra) = if db.kind() == Kind::Sqlite { (6_000, 1) } else { (5_000, 0) };
    stopped.failed(2, &format!("the import stopped: all up to line {batch} is in the table"));
    assert!(stopped.stderr.contains("line 6501"), "{stopped:?}");
    assert!(!stopped.stderr.contains(&hex(&scheme, &token(6_500))), "{stopped:?}");
    assert_eq!(cloakroom.count_all(), batch + extra);
    if db.kind() == Kind::Sqlite {
        assert!(stopped.stderr.contains("has its token: user_id differs"), "{stopped:?}");
        cloakroom.run(&["delete", "--where", "user_id=another", "--yes"]).done();
    }
    let went_on = cloakroom.run_with_input(&import, lines(None).as_bytes()).done();
    assert_eq!(went_on.stdout, format!("{} sessions imported, {batch} were there already\n", 7_000 - batch));
    assert_eq!(cloakroom.count_all(), 7_000);
}

async fn a_wrong_scheme_is_an_error_before_anything_is_read(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    for (scheme, expected) in [
        ("knox=md5", "--scheme: it names no hash that is known"),
        ("knox=sha256:append=hush", "--scheme: a secret does not stand on the command line"),
        ("a b=sha256", "--scheme: its tag must have"),
        ("knox", "--scheme: the configuration has no scheme of this name"),
        ("knox=none", "--scheme: what the other system has not hashed is a token"),
    ] {
        let outcome = cloakroom.run(&["import", "--scheme", scheme, "nowhere.jsonl"]);
        outcome.failed(2, expected);
        assert!(!outcome.stderr.contains("hush"), "{outcome:?}");
    }
    let digest = hex(&Scheme::adopted("old", Reading::of(Hashing::Sha512)), &token(1));
    let line = json!({"digest": digest, "user_id": 1}).to_string();
    let outcome = cloakroom.run_with_input(&["import", "--scheme", "old=sha256"], line.as_bytes());
    outcome.failed(2, "line 1: this is no digest of the configured scheme");
    assert!(!outcome.stderr.contains(&digest), "{outcome:?}");
    // Both names of the digest's column at once.
    cloakroom.run(&["import", "--digests", "--scheme", "old=sha256", "nowhere.jsonl"]);
    assert_eq!(cloakroom.count_all(), 0);
}

each_database! {
    digests_of_each_reading_move_in,
    a_file_in_csv_is_mapped_too,
    an_import_that_stopped_is_run_again,
    a_wrong_scheme_is_an_error_before_anything_is_read,
}
