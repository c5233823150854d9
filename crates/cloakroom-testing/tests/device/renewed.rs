//! Renewing a bound session: what it takes, and what the tokens before are still good for.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::device::ProofError;
use cloakroom::{BindingRefusal, Clock, ManualClock, Sessions, TokenFormat};
use cloakroom_testing::{Device, START, TestDatabase, each_mode, listening};

use crate::{
    Browser, DAY, MICROSECOND, MINUTE, SECOND, SLACK, TERMS, Web, challenged, count, refused, renewed, works,
};

async fn a_renewal_takes_a_proof_and_gives_another_token(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (mut browser, bound) = Browser::bound(&sessions).await;
    db.clock().advance(MINUTE * 8);
    let renewal = sessions.renew_bound(&browser.token, None, &TERMS).await.unwrap();
    let (challenge, because) = challenged(renewal);
    assert_eq!(because, BindingRefusal::NoProof);
    assert_ne!(challenge.as_str(), bound.challenge.as_str());
    browser.challenge = challenge;
    let used = browser.proof();
    let (after, token) = renewed(browser.present(&sessions, &browser.token).await);
    assert_ne!(token, browser.token);
    assert_eq!(after.token_until, START + MINUTE * 18);
    assert_eq!(
        (after.session.id, after.session.updated_at, after.session.expires_at),
        (bound.session.id, bound.session.updated_at, bound.session.expires_at),
        "the row itself goes on"
    );
    let read = sessions.authenticate(&token).await.unwrap().unwrap();
    assert_eq!((&read, read.token_until()), (&after.session, Some(after.token_until)));

    // For requests that are under way the old token is good, and then no longer.
    db.clock().advance((SECOND * 30).saturating_sub(MICROSECOND));
    for _ in 0..2 {
        assert!(works(&sessions, &browser.token).await);
    }
    db.clock().advance(MICROSECOND);
    assert!(!works(&sessions, &browser.token).await);
    assert!(!sessions.query().token(&browser.token).exists().await.unwrap());
    assert!(works(&sessions, &token).await);

    // The proof was good once.
    for presented in [&browser.token, &token] {
        let again = sessions.renew_bound(presented, Some(&used), &TERMS).await.unwrap();
        assert_eq!(challenged(again).1, BindingRefusal::WrongChallenge);
    }
    assert!(works(&sessions, &token).await);
}

async fn the_next_challenge_comes_along_so_that_a_renewal_takes_one_round(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (mut browser, _) = Browser::bound(&sessions).await;
    for wait in [MINUTE * 8, MINUTE * 10, Duration::ZERO, MINUTE * 20 + SLACK] {
        db.clock().advance(wait);
        let (bound, token) = renewed(browser.present(&sessions, &browser.token).await);
        browser = Browser { token, challenge: bound.challenge, ..browser };
    }
    // A browser that was asleep takes another round.
    db.clock().advance(MINUTE * 20 + SLACK + SECOND);
    let (challenge, because) = challenged(browser.present(&sessions, &browser.token).await);
    assert_eq!(because, BindingRefusal::OldChallenge);
    browser.challenge = challenge;
    renewed(browser.present(&sessions, &browser.token).await);
}

async fn a_token_that_is_past_its_time_renews_and_does_nothing_else(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (mut browser, _) = Browser::bound(&sessions).await;
    db.clock().advance(DAY);
    assert!(!works(&sessions, &browser.token).await);
    let old = browser.token.clone();
    browser.renew(&sessions).await;
    assert!(works(&sessions, &browser.token).await);
    assert!(!works(&sessions, &old).await, "no grace lengthens its own time");
}

