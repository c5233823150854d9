//! What a digest is found under, what is no token, and how sessions are counted by scheme.

use std::time::Duration;

use cloakroom::{
    Config, ConfigBuilder, ErrorKind, Hashing, ImportedSession, Reading, Scheme, SchemeCount, Sessions,
    Token, TokenDigest,
};
use cloakroom_testing::{Kind, START, TestDatabase, UserSession, each_mode, listening, user};

use crate::schemes::{digest, is_valid, new_key, old_key, own_schemes, stored, with};

/// A row with this text in place of a digest.
async fn put(db: &TestDatabase, sessions: &Sessions<UserSession>, text: &str) {
    let created = sessions.create(user("1")).await.unwrap();
    let id = match db.kind() {
        Kind::Sqlite | Kind::MariaDb => format!("x'{}'", created.session.id.simple()),
        Kind::Postgres => format!("'{}'", created.session.id),
    };
    db.execute(&format!("UPDATE sessions SET auth_token_digest = '{text}' WHERE id = {id}")).await;
}

async fn a_digest_is_found_under_its_own_scheme_alone(db: TestDatabase) {
    let token = "a-token-of-long-ago";
    let schemes = || own_schemes().into_iter().chain([Scheme::adopted("knox", Reading::of(Hashing::Sha256))]);
    let sessions = with(&db, schemes()).await;
    let hexes: Vec<String> =
        schemes().map(|scheme| digest(&scheme, token).rsplit('$').next().unwrap().to_owned()).collect();
    let tags = ["2026-11$", "2025-04$", "long$", "", "knox$", "gone$"];
    for tag in tags {
        for hex in &hexes {
            let text = format!("{tag}{hex}");
            if schemes().any(|scheme| digest(&scheme, token) == text) {
                continue;
            }
            put(&db, &sessions, &text).await;
            assert!(!is_valid(&sessions, token).await, "{tag}");
            db.execute("DELETE FROM sessions").await;
        }
    }
    for scheme in schemes() {
        put(&db, &sessions, &digest(&scheme, token)).await;
        assert!(is_valid(&sessions, token).await, "{scheme:?}");
        db.execute("DELETE FROM sessions").await;
    }
}

async fn a_stolen_digest_is_no_token_under_any_scheme(db: TestDatabase) {
    let token = "c0ffee5ca1ab1ec0ffee5ca1ab1ec0ffee5ca1ab1ec0ffee5ca1ab1ec0ffee5c";
    let reading = || Reading::of(Hashing::Sha256);
    let mut schemes = own_schemes();
    schemes.truncate(4);
    schemes.extend([
        Scheme::adopted("twice", reading().twice()),
        Scheme::adopted("bytes", reading().decoded_hex()),
        Scheme::adopted_by("other", |token| Some(token.iter().rev().copied().take(64).collect())),
    ]);
    let last = schemes.len();
    schemes.push(Scheme::hashed(Hashing::DangerousPlaintext));
    // With plaintext as the newest too: what was stored before it must not become a token.
    for newest in [0, last] {
        schemes.swap(0, newest);
        let sessions = with(&db, schemes.clone()).await;
        let strict = with(&db, schemes.clone().into_iter().filter(|scheme| scheme.name() != "other")).await;
        for scheme in &schemes {
            let Ok(digest) = scheme.digest(token) else {
                assert_eq!(scheme.name(), "none");
                continue;
            };
            put(&db, &sessions, digest.expose()).await;
            let hex = digest.expose().rsplit('$').next().unwrap();
            let bytes = base16(hex);
            let texts = [digest.expose().as_bytes(), hex.as_bytes(), &bytes, hex.to_uppercase().as_bytes()]
                .map(<[u8]>::to_vec);
            for stolen in texts {
                // What an application's own function returns is in its hands: "other" hashes nothing.
                let of = if scheme.name() == "other" { &strict } else { &sessions };
                assert!(!is_valid(of, &stolen).await, "{scheme:?}");
                assert!(of.query().token(&stolen).fetch_optional().await.unwrap().is_none(), "{scheme:?}");
            }
            db.execute("DELETE FROM sessions").await;
        }
    }
}

