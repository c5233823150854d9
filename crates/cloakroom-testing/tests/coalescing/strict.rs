//! No answer is older than its question: a lookup joins only a statement that has not been sent.

use cloakroom::{CreatedSession, Sessions};
use cloakroom_testing::{Kind, TestDatabase, UserSession, coalesced, user};
use std::time::Duration;
use tokio::task::JoinHandle;

use crate::gate::Gated;
use crate::{all, begin};

const DAY: Duration = Duration::from_hours(24);

async fn scene(db: &TestDatabase) -> (Gated, Vec<CreatedSession<UserSession>>) {
    let gated = Gated::new(db, db.config().max_in_flight(1)).await;
    let mut created = Vec::new();
    for n in 0..4 {
        created.push(gated.direct.create(user(&n.to_string())).await.unwrap());
    }
    (gated, created)
}

fn ask(
    sessions: &Sessions<UserSession>,
    created: &CreatedSession<UserSession>,
) -> JoinHandle<Option<String>> {
    let (sessions, token) = (sessions.clone(), created.token.clone());
    begin(async move {
        sessions.authenticate(&token).await.unwrap().map(|session| session.into_row().fields.user_id)
    })
}

/// Ends a session, each in another way.
async fn end(sessions: &Sessions<UserSession>, created: &CreatedSession<UserSession>) {
    let mut session = created.session.clone();
    match &*session.fields.user_id {
        "0" => assert!(sessions.expire(&mut session).await.unwrap()),
        "1" => assert!(sessions.delete(session).await.unwrap()),
        "2" => assert_eq!(sessions.query().id(session.id).expire_all().await.unwrap(), 1),
        _ => drop(sessions.rotate(&mut session).await.unwrap()),
    }
}

async fn a_lookup_after_the_end_of_a_session_does_not_join_one_that_was_sent_before(db: TestDatabase) {
    let (mut gated, created) = scene(&db).await;
    for one in &created {
        gated.shut().await;
        let sent = ask(&gated.sessions, one);
        gated.reached(1).await;
        end(&gated.direct, one).await;
        let asked: Vec<_> = (0..5).map(|_| ask(&gated.sessions, one)).collect();
        gated.open().await;
        let before = Some(one.session.fields.user_id.clone());
        assert_eq!(all(vec![sent]).await, [before], "the gate does not hold what was read");
        assert_eq!(all(asked).await, [const { None }; 5]);
    }
    gated.close().await;
}

async fn nor_one_that_was_sent_for_many(db: TestDatabase) {
    let (mut gated, created) = scene(&db).await;
    gated.shut().await;
    let alone = ask(&gated.sessions, &created[0]);
    gated.reached(1).await;
    let together: Vec<_> = created.iter().chain(&created).map(|one| ask(&gated.sessions, one)).collect();
    // The slot is theirs now; the first statement stands before the gate until that opens.
    alone.abort();
    gated.reached(2).await;
    for one in &created {
        end(&gated.direct, one).await;
    }
    let late: Vec<_> = created.iter().map(|one| ask(&gated.sessions, one)).collect();
    gated.open().await;
    let together = all(together).await;
    // SQLite comes to the gate while it plans a statement that is new to the connection, before it has read.
    if db.kind() != Kind::Sqlite {
        assert_eq!(together[3].as_deref(), Some("3"), "the gate does not hold what was read");
    }
    assert_eq!(all(late).await, [const { None }; 4]);
    gated.close().await;
}

async fn a_session_that_expires_while_its_lookup_waits_is_refused(db: TestDatabase) {
    let (mut gated, created) = scene(&db).await;
    gated.shut().await;
    let asked: Vec<_> = created.iter().map(|one| ask(&gated.sessions, one)).collect();
    gated.reached(1).await;
    db.clock().advance(8 * DAY);
    gated.open().await;
    assert_eq!(all(asked).await, [const { None }; 4]);
    gated.close().await;
}

async fn no_more_statements_are_out_than_the_configured_number(db: TestDatabase) {
    let mut gated = Gated::new(&db, db.config().max_in_flight(5)).await;
    let created = gated.direct.create(user("1234")).await.unwrap();
    gated.shut().await;
    let asked: Vec<_> = (0..20).map(|_| ask(&gated.sessions, &created)).collect();
    gated.reached(5).await;
    gated.open().await;
    assert!(all(asked).await.iter().all(Option::is_some));
    gated.close().await;
}

coalesced! {
    a_lookup_after_the_end_of_a_session_does_not_join_one_that_was_sent_before,
    nor_one_that_was_sent_for_many,
    a_session_that_expires_while_its_lookup_waits_is_refused,
    no_more_statements_are_out_than_the_configured_number,
}
