//! The application gives a bound session another token, while the browser renews it or just before.

use cloakroom::device::DeviceKey;
use cloakroom::{BindingRefusal, NewSession, Renewal, SessionTable};
use cloakroom_testing::{Device, TestDatabase, each_mode, listening};

use crate::{Browser, LogsIn, MINUTE, SECOND, TERMS, Web, challenged, count, refused, renewed, works};

/// As [`Web`], with a grace for what the application itself rotates.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "web", rotation_grace)]
struct Graced {
    #[session(index)]
    user_id: String,
    #[session(device_key)]
    device_key: Option<DeviceKey>,
}

impl LogsIn for Graced {
    fn of(user_id: &str) -> NewSession<Self> {
        NewSession::new(Self { user_id: user_id.into(), device_key: None })
    }
}

async fn a_rotation_with_a_grace_at_the_same_time_as_a_renewal_comes_about(db: TestDatabase) {
    let sessions = db.sessions::<Graced>().await;
    let (mut browser, bound) = Browser::bound(&sessions).await;
    let mut session = bound.session;
    for round in 0..40 {
        db.clock().advance(SECOND);
        let rotation = {
            let (sessions, mut session) = (sessions.clone(), session.clone());
            tokio::spawn(async move {
                let token = sessions.rotate_with_grace(&mut session, MINUTE).await;
                (token, session)
            })
        };
        let renewal = browser.present(&sessions, &browser.token).await;
        let (token, rotated) = rotation.await.unwrap();
        let token = token.unwrap_or_else(|error| panic!("{round}: {error:?}"));
        session = rotated;
        let (bound, renewed) = renewed(renewal);
        assert!(works(&sessions, &token).await && works(&sessions, &renewed).await, "{round}");
        // Whichever answer the browser gets last, and whichever token is the present one.
        let kept = if round % 2 == 0 { token } else { renewed };
        browser = Browser { token: kept, challenge: bound.challenge, ..browser };
        browser.renew(&sessions).await;
        assert!(works(&sessions, &browser.token).await, "{round}");
        let read = sessions.authenticate(&browser.token).await.unwrap().unwrap();
        assert_eq!(read.updated_at, session.updated_at, "{round}");
        session = read;
    }
}

async fn a_rotation_at_the_same_time_as_a_renewal_leaves_the_browser_logged_in(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (mut browser, bound) = Browser::bound(&sessions).await;
    let mut session = bound.session;
    for round in 0..40 {
        db.clock().advance(SECOND);
        let rotation = {
            let (sessions, mut session) = (sessions.clone(), session.clone());
            tokio::spawn(async move { sessions.rotate(&mut session).await.unwrap() })
        };
        let renewal = browser.present(&sessions, &browser.token).await;
        let token = rotation.await.unwrap();
        let (bound, renewed) = renewed(renewal);
        let works = [works(&sessions, &token).await, works(&sessions, &renewed).await];
        assert!(works[0] || works[1], "{round}");
        let kept = if round % 2 == 0 { token } else { renewed };
        browser = Browser { token: kept, challenge: bound.challenge, ..browser };
        browser.renew(&sessions).await;
        session = sessions.authenticate(&browser.token).await.unwrap().unwrap();
    }
}

async fn a_token_that_was_rotated_renews_and_does_nothing_else(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (mut browser, _) = Browser::bound(&sessions).await;
    db.clock().advance(MINUTE * 8);
    // The browser gets the answer to its renewal after that to the request in which the application rotated.
    browser.renew(&sessions).await;
    let mut session = sessions.authenticate(&browser.token).await.unwrap().unwrap();
    let other = sessions.rotate(&mut session).await.unwrap();
    assert!(works(&sessions, &other).await && !works(&sessions, &browser.token).await);
    assert!(sessions.awaits_renewal(&browser.token).await.unwrap(), "so it is asked to renew");
    // Without the key it is worth nothing.
    let thief = Device::new().proof(browser.challenge.as_str());
    let renewal = sessions.renew_bound(&browser.token, Some(&thief), &TERMS).await.unwrap();
    assert!(matches!(refused(renewal), BindingRefusal::Proof(_)));
    let old = browser.token.clone();
    let (bound, token) = renewed(browser.present(&sessions, &browser.token).await);
    for gone in [&old, &other] {
        assert_eq!(works(&sessions, gone).await, gone == &other, "the other one for its grace");
    }
    browser = Browser { token, challenge: bound.challenge, ..browser };

    // A renewal that is under way while the application rotates has the token from before.
    let mut session = sessions.authenticate(&browser.token).await.unwrap().unwrap();
    sessions.rotate(&mut session).await.unwrap();
    browser.renew(&sessions).await;
    assert!(works(&sessions, &browser.token).await);
    // Nothing of it piles up.
    for _ in 0..5 {
        let mut session = sessions.authenticate(&browser.token).await.unwrap().unwrap();
        sessions.rotate(&mut session).await.unwrap();
        db.clock().advance(MINUTE);
        browser.renew(&sessions).await;
        assert!(count(&db, "web_retired_tokens").await <= 3);
    }
    // Once it is not bound, a rotation is as any other.
    let (unbound, mut created) = Browser::logged_in(&sessions).await;
    let before = count(&db, "web_retired_tokens").await;
    sessions.rotate(&mut created.session).await.unwrap();
    assert_eq!(count(&db, "web_retired_tokens").await, before);
    let renewal = sessions.renew_bound(&unbound.token, None, &TERMS).await.unwrap();
    assert_eq!(refused(renewal), BindingRefusal::UnknownToken);
}

async fn a_session_whose_tokens_were_rotated_and_that_has_ended_is_not_renewed(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (browser, bound) = Browser::bound(&sessions).await;
    let mut session = bound.session;
    sessions.rotate(&mut session).await.unwrap();
    let unsigned = sessions.renew_bound(&browser.token, None, &TERMS).await.unwrap();
    assert_eq!(challenged(unsigned).1, BindingRefusal::NoProof);
    assert!(sessions.expire(&mut session).await.unwrap());
    let renewal: Renewal<Web> = browser.present(&sessions, &browser.token).await;
    assert_eq!(refused(renewal), BindingRefusal::UnknownToken);
}

each_mode! {
    a_rotation_with_a_grace_at_the_same_time_as_a_renewal_comes_about,
    a_rotation_at_the_same_time_as_a_renewal_leaves_the_browser_logged_in,
    a_token_that_was_rotated_renews_and_does_nothing_else,
    a_session_whose_tokens_were_rotated_and_that_has_ended_is_not_renewed,
}

listening! {
    a_rotation_with_a_grace_at_the_same_time_as_a_renewal_comes_about,
    a_rotation_at_the_same_time_as_a_renewal_leaves_the_browser_logged_in,
    a_token_that_was_rotated_renews_and_does_nothing_else,
    a_session_whose_tokens_were_rotated_and_that_has_ended_is_not_renewed,
}