fn base16(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

async fn what_another_system_stored_is_adopted(db: TestDatabase) {
    let knox = || Scheme::adopted("knox", Reading::of(Hashing::Sha512));
    let sanctum = || Scheme::adopted("sanctum", Reading::of(Hashing::Sha256).after('|'));
    let raw = || {
        Scheme::adopted_by("raw", |token| {
            Some(Hashing::Sha224.digest(b"", token).ok()?.expose()[..40].into())
        })
    };
    let sessions = with(&db, [new_key(), knox(), sanctum(), raw()]).await;
    let of = |text: &[u8], hashing: Hashing| hashing.digest(b"", text).unwrap().expose().to_owned();
    let imported = |name: &str, digest: TokenDigest| ImportedSession::with_digest(user(name), digest);
    let token = "7|an-issued-token-of-another";
    sessions
        .import(vec![
            imported("knox", knox().parse_digest(&of(token.as_bytes(), Hashing::Sha512)).unwrap()),
            imported("sanctum", sanctum().parse_digest(&of(b"sanctum-token", Hashing::Sha256)).unwrap()),
            imported("raw", raw().digest(b"raw-token-of-another").unwrap()),
        ])
        .await
        .unwrap();
    assert!(stored(&db).await[0].starts_with("knox$"));
    for (token, name) in [(token, "knox"), ("12|sanctum-token", "sanctum"), ("raw-token-of-another", "raw")] {
        let found = sessions.authenticate(token).await.unwrap().unwrap();
        assert_eq!(found.fields.user_id, name);
        assert!(stored(&db).await.contains(&digest(&new_key(), token)), "{name}");
    }
    assert!(!is_valid(&sessions, "sanctum-token").await);
    for (scheme, text) in [(knox(), "ab".repeat(32)), (knox(), "zz".repeat(64)), (raw(), "ab".repeat(15))] {
        assert!(scheme.parse_digest(&text).is_err());
    }
}

async fn a_failing_write_does_not_fail_the_read(db: TestDatabase) {
    let created = with(&db, [old_key()]).await.create(user("1")).await.unwrap();
    let sessions = with(&db, [new_key(), old_key()]).await;
    // The same token once more, stored under the newest, but over: the row cannot take its digest.
    let digest = new_key().digest(&created.token).unwrap();
    let gone = ImportedSession::with_digest(user("2").expires_at(START - Duration::from_secs(1)), digest);
    sessions.import(vec![gone]).await.unwrap();
    for _ in 0..2 {
        let found = sessions.authenticate(&created.token).await.unwrap().unwrap();
        assert_eq!(found, created.session);
    }
}

async fn sessions_are_counted_by_scheme(db: TestDatabase) {
    let plaintext = || Scheme::hashed(Hashing::DangerousPlaintext);
    for (scheme, count) in
        [(old_key(), 3), (Scheme::sha256(), 2), (Scheme::hashed(Hashing::Sha512), 1), (plaintext(), 1)]
    {
        let sessions = with(&db, [scheme]).await;
        for number in 0..count {
            sessions.create(user(&number.to_string())).await.unwrap();
        }
    }
    let mut ended = with(&db, [old_key()]).await.create(user("9")).await.unwrap();
    with(&db, [old_key()]).await.expire(&mut ended.session).await.unwrap();
    let text = "a-plaintext-token$of-its-own-form";
    let issued = user("9").import_token(Token::import(text).unwrap());
    with(&db, [plaintext()]).await.create(issued).await.unwrap();

    let counts = async |schemes: Vec<Scheme>| {
        let counts = with(&db, schemes).await.count_by_scheme().await.unwrap();
        let line = |count: SchemeCount| (count.scheme, count.is_configured, count.count, count.valid);
        counts.into_iter().map(line).collect::<Vec<_>>()
    };
    let line = |scheme: &str, is_configured, count, valid| (scheme.to_owned(), is_configured, count, valid);
    let mut known = counts(vec![new_key(), old_key(), Scheme::sha256()]).await;
    known[3..].sort();
    assert_eq!(
        known,
        [
            line("2026-11", true, 0, 0),
            line("2025-04", true, 4, 3),
            line("sha256", true, 2, 2),
            line("a hash of 512 bits", false, 1, 1),
            line("other text", false, 2, 2),
        ]
    );
    let mut others = counts(vec![Scheme::hashed(Hashing::Sha512), plaintext()]).await;
    others[2..].sort();
    assert_eq!(
        others,
        [
            line("sha512", true, 1, 1),
            line("none", true, 2, 2),
            line("2025-04", false, 4, 3),
            line("a hash of 256 bits", false, 2, 2),
        ]
    );
}

async fn two_lists_of_one_table_need_one_key_in_common(db: TestDatabase) {
    // The steps of a change with several processes: none stores what another cannot find.
    let steps =
        [vec![old_key()], vec![old_key(), new_key().incoming()], vec![new_key(), old_key()], vec![new_key()]];
    for pair in steps.windows(2) {
        let [one, other] = [with(&db, pair[0].clone()).await, with(&db, pair[1].clone()).await];
        for (maker, reader) in [(&one, &other), (&other, &one)] {
            let token = maker.create(user("1")).await.unwrap().token;
            let before = stored(&db).await;
            assert!(is_valid(reader, &token).await && is_valid(maker, &token).await);
            let stored_now = stored(&db).await;
            // What is stored under the new key already stays there.
            let is_kept = |digest: &String| digest.starts_with("2025-04$") || stored_now.contains(digest);
            assert!(before.iter().all(is_kept));
        }
        if pair[1].len() == 1 {
            // The last step waits until nothing is stored under the old key.
            break;
        }
    }
}

fn build(config: ConfigBuilder) -> Config {
    config.build().unwrap()
}

async fn one_scheme_means_what_it_meant(db: TestDatabase) {
    let token = "a-token-of-long-ago";
    for (alone, listed) in [
        (Config::builder().hashing(Hashing::Sha512), Scheme::hashed(Hashing::Sha512)),
        (Config::builder().secret_salt("pepper"), Scheme::salted(Hashing::Sha256, "pepper")),
        (Config::builder(), Scheme::sha256()),
    ] {
        let listed = Config::builder().digests([listed]);
        assert_eq!(
            build(alone).digest(token).unwrap().expose(),
            build(listed).digest(token).unwrap().expose()
        );
    }
    let error = Config::builder().digests([]).build().unwrap_err();
    assert_eq!(error.to_string(), "digests must name at least 1 and at most 8 schemes");
    // A token that no scheme can have takes no query.
    let sessions = with(&db, [Scheme::hashed(Hashing::DangerousPlaintext)]).await;
    db.database().close().await;
    assert!(!is_valid(&sessions, "ab".repeat(32)).await && !is_valid(&sessions, "").await);
    let error = sessions.authenticate("another-token-of-long-ago").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

listening! {
    a_digest_is_found_under_its_own_scheme_alone,
    a_stolen_digest_is_no_token_under_any_scheme,
    what_another_system_stored_is_adopted,
}

each_mode! {
    a_digest_is_found_under_its_own_scheme_alone,
    a_stolen_digest_is_no_token_under_any_scheme,
    what_another_system_stored_is_adopted,
    a_failing_write_does_not_fail_the_read,
    sessions_are_counted_by_scheme,
    two_lists_of_one_table_need_one_key_in_common,
    one_scheme_means_what_it_meant,
}
