//! Binding a session: what it takes, what it changes, and what is refused.

use cloakroom::device::ProofError;
use cloakroom::{BindingRefusal, ErrorKind, Registration, Sessions, Status, Token};
use cloakroom_testing::{Device, START, TestDatabase, each_mode, listening};

use crate::{Browser, MICROSECOND, MINUTE, SECOND, SLACK, TERMS, Web, refused, web, works};

async fn register(sessions: &Sessions<Web>, token: &Token, proof: &[u8]) -> Registration<Web> {
    sessions.register_device(token, Some(proof), &TERMS).await.unwrap()
}

fn why(registration: Registration<Web>) -> BindingRefusal {
    match registration {
        Registration::Refused(because) => because,
        Registration::Bound(bound) => panic!("{bound:?}"),
    }
}

async fn a_session_is_bound_by_a_proof_for_its_challenge(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (browser, created) = Browser::logged_in(&sessions).await;
    assert!(!created.session.is_bound() && created.session.token_until().is_none());
    let before = sessions.authenticate(&browser.token).await.unwrap().unwrap();
    assert_eq!(before, created.session);
    db.clock().advance(SECOND);
    let proof = browser.device.registration(browser.challenge.as_str());
    let Registration::Bound(bound) = register(&sessions, &browser.token, &proof).await else {
        panic!("it is as it should be");
    };
    assert!(bound.session.is_bound());
    assert_eq!(bound.token_until, START + SECOND + MINUTE * 10);
    assert_eq!(bound.session.token_until(), Some(bound.token_until));
    assert_eq!(bound.session.updated_at, created.session.updated_at);
    assert_eq!(bound.session.expires_at, created.session.expires_at, "it lives as long as it did");
    let debug = format!("{bound:?}");
    assert!(!debug.contains(bound.challenge.as_str()), "{debug}");
    // Also a cache knows it.
    let read = sessions.authenticate(&browser.token).await.unwrap().unwrap();
    assert_eq!(read, bound.session);
    assert_eq!(read.token_until(), Some(bound.token_until));
    assert_eq!(sessions.query().filter(Web::DEVICE_KEY.is_not_null()).count().await.unwrap(), 1);
}

async fn the_token_of_a_bound_session_is_good_for_its_time_and_the_session_goes_on(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (browser, bound) = Browser::bound(&sessions).await;
    let unbound = sessions.create(web("5678")).await.unwrap();
    db.clock().set(bound.token_until + SLACK - MICROSECOND);
    for _ in 0..2 {
        assert!(works(&sessions, &browser.token).await);
    }
    assert!(sessions.query().token(&browser.token).exists().await.unwrap());
    db.clock().advance(MICROSECOND);
    assert!(!works(&sessions, &browser.token).await);
    assert!(sessions.authenticate_without_extending(&browser.token).await.unwrap().is_none());
    assert!(sessions.authenticate_fresh(&browser.token).await.unwrap().is_none());
    assert!(!sessions.query().token(&browser.token).exists().await.unwrap());
    let mut transaction = sessions.begin().await.unwrap();
    assert!(sessions.within(&mut transaction).authenticate(&browser.token).await.unwrap().is_none());
    transaction.rollback().await.unwrap();
    // It is still a session, and other sessions have no such end.
    assert!(sessions.query().id(bound.session.id).exists().await.unwrap());
    assert!(sessions.query().token(&browser.token).status(Status::All).exists().await.unwrap());
    assert!(works(&sessions, &unbound.token).await);
}