async fn another_device_renews_nothing(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (mut browser, _) = Browser::bound(&sessions).await;
    let (mut other, _) = Browser::bound(&sessions).await;
    let thief = Device::new();
    let right = browser.challenge.as_str().to_owned();
    let header = r#"{"alg":"RS256","typ":"dbsc+jwt"}"#;
    for (proof, because) in [
        (thief.proof(&right), ProofError::Signature),
        (other.device.proof(&right), ProofError::Signature),
        (thief.registration(&right), ProofError::UnexpectedKey),
        (browser.device.registration(&right), ProofError::UnexpectedKey),
        (browser.device.signed(header, &format!(r#"{{"jti":"{right}"}}"#)), ProofError::Algorithm),
        (b"a.b.c".to_vec(), ProofError::Encoding),
    ] {
        let renewal = sessions.renew_bound(&browser.token, Some(&proof), &TERMS).await.unwrap();
        assert_eq!(refused(renewal), BindingRefusal::Proof(because));
    }
    // The device's own proof, with the token of another session.
    let renewal = sessions.renew_bound(&other.token, Some(&browser.proof()), &TERMS).await.unwrap();
    assert_eq!(challenged(renewal).1, BindingRefusal::WrongChallenge);
    browser.renew(&sessions).await;
    other.renew(&sessions).await;
}

async fn a_lost_answer_is_given_again(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (mut browser, _) = Browser::bound(&sessions).await;
    db.clock().advance(MINUTE * 8);
    let sent = browser.proof();
    let (_, lost) = renewed(browser.present(&sessions, &browser.token).await);
    // The browser sends the same again, byte for byte, and then a new proof. Also long after the grace.
    for wait in [Duration::ZERO, SECOND * 10, MINUTE, MINUTE * 3] {
        db.clock().advance(wait);
        let again = sessions.renew_bound(&browser.token, Some(&sent), &TERMS).await.unwrap();
        browser.challenge = challenged(again).0;
        let (bound, token) = renewed(browser.present(&sessions, &browser.token).await);
        assert_eq!((&token, bound.token_until), (&lost, START + MINUTE * 18));
        assert_eq!(bound.session.token_until(), Some(bound.token_until));
        // That proof is used up too.
        let again = browser.present(&sessions, &browser.token).await;
        assert_eq!(challenged(again).1, BindingRefusal::WrongChallenge);
    }
    assert!(works(&sessions, &lost).await);
    browser.token = lost;
    browser.renew(&sessions).await;
}

async fn a_browser_that_comes_late_for_its_lost_answer_is_still_logged_in(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    for prunes in [false, true] {
        let (mut browser, _) = Browser::bound(&sessions).await;
        db.clock().advance(MINUTE * 8);
        let (_, lost) = renewed(browser.present(&sessions, &browser.token).await);
        db.clock().advance(MINUTE * 30);
        if prunes {
            sessions.delete_expired().await.unwrap();
            assert_eq!(count(&db, "web_retired_tokens WHERE sealed IS NOT NULL").await, 0);
        }
        let old = browser.token.clone();
        browser.renew(&sessions).await;
        assert!(works(&sessions, &browser.token).await);
        for gone in [&old, &lost] {
            assert!(*gone != browser.token && !works(&sessions, gone).await);
        }
        // Twice in a row.
        let (_, lost) = renewed(browser.present(&sessions, &browser.token).await);
        db.clock().advance(MINUTE * 7);
        browser.renew(&sessions).await;
        assert_ne!(browser.token, lost);
        assert!(works(&sessions, &browser.token).await && !works(&sessions, &old).await);
    }
}

async fn a_token_from_before_the_last_renewal_is_unknown(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (mut browser, _) = Browser::bound(&sessions).await;
    let first = browser.token.clone();
    for _ in 0..2 {
        db.clock().advance(MINUTE * 8);
        browser.renew(&sessions).await;
    }
    assert_eq!(refused(browser.present(&sessions, &first).await), BindingRefusal::UnknownToken);
    assert!(works(&sessions, &browser.token).await);
    browser.renew(&sessions).await;
}

async fn a_session_that_has_ended_or_is_not_bound_is_not_renewed(db: TestDatabase) {
    let sessions = db.sessions_with::<Web>(db.config().ttl(DAY).extend_after(DAY / 2)).await;
    let (unbound, _) = Browser::logged_in(&sessions).await;
    let proof = unbound.device.proof(unbound.challenge.as_str());
    for proof in [None, Some(&*proof)] {
        let renewal = sessions.renew_bound(&unbound.token, proof, &TERMS).await.unwrap();
        assert_eq!(refused(renewal), BindingRefusal::NotBound);
    }
    for how in ["expire", "delete", "expiry"] {
        let (mut browser, mut bound) = Browser::bound(&sessions).await;
        let old = browser.token.clone();
        let renewed = browser.renew(&sessions).await;
        match how {
            "expire" => assert!(sessions.expire(&mut bound.session).await.unwrap()),
            "delete" => assert!(sessions.delete(renewed.session).await.unwrap()),
            _ => db.clock().advance(DAY),
        }
        for token in [&browser.token, &old] {
            let unsigned = sessions.renew_bound(token, None, &TERMS).await.unwrap();
            for renewal in [browser.present(&sessions, token).await, unsigned] {
                assert_eq!(refused(renewal), BindingRefusal::UnknownToken, "{how}");
            }
            assert!(!works(&sessions, token).await, "{how}");
        }
    }
}

async fn a_renewal_is_a_use_and_fills_in_the_hint(db: TestDatabase) {
    let live = TokenFormat::prefixed("acme_live").unwrap();
    let config = db.config().ttl(DAY * 7).extend_after(DAY).token_format(live.clone());
    let sessions = db.sessions_with::<Web>(config).await;
    let (mut browser, bound) = Browser::bound(&sessions).await;
    db.clock().advance(MINUTE * 8);
    let early = browser.renew(&sessions).await;
    assert_eq!(early.session.expires_at, bound.session.expires_at);
    assert_eq!(early.session.hint(), Some(&*live.hint(&browser.token)));
    db.clock().advance(DAY * 2);
    let late = browser.renew(&sessions).await;
    assert_eq!(late.session.expires_at, Some(db.now() + DAY * 7));
    assert_eq!(sessions.authenticate(&browser.token).await.unwrap(), Some(late.session));
}

async fn renewals_and_updates_do_not_get_in_each_others_way(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (mut browser, _) = Browser::bound(&sessions).await;
    let mut read = sessions.authenticate(&browser.token).await.unwrap().unwrap();
    db.clock().advance(MINUTE);
    browser.renew(&sessions).await;
    read.fields.user_id = "5678".into();
    sessions.update(&mut read).await.unwrap();
    let bound = browser.renew(&sessions).await;
    assert_eq!(bound.session.fields.user_id, "5678");
    assert!(sessions.expire(&mut read).await.unwrap());
    assert!(!works(&sessions, &browser.token).await);
}

async fn a_rotation_leaves_the_tokens_time_as_it_is(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (mut browser, bound) = Browser::bound(&sessions).await;
    let before = browser.token.clone();
    browser.renew(&sessions).await;
    db.clock().advance(MINUTE * 5);
    let mut session = sessions.authenticate(&browser.token).await.unwrap().unwrap();
    let old = browser.token.clone();
    browser.token = sessions.rotate(&mut session).await.unwrap();
    assert_eq!(session.token_until(), Some(bound.token_until));
    for gone in [&before, &old] {
        assert!(!works(&sessions, gone).await);
    }
    db.clock().set(bound.token_until + SLACK);
    assert!(!works(&sessions, &browser.token).await, "it cannot be lengthened without a proof");
    browser.renew(&sessions).await;
    assert!(works(&sessions, &browser.token).await);
}

async fn few_old_tokens_are_kept_and_one_of_them_is_sealed(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (mut browser, _) = Browser::bound(&sessions).await;
    for round in 0..20 {
        // In every other round the last token's grace is not over.
        db.clock().advance(if round % 2 == 0 { MINUTE * 8 } else { SECOND });
        browser.renew(&sessions).await;
        assert!(count(&db, "web_retired_tokens").await <= 3);
        assert_eq!(count(&db, "web_retired_tokens WHERE sealed IS NOT NULL").await, 1);
    }
    let session = sessions.authenticate(&browser.token).await.unwrap().unwrap();
    sessions.delete(session).await.unwrap();
    assert_eq!(count(&db, "web_retired_tokens").await, 0);
}

async fn a_machine_whose_clock_is_three_minutes_ahead_breaks_nothing(db: TestDatabase) {
    let clock = Arc::new(ManualClock::new(START + SLACK));
    let sessions = db.sessions::<Web>().await;
    let config = db.config().clock(Arc::clone(&clock) as Arc<dyn Clock>).build().unwrap();
    let ahead = Sessions::<Web>::new(db.database(), config).unwrap();
    let both = [&sessions, &ahead];
    for first in [0, 1] {
        let (mut browser, _) = Browser::logged_in(both[first]).await;
        let proof = browser.device.registration(browser.challenge.as_str());
        let registration = both[1 - first].register_device(&browser.token, Some(&proof), &TERMS).await;
        let cloakroom::Registration::Bound(bound) = registration.unwrap() else { panic!() };
        browser.challenge = bound.challenge;
        for round in 0..6 {
            let (one, other) = (both[(first + round) % 2], both[(first + round + 1) % 2]);
            // Just before the cookie ends.
            for clock in [db.clock(), &clock] {
                clock.advance((MINUTE * 10).saturating_sub(MICROSECOND));
            }
            assert!(works(one, &browser.token).await && works(other, &browser.token).await, "{round}");
            // One round each.
            let (bound, token) = renewed(browser.present(one, &browser.token).await);
            browser = Browser { token, challenge: bound.challenge, ..browser };
            assert!(works(one, &browser.token).await && works(other, &browser.token).await, "{round}");
        }
    }
}

each_mode! {
    a_renewal_takes_a_proof_and_gives_another_token,
    the_next_challenge_comes_along_so_that_a_renewal_takes_one_round,
    a_token_that_is_past_its_time_renews_and_does_nothing_else,
    another_device_renews_nothing,
    a_lost_answer_is_given_again,
    a_browser_that_comes_late_for_its_lost_answer_is_still_logged_in,
    a_token_from_before_the_last_renewal_is_unknown,
    a_session_that_has_ended_or_is_not_bound_is_not_renewed,
    a_renewal_is_a_use_and_fills_in_the_hint,
    renewals_and_updates_do_not_get_in_each_others_way,
    a_rotation_leaves_the_tokens_time_as_it_is,
    few_old_tokens_are_kept_and_one_of_them_is_sealed,
    a_machine_whose_clock_is_three_minutes_ahead_breaks_nothing,
}

listening! {
    a_renewal_takes_a_proof_and_gives_another_token,
    the_next_challenge_comes_along_so_that_a_renewal_takes_one_round,
    a_token_that_is_past_its_time_renews_and_does_nothing_else,
    another_device_renews_nothing,
    a_lost_answer_is_given_again,
    a_browser_that_comes_late_for_its_lost_answer_is_still_logged_in,
    a_token_from_before_the_last_renewal_is_unknown,
    a_session_that_has_ended_or_is_not_bound_is_not_renewed,
    a_renewal_is_a_use_and_fills_in_the_hint,
    renewals_and_updates_do_not_get_in_each_others_way,
    a_rotation_leaves_the_tokens_time_as_it_is,
    few_old_tokens_are_kept_and_one_of_them_is_sealed,
    a_machine_whose_clock_is_three_minutes_ahead_breaks_nothing,
}
