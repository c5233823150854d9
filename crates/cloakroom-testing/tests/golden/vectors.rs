use std::collections::BTreeSet;

use cloakroom::{ConfigError, DigestError, Hashing, Token};
use cloakroom_testing::{TestDatabase, UserSession, each_database, user};

use crate::files::{Vector, hashing_named, vectors};

fn salt(vector: &Vector) -> &str {
    vector.salt.as_deref().unwrap_or_default()
}

#[test]
fn no_vector_is_missing() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 104);
    assert_eq!(vectors.iter().filter(|vector| vector.ok).count(), 99);
    let algorithms: BTreeSet<_> = vectors.iter().map(|vector| vector.algorithm.as_deref()).collect();
    assert_eq!(algorithms.len(), 13, "twelve algorithms, and none");
    for name in algorithms.iter().copied().flatten() {
        assert_eq!(name.parse(), Ok(hashing_named(Some(name))), "a configuration may name it so");
    }
    let hashings: std::collections::HashSet<Hashing> = algorithms.into_iter().map(hashing_named).collect();
    assert_eq!(hashings.len(), 13);
    for vector in &vectors {
        assert_eq!((vector.digest.is_some(), vector.error.is_some()), (vector.ok, !vector.ok));
    }
}

#[test]
fn every_digest_is_the_originals_to_the_byte() {
    let mut checked = 0;
    for vector in vectors() {
        let hashing = hashing_named(vector.algorithm.as_deref());
        let digest = hashing.digest(salt(&vector).as_bytes(), vector.token.as_bytes());
        if vector.ok {
            assert_eq!(digest.unwrap().expose(), vector.digest.unwrap(), "{hashing}");
        } else {
            assert_eq!(digest.unwrap_err(), DigestError::SaltWithoutHashing);
        }
        checked += 1;
    }
    assert_eq!(checked, 104);
}

/// To the original an empty salt is none, where it hashes. Here it is an error, and to be left out.
fn configured_salt(vector: &Vector) -> Option<&str> {
    vector.salt.as_deref().filter(|salt| !salt.is_empty() || !vector.ok)
}

#[test]
fn a_configuration_digests_as_the_original_does_and_is_refused_where_the_original_raises() {
    for vector in vectors() {
        let mut builder = cloakroom::Config::builder().hashing(hashing_named(vector.algorithm.as_deref()));
        if let Some(salt) = configured_salt(&vector) {
            builder = builder.secret_salt(salt.as_bytes());
        }
        if vector.ok {
            let digest = builder.build().unwrap().digest(&vector.token).unwrap();
            assert_eq!(digest.expose(), vector.digest.unwrap());
        } else {
            let error = builder.build().unwrap_err();
            assert_eq!(error, ConfigError::SaltWithoutHashing);
            // In our words: the original's name its own settings.
            assert!(vector.error.unwrap().starts_with("Cannot salt a token that is not hashed."));
            assert!(error.to_string().starts_with("a token that is not hashed cannot be salted"));
            assert!(!error.to_string().contains(vector.salt.as_deref().unwrap()));
        }
    }
}

async fn the_stored_digest_of_every_vector_is_the_originals(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut stored = 0;
    for vector in vectors().into_iter().filter(|vector| vector.ok) {
        // Shorter than any token of this library's; the pure tests above have these.
        let Ok(token) = Token::import(vector.token.as_str()) else {
            assert_eq!(vector.token, "sample");
            continue;
        };
        let config = db.config().hashing(hashing_named(vector.algorithm.as_deref()));
        let config = match configured_salt(&vector) {
            Some(salt) => config.secret_salt(salt.as_bytes()),
            None => config,
        };
        let sessions =
            cloakroom::Sessions::<UserSession>::new(sessions.database().clone(), config.build().unwrap())
                .unwrap();
        let digest = vector.digest.unwrap();
        let created = sessions.create(user("1234").import_token(token)).await;
        if vector.algorithm.is_none() && !vector.token.is_ascii() && !holds_text_beyond_ascii(&db) {
            let error = created.unwrap_err();
            assert_eq!(error.kind(), cloakroom::ErrorKind::InvalidField);
            assert!(sessions.authenticate(&vector.token).await.unwrap().is_none());
            assert!(!sessions.query().token(&vector.token).exists().await.unwrap());
            continue;
        }
        let created = created.unwrap().session;
        let sql = "SELECT auth_token_digest FROM sessions";
        assert_eq!(db.texts(sql).await, [Some(digest)], "{:?}", vector.algorithm);
        assert_eq!(sessions.authenticate(&vector.token).await.unwrap(), Some(created.clone()));
        assert!(sessions.delete(created).await.unwrap());
        stored += 1;
    }
    // Twelve algorithms with two tokens of full length unsalted and under one salt and one under another,
    // and two that are not hashed.
    assert_eq!(stored, if holds_text_beyond_ascii(&db) { 62 } else { 61 });
}

/// The digest column is ASCII on MariaDB. No token that this library or the original makes has other letters.
fn holds_text_beyond_ascii(db: &TestDatabase) -> bool {
    db.kind() != cloakroom_testing::Kind::MariaDb
}

each_database! { the_stored_digest_of_every_vector_is_the_originals }