async fn what_is_no_good_binds_nothing_and_leaves_the_session_as_it_was(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (browser, created) = Browser::logged_in(&sessions).await;
    let (foreign, _) = Browser::logged_in(&sessions).await;
    let (device, right) = (&browser.device, browser.challenge.as_str());
    let header = |alg: &str, jwk: &str| format!(r#"{{"alg":"{alg}","jwk":{jwk},"typ":"dbsc+jwt"}}"#);
    let claims = format!(r#"{{"jti":"{right}"}}"#);
    let mut changed = device.registration(right);
    let last = changed.len() - 3;
    changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
    for (proof, because) in [
        (device.registration(foreign.challenge.as_str()), BindingRefusal::WrongChallenge),
        (device.registration("made-up"), BindingRefusal::WrongChallenge),
        (device.registration(&right[1..]), BindingRefusal::WrongChallenge),
        (device.registration(""), BindingRefusal::Proof(ProofError::NoChallenge)),
        (
            device.signed(&header("ES256", &device.jwk()), "{}"),
            BindingRefusal::Proof(ProofError::NoChallenge),
        ),
        (device.proof(right), BindingRefusal::Proof(ProofError::NoKey)),
        (
            device.signed(&header("ES256", &Device::new().jwk()), &claims),
            BindingRefusal::Proof(ProofError::Signature),
        ),
        (
            device.signed(&header("none", &device.jwk()), &claims),
            BindingRefusal::Proof(ProofError::Algorithm),
        ),
        (changed, BindingRefusal::Proof(ProofError::Signature)),
        (b"no proof".to_vec(), BindingRefusal::Proof(ProofError::Form)),
        (Vec::new(), BindingRefusal::Proof(ProofError::Form)),
    ] {
        let shown = String::from_utf8(proof.clone()).unwrap();
        assert_eq!(why(register(&sessions, &browser.token, &proof).await), because, "{shown}");
        assert_eq!(sessions.authenticate(&browser.token).await.unwrap(), Some(created.session.clone()));
    }
    let without = sessions.register_device(&browser.token, None, &TERMS).await.unwrap();
    assert_eq!(why(without), BindingRefusal::NoProof);
    let proof = device.registration(right);
    for token in ["", "short", Token::generate(64).unwrap().expose()] {
        let refused = sessions.register_device(token, Some(&proof), &TERMS).await.unwrap();
        assert_eq!(why(refused), BindingRefusal::UnknownToken);
    }
    // The token alone says which session it is.
    assert_eq!(why(register(&sessions, &foreign.token, &proof).await), BindingRefusal::WrongChallenge);
    assert!(matches!(register(&sessions, &browser.token, &proof).await, Registration::Bound(_)));
}

async fn a_session_has_one_key_and_keeps_it(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (browser, created) = Browser::logged_in(&sessions).await;
    let used = browser.device.registration(browser.challenge.as_str());
    let Registration::Bound(bound) = register(&sessions, &browser.token, &used).await else { panic!() };
    assert_eq!(sessions.device_challenge(&created.session).await.unwrap().map(drop), None);
    // A browser whose connection has ended sends the same again, and gets the same answer, for a minute.
    db.clock().advance(MINUTE);
    let Registration::Bound(again) = register(&sessions, &browser.token, &used).await else { panic!() };
    assert_eq!(again.session, bound.session);
    assert_eq!((again.challenge.as_str(), again.token_until), (bound.challenge.as_str(), bound.token_until));
    let thief = Device::new();
    for proof in [&used, &thief.registration(browser.challenge.as_str())] {
        let is_same = *proof == used;
        let registration = register(&sessions, &browser.token, proof).await;
        assert_eq!(matches!(registration, Registration::Bound(_)), is_same);
    }
    db.clock().advance(SECOND);
    for proof in [
        used,
        thief.registration(browser.challenge.as_str()),
        thief.registration(bound.challenge.as_str()),
        browser.device.registration(bound.challenge.as_str()),
    ] {
        assert_eq!(why(register(&sessions, &browser.token, &proof).await), BindingRefusal::AlreadyBound);
    }
    let read = sessions.authenticate(&browser.token).await.unwrap().unwrap();
    assert_eq!(read.fields.device_key, bound.session.fields.device_key);
    let mut browser = Browser { challenge: bound.challenge, ..browser };
    browser.renew(&sessions).await;
}

async fn a_challenge_ages_by_whichever_clock_it_was_issued(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let minutes = |count: i64| time::Duration::minutes(count);
    for (passed, is_good) in [(-4, false), (-3, true), (0, true), (13, true), (14, false)] {
        db.clock().set(START);
        let (browser, _) = Browser::logged_in(&sessions).await;
        db.clock().set(START + minutes(passed));
        let proof = browser.device.registration(browser.challenge.as_str());
        match register(&sessions, &browser.token, &proof).await {
            Registration::Bound(_) => assert!(is_good, "{passed}"),
            Registration::Refused(because) => {
                assert_eq!((because, is_good), (BindingRefusal::OldChallenge, false), "{passed}");
                assert!(works(&sessions, &browser.token).await);
            }
        }
    }
}

async fn a_challenge_that_was_just_issued_is_issued_again_and_a_later_one_takes_its_place(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (browser, created) = Browser::logged_in(&sessions).await;
    db.clock().advance(MINUTE);
    let again = sessions.device_challenge(&created.session).await.unwrap().unwrap();
    assert_eq!(again.as_str(), browser.challenge.as_str());
    db.clock().advance(SECOND);
    let later = sessions.device_challenge(&created.session).await.unwrap().unwrap();
    assert_ne!(later.as_str(), browser.challenge.as_str());
    let first = browser.device.registration(browser.challenge.as_str());
    assert_eq!(why(register(&sessions, &browser.token, &first).await), BindingRefusal::WrongChallenge);
    let second = browser.device.registration(later.as_str());
    assert!(matches!(register(&sessions, &browser.token, &second).await, Registration::Bound(_)));
}

async fn a_token_that_is_refused_still_tells_which_session_is_to_be_renewed_or_ended(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let unbound = sessions.create(web("5678")).await.unwrap();
    assert!(!sessions.awaits_renewal(&unbound.token).await.unwrap());
    assert!(!sessions.awaits_renewal(Token::generate(64).unwrap()).await.unwrap());
    assert!(!sessions.awaits_renewal("").await.unwrap());
    let (mut browser, _) = Browser::bound(&sessions).await;
    db.clock().advance(MINUTE * 20);
    assert!(!works(&sessions, &browser.token).await);
    assert!(sessions.awaits_renewal(&browser.token).await.unwrap());
    let old = browser.token.clone();
    let bound = browser.renew(&sessions).await;
    assert!(sessions.awaits_renewal(&old).await.unwrap());
    assert!(!sessions.end_awaiting_renewal(&unbound.token).await.unwrap());
    assert!(sessions.end_awaiting_renewal(&old).await.unwrap());
    assert!(!works(&sessions, &browser.token).await);
    assert!(!sessions.query().id(bound.session.id).exists().await.unwrap());
    for token in [&old, &browser.token] {
        assert!(!sessions.awaits_renewal(token).await.unwrap());
        assert!(!sessions.end_awaiting_renewal(token).await.unwrap());
    }
    assert!(works(&sessions, &unbound.token).await);
}

async fn a_session_that_has_ended_is_not_bound(db: TestDatabase) {
    let sessions = db.sessions_with::<Web>(db.config().ttl(MINUTE * 5).auto_extend(false)).await;
    for how in ["expire", "delete", "expiry"] {
        let (browser, mut created) = Browser::logged_in(&sessions).await;
        match how {
            "expire" => assert!(sessions.expire(&mut created.session).await.unwrap()),
            "delete" => assert!(sessions.delete(created.session.clone()).await.unwrap()),
            _ => db.clock().advance(MINUTE * 5),
        }
        let proof = browser.device.registration(browser.challenge.as_str());
        assert_eq!(why(register(&sessions, &browser.token, &proof).await), BindingRefusal::UnknownToken);
        assert!(sessions.device_challenge(&created.session).await.unwrap().is_none(), "{how}");
        assert_eq!(refused(browser.present(&sessions, &browser.token).await), BindingRefusal::UnknownToken);
    }
    assert_eq!(
        sessions.query().status(Status::All).filter(Web::DEVICE_KEY.is_not_null()).count().await.unwrap(),
        0
    );
}

async fn a_key_of_rsa_is_kept_whole(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (browser, _) = Browser::logged_in(&sessions).await;
    let device = Device::with_rsa(include_bytes!("rsa2048.pk8"));
    let proof = device.registration(browser.challenge.as_str());
    let Registration::Bound(bound) = register(&sessions, &browser.token, &proof).await else { panic!() };
    assert!(bound.session.fields.device_key.as_ref().unwrap().to_text().len() > 255);
    let read = sessions.query().id(bound.session.id).fetch_one().await.unwrap();
    assert_eq!(read, bound.session);
    let mut browser = Browser { device, token: browser.token, challenge: bound.challenge };
    browser.renew(&sessions).await;
}

async fn an_update_that_read_the_session_before_does_not_undo_it(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (browser, mut created) = Browser::logged_in(&sessions).await;
    let proof = browser.device.registration(browser.challenge.as_str());
    let Registration::Bound(bound) = register(&sessions, &browser.token, &proof).await else { panic!() };
    created.session.fields.user_id = "5678".into();
    sessions.update(&mut created.session).await.unwrap();
    let read = sessions.authenticate(&browser.token).await.unwrap().unwrap();
    assert_eq!(read.fields.user_id, "5678");
    assert_eq!(read.fields.device_key, bound.session.fields.device_key);
    assert_eq!(read.token_until(), Some(bound.token_until));
}

async fn a_column_that_cannot_hold_the_key_is_named(db: TestDatabase) {
    if db.kind() == cloakroom_testing::Kind::Sqlite {
        return;
    }
    let sessions = db.sessions::<Web>().await;
    let column = if db.kind() == cloakroom_testing::Kind::Postgres {
        "ALTER COLUMN device_key TYPE varchar(50)"
    } else {
        "MODIFY device_key varchar(50) NULL"
    };
    db.execute(&format!("ALTER TABLE web {column}")).await;
    let (browser, _) = Browser::logged_in(&sessions).await;
    let proof = browser.device.registration(browser.challenge.as_str());
    let error = sessions.register_device(&browser.token, Some(&proof), &TERMS).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidField);
    assert!(error.to_string().contains("device_key"), "{error}");
    assert!(works(&sessions, &browser.token).await);
}

each_mode! {
    a_session_is_bound_by_a_proof_for_its_challenge,
    the_token_of_a_bound_session_is_good_for_its_time_and_the_session_goes_on,
    what_is_no_good_binds_nothing_and_leaves_the_session_as_it_was,
    a_session_has_one_key_and_keeps_it,
    a_challenge_ages_by_whichever_clock_it_was_issued,
    a_challenge_that_was_just_issued_is_issued_again_and_a_later_one_takes_its_place,
    a_token_that_is_refused_still_tells_which_session_is_to_be_renewed_or_ended,
    a_session_that_has_ended_is_not_bound,
    a_key_of_rsa_is_kept_whole,
    an_update_that_read_the_session_before_does_not_undo_it,
    a_column_that_cannot_hold_the_key_is_named,
}

listening! {
    a_session_is_bound_by_a_proof_for_its_challenge,
    the_token_of_a_bound_session_is_good_for_its_time_and_the_session_goes_on,
    what_is_no_good_binds_nothing_and_leaves_the_session_as_it_was,
    a_session_has_one_key_and_keeps_it,
    a_challenge_ages_by_whichever_clock_it_was_issued,
    a_challenge_that_was_just_issued_is_issued_again_and_a_later_one_takes_its_place,
    a_token_that_is_refused_still_tells_which_session_is_to_be_renewed_or_ended,
    a_session_that_has_ended_is_not_bound,
    a_key_of_rsa_is_kept_whole,
    an_update_that_read_the_session_before_does_not_undo_it,
    a_column_that_cannot_hold_the_key_is_named,
}
