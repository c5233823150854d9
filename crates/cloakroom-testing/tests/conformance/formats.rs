//! What tokens look like, and which of them are accepted.

use std::error::Error as _;

use cloakroom::{
    ConfigBuilder, ConfigError, ErrorKind, Hashing, ImportedSession, Key, NewSession, Reading, Scheme,
    Sessions, Status, Token, TokenFormat,
};
use cloakroom_testing::{TestDatabase, UserSession, each_mode, user};
use futures_util::TryStreamExt;

use crate::statements::Watched;

fn live() -> TokenFormat {
    TokenFormat::prefixed("acme_live").unwrap()
}

/// New keys have a prefix, and tokens of before still work.
fn beside_plain(config: ConfigBuilder) -> ConfigBuilder {
    config.token_format(live()).accept_formats([TokenFormat::default()])
}

/// Every change of one character of the token from `first` on, and every two neighbours in each other's place.
fn mistakes(token: &str, first: usize) -> Vec<String> {
    let changes = (first..token.len()).flat_map(|place| {
        let characters = ('!'..='~').filter(move |character| !token[place..].starts_with(*character));
        characters.map(move |character| format!("{}{character}{}", &token[..place], &token[place + 1..]))
    });
    let exchanges = (first + 1..token.len()).map(|place| {
        let (before, after) = (&token[place - 1..place], &token[place..=place]);
        format!("{}{after}{before}{}", &token[..place - 1], &token[place + 1..])
    });
    changes.chain(exchanges).filter(|other| other != token).collect()
}

/// Every way in which a client's token comes in finds nothing.
async fn is_unknown_everywhere(sessions: &Sessions<UserSession>, token: &str) {
    assert_eq!(sessions.authenticate(token).await.unwrap(), None, "{token}");
    assert_eq!(sessions.authenticate_fresh(token).await.unwrap(), None);
    assert_eq!(sessions.authenticate_without_extending(token).await.unwrap(), None);
    for status in [Status::Valid, Status::All] {
        let query = || sessions.query().token(token).status(status);
        assert_eq!(query().fetch_optional().await.unwrap(), None);
        assert_eq!(query().fetch_all().await.unwrap(), []);
        assert_eq!(query().stream().try_collect::<Vec<_>>().await.unwrap(), []);
        assert_eq!(query().count().await.unwrap(), 0);
        assert!(!query().exists().await.unwrap());
        assert_eq!(query().expire_all().await.unwrap(), 0);
        assert_eq!(query().delete_all().await.unwrap(), 0);
    }
}

async fn a_mistyped_key_is_unknown_and_takes_no_statement(db: TestDatabase) {
    for (config, first) in [
        (db.config().token_format(live()), 0),
        // A token that does not begin with the prefix may be one of before.
        (beside_plain(db.config()), "acme_live_".len()),
    ] {
        let watched = Watched::<UserSession>::on(&db, db.database(), config).await;
        let sessions = &watched.sessions;
        let created = sessions.create(user("1234")).await.unwrap();
        let token = created.token.expose();
        let mistakes = mistakes(token, first);
        assert!(mistakes.len() > 93 * 33, "{}", mistakes.len());
        let statements = watched.statements(async {
            for mistyped in &mistakes {
                assert_eq!(sessions.authenticate(mistyped).await.unwrap(), None, "{mistyped}");
            }
            for mistyped in mistakes.iter().step_by(97) {
                is_unknown_everywhere(sessions, mistyped).await;
            }
            for cut in ["acme_live_", &token[..token.len() - 1], &format!("{token}0"), &token.repeat(2)] {
                is_unknown_everywhere(sessions, cut).await;
            }
        });
        assert_eq!(statements.await, [""; 0]);
        let mut transaction = sessions.begin().await.unwrap();
        for mistyped in mistakes.iter().step_by(97) {
            let mut within = sessions.within(&mut transaction);
            assert_eq!(within.authenticate(mistyped).await.unwrap(), None);
        }
        transaction.commit().await.unwrap();

        // A key that is whole is asked for, whether there is one or not.
        let unknown = live().generate().unwrap();
        let statements = watched.statements(async {
            assert_eq!(sessions.authenticate_fresh(&unknown).await.unwrap(), None);
            assert_eq!(sessions.authenticate_fresh(token).await.unwrap(), Some(created.session.clone()));
        });
        assert_eq!(statements.await.len(), 2);
    }
}

