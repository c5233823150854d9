//! Registrations, renewals and other writes of one session at the same time.

use std::sync::Arc;

use cloakroom::{BindingRefusal, Registration, Renewal};
use cloakroom_testing::{Device, TestDatabase, each_mode, listening};

use crate::{Browser, MINUTE, TERMS, Web, challenged, count, renewed, works};

/// How many do it at once.
const MANY: usize = 8;

/// Runs so many calls, each in a task.
async fn all<R, F>(call: impl Fn() -> F) -> Vec<R>
where
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let tasks: Vec<_> = (0..MANY).map(|_| tokio::spawn(call())).collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap());
    }
    all
}

async fn of_many_renewals_with_one_proof_one_renews_and_the_others_come_to_the_same_token(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (mut browser, _) = Browser::bound(&sessions).await;
    for _ in 0..5 {
        db.clock().advance(MINUTE * 8);
        let proof: Arc<[u8]> = browser.proof().into();
        let renewals = all(|| {
            let (sessions, token, proof) = (sessions.clone(), browser.token.clone(), Arc::clone(&proof));
            async move { sessions.renew_bound(&token, Some(&proof), &TERMS).await.unwrap() }
        })
        .await;
        let mut tokens = Vec::new();
        let mut next = None;
        for renewal in renewals {
            match renewal {
                Renewal::Renewed { bound, token } => {
                    next = Some(bound.challenge);
                    tokens.push(token);
                }
                other => assert_eq!(challenged(other).1, BindingRefusal::WrongChallenge),
            }
        }
        assert_eq!(tokens.len(), 1, "the proof was good for one");
        // A tab whose renewal came second answers the challenge that it got.
        let unsigned = sessions.renew_bound(&browser.token, None, &TERMS).await.unwrap();
        browser.challenge = challenged(unsigned).0;
        let (bound, token) = renewed(browser.present(&sessions, &browser.token).await);
        assert_eq!(token, tokens[0]);
        assert!(next.is_some());
        browser = Browser { token, challenge: bound.challenge, ..browser };
        assert!(works(&sessions, &browser.token).await);
    }
}

async fn of_many_registrations_at_once_one_binds(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (browser, _) = Browser::logged_in(&sessions).await;
    let registrations = all(|| {
        let (sessions, token) = (sessions.clone(), browser.token.clone());
        let challenge = browser.challenge.clone();
        async move {
            let device = Device::new();
            let proof = device.registration(challenge.as_str());
            (sessions.register_device(&token, Some(&proof), &TERMS).await.unwrap(), device)
        }
    })
    .await;
    let mut bound = Vec::new();
    for (registration, device) in registrations {
        match registration {
            Registration::Bound(session) => bound.push((session, device)),
            Registration::Refused(because) => assert_eq!(because, BindingRefusal::AlreadyBound),
        }
    }
    assert_eq!(bound.len(), 1);
    let (session, device) = bound.remove(0);
    let mut browser = Browser { device, token: browser.token, challenge: session.challenge };
    browser.renew(&sessions).await;
}

async fn a_log_out_at_the_same_time_ends_the_session_whichever_comes_first(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    for round in 0..20 {
        let is_registration = round % 2 == 0;
        let (browser, session) = if is_registration {
            let (browser, created) = Browser::logged_in(&sessions).await;
            (browser, created.session)
        } else {
            let (browser, bound) = Browser::bound(&sessions).await;
            (browser, bound.session)
        };
        let ends = {
            let (sessions, mut session) = (sessions.clone(), session.clone());
            tokio::spawn(async move { sessions.expire(&mut session).await.unwrap() })
        };
        let token = if is_registration {
            let proof = browser.device.registration(browser.challenge.as_str());
            match sessions.register_device(&browser.token, Some(&proof), &TERMS).await.unwrap() {
                Registration::Bound(_) => {}
                Registration::Refused(because) => assert_eq!(because, BindingRefusal::UnknownToken),
            }
            browser.token
        } else {
            match browser.present(&sessions, &browser.token).await {
                Renewal::Renewed { token, .. } => token,
                Renewal::Refused(BindingRefusal::UnknownToken) => browser.token,
                other => panic!("{other:?}"),
            }
        };
        assert!(ends.await.unwrap(), "{round}");
        assert!(!works(&sessions, &token).await, "{round}");
        assert!(!sessions.query().id(session.id).exists().await.unwrap(), "{round}");
    }
}

async fn renewals_and_updates_at_the_same_time_all_come_about(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (mut browser, bound) = Browser::bound(&sessions).await;
    let updates = {
        let (sessions, mut session) = (sessions.clone(), bound.session.clone());
        tokio::spawn(async move {
            for number in 0..20 {
                session.fields.user_id = number.to_string();
                // No renewal makes it a conflict.
                sessions.update(&mut session).await.unwrap();
            }
        })
    };
    for _ in 0..20 {
        let (bound, token) = renewed(browser.present(&sessions, &browser.token).await);
        browser = Browser { token, challenge: bound.challenge, ..browser };
    }
    updates.await.unwrap();
    let read = sessions.authenticate(&browser.token).await.unwrap().unwrap();
    assert_eq!(read.fields.user_id, "19");
    assert_eq!(count(&db, "web_retired_tokens WHERE sealed IS NOT NULL").await, 1);
}

async fn a_renewal_whose_caller_has_gone_leaves_the_browser_logged_in(db: TestDatabase) {
    let sessions = db.sessions::<Web>().await;
    let (mut browser, _) = Browser::bound(&sessions).await;
    for polls in 0..40_u32 {
        let proof = browser.proof();
        {
            let renewal = sessions.renew_bound(&browser.token, Some(&proof), &TERMS);
            let mut renewal = Box::pin(renewal);
            let mut polled = 0;
            // Dropped after so many polls, which is before, during or after the write.
            std::future::poll_fn(|context| {
                polled += 1;
                let is_done = renewal.as_mut().poll(context).is_ready();
                if is_done || polled > polls { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        }
        browser.renew(&sessions).await;
        assert!(works(&sessions, &browser.token).await, "{polls}");
    }
}

each_mode! {
    of_many_renewals_with_one_proof_one_renews_and_the_others_come_to_the_same_token,
    of_many_registrations_at_once_one_binds,
    a_log_out_at_the_same_time_ends_the_session_whichever_comes_first,
    renewals_and_updates_at_the_same_time_all_come_about,
    a_renewal_whose_caller_has_gone_leaves_the_browser_logged_in,
}

listening! {
    of_many_renewals_with_one_proof_one_renews_and_the_others_come_to_the_same_token,
    of_many_registrations_at_once_one_binds,
    a_log_out_at_the_same_time_ends_the_session_whichever_comes_first,
    renewals_and_updates_at_the_same_time_all_come_about,
    a_renewal_whose_caller_has_gone_leaves_the_browser_logged_in,
}