async fn new_keys_work_beside_tokens_of_before_until_their_format_is_no_longer_accepted(db: TestDatabase) {
    let before = db.sessions::<UserSession>().await;
    let mut old = before.create(user("1")).await.unwrap();
    let short = Token::import("an-issued-token-of-long-ago").unwrap();
    let imported = before.create(user("2").import_token(short.clone())).await.unwrap();

    let both = db.sessions_with::<UserSession>(beside_plain(db.config())).await;
    let new = both.create(user("3")).await.unwrap();
    assert!(live().parse(new.token.expose()).is_ok());
    for (token, session) in
        [(&old.token, &old.session), (&short, &imported.session), (&new.token, &new.session)]
    {
        assert_eq!(both.authenticate(token).await.unwrap().as_ref(), Some(session));
    }
    let rotated = both.rotate(&mut old.session).await.unwrap();
    assert!(live().parse(rotated.expose()).is_ok(), "a rotation gives the format of new tokens");
    assert_eq!(both.authenticate(&old.token).await.unwrap(), None);
    assert_eq!(both.authenticate(&rotated).await.unwrap(), Some(old.session.clone()));

    let alone = db.sessions_with::<UserSession>(db.config().token_format(live())).await;
    assert_eq!(alone.authenticate(&short).await.unwrap(), None);
    assert_eq!(alone.authenticate(&rotated).await.unwrap(), Some(old.session.clone()));
    let test = TokenFormat::prefixed("acme_test").unwrap();
    let moved = db.config().token_format(test.clone()).accept_formats([live()]);
    let moved = db.sessions_with::<UserSession>(moved).await;
    assert_eq!(moved.authenticate(&rotated).await.unwrap(), Some(old.session.clone()));
    let again = moved.rotate(&mut old.session).await.unwrap();
    assert!(test.parse(again.expose()).is_ok());
    assert_eq!(alone.authenticate_fresh(&again).await.unwrap(), None);
    // A handle without any format takes them all.
    assert_eq!(before.authenticate_fresh(&again).await.unwrap(), Some(old.session));
}

async fn a_token_that_would_be_refused_is_not_imported(db: TestDatabase) {
    let old = || Token::import("an-issued-token-of-long-ago").unwrap();
    let mistyped = || {
        let key = live().generate().unwrap();
        Token::import(format!("{}-", &key.expose()[..42])).unwrap()
    };
    let alone = db.sessions_with::<UserSession>(db.config().token_format(live())).await;
    let both = db.sessions_with::<UserSession>(beside_plain(db.config())).await;
    for (sessions, token) in [(&alone, old()), (&alone, mistyped()), (&both, mistyped())] {
        let created = sessions.create(user("1").import_token(token.clone())).await.map(drop);
        let imported = sessions.import(vec![ImportedSession::with_token(user("1"), token)]).await;
        for result in [created, imported] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidField);
            let source = error.source().unwrap().to_string();
            assert!(source.contains("accepted formats"), "{error}: {source}");
        }
    }
    assert_eq!(alone.query().status(Status::All).count().await.unwrap(), 0);

    both.create(user("1").import_token(old())).await.unwrap();
    assert!(both.authenticate(old()).await.unwrap().is_some());
    let key = live().generate().unwrap();
    alone.create(user("2").import_token(key.clone())).await.unwrap();
    assert!(alone.authenticate(&key).await.unwrap().is_some());
    // A digest does not tell its token.
    let other = Token::import("another-issued-token").unwrap();
    let digest = Hashing::Sha256.digest(b"", other.as_ref()).unwrap();
    alone.import(vec![ImportedSession::with_digest(user("3"), digest)]).await.unwrap();
    assert!(alone.authenticate(&other).await.unwrap().is_none());
    assert!(both.authenticate(&other).await.unwrap().is_some());
}

async fn keys_have_their_format_under_every_hashing_and_none(db: TestDatabase) {
    let longest = TokenFormat::prefixed(&"x".repeat(32)).unwrap();
    for hashing in [Hashing::Sha512, Hashing::DangerousPlaintext] {
        for format in [live(), longest.clone()] {
            let config = db.config().hashing(hashing).token_format(format.clone());
            let sessions = db.sessions_with::<UserSession>(config).await;
            let created =
                sessions.create(NewSession::new(UserSession { user_id: "1".into() })).await.unwrap();
            assert!(format.parse(created.token.expose()).is_ok());
            assert_eq!(sessions.config().token_length(), format.length());
            assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
        }
    }
}

async fn keys_and_the_tokens_of_another_system_are_looked_up_under_all_schemes(db: TestDatabase) {
    let adopted = || Scheme::adopted("knox", Reading::of(Hashing::Sha512));
    let key = Key::from_bytes(*b"a key of the application, 32 bytes").unwrap();
    let config = || {
        let schemes = [Scheme::hmac_sha256("2026-11", &key), Scheme::sha256(), adopted()];
        beside_plain(db.config().digests(schemes))
    };
    let watched = Watched::<UserSession>::on(&db, db.database(), config()).await;
    let sessions = &watched.sessions;
    let foreign = "a-token-of-the-other-system";
    let digest = adopted().digest(foreign).unwrap();
    sessions.import(vec![ImportedSession::with_digest(user("1"), digest)]).await.unwrap();
    let created = sessions.create(user("2")).await.unwrap();
    for token in [foreign, created.token.expose()] {
        // Once under the scheme that it was stored under, and then under the newest.
        for _ in 0..2 {
            assert!(sessions.authenticate_fresh(token).await.unwrap().is_some(), "{token}");
        }
    }
    let mistyped = format!("{}-", &created.token.expose()[..42]);
    let statements = watched.statements(is_unknown_everywhere(sessions, &mistyped)).await;
    assert_eq!(statements, [""; 0]);
    let refused = db.config().digests([Scheme::sha256(), adopted()]).token_format(live()).build();
    assert_eq!(refused.unwrap_err(), ConfigError::AdoptedWithoutFormat { name: "knox".to_owned() });
}

each_mode! {
    keys_and_the_tokens_of_another_system_are_looked_up_under_all_schemes,
    a_mistyped_key_is_unknown_and_takes_no_statement,
    new_keys_work_beside_tokens_of_before_until_their_format_is_no_longer_accepted,
    a_token_that_would_be_refused_is_not_imported,
    keys_have_their_format_under_every_hashing_and_none,
}
