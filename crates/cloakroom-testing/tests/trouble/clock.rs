use cloakroom::{Session, Sessions, Status};
use cloakroom_testing::{START, TestDatabase, UserSession, each_database, user};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

/// Where a broken clock may step back to: a moment, before the session was made, before 1970, the
/// beginning.
const STEPS: [OffsetDateTime; 4] = [
    datetime!(2026-11-23 01:48:09.123455 UTC),
    datetime!(2026-11-01 00:00 UTC),
    datetime!(1969-12-31 23:59:59.999999 UTC),
    datetime!(0001-01-01 00:00 UTC),
];

async fn row(sessions: &Sessions<UserSession>, session: &Session<UserSession>) -> Session<UserSession> {
    let rows = sessions.query().status(Status::All).id(session.id).fetch_all().await.unwrap();
    let [row] = rows.try_into().unwrap();
    row
}

async fn a_session_made_before_the_clock_stepped_back_goes_on_as_it_was(db: TestDatabase) {
    for earlier in STEPS {
        db.clock().set(START);
        let sessions = db.sessions::<UserSession>().await;
        let created = sessions.create(user("1234")).await.unwrap();
        let mut session = created.session;
        db.clock().set(earlier);

        assert_eq!(sessions.authenticate(&created.token).await.unwrap().as_ref(), Some(&session));
        assert!(!sessions.extend(&mut session).await.unwrap());
        assert_eq!(session.expires_at, Some(START + Duration::days(7)));
        let mut last = session.updated_at;

        session.fields.user_id = "5678".into();
        sessions.update(&mut session).await.unwrap();
        assert!(session.updated_at > last, "{earlier}");
        last = session.updated_at;
        assert_eq!(row(&sessions, &session).await, session);

        let token = sessions.rotate(&mut session).await.unwrap();
        assert!(session.updated_at > last, "{earlier}");
        last = session.updated_at;
        assert_eq!(sessions.authenticate(&token).await.unwrap().as_ref(), Some(&session));

        assert_eq!(sessions.delete_expired().await.unwrap(), 0);
        assert!(sessions.expire(&mut session).await.unwrap());
        assert_eq!(session.expires_at, Some(earlier));
        assert!(session.updated_at > last, "{earlier}");
        assert_eq!(row(&sessions, &session).await, session);
        // Ended is ended, also once the clock is right again.
        for now in [earlier, START] {
            db.clock().set(now);
            assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
        }
        assert_eq!(sessions.delete_expired().await.unwrap(), 1);
    }
}

async fn ending_every_session_moves_no_row_back_in_time(db: TestDatabase) {
    for earlier in STEPS {
        db.clock().set(START);
        let sessions = db.sessions::<UserSession>().await;
        let created = sessions.create(user("1234")).await.unwrap();
        db.clock().set(earlier);
        assert_eq!(sessions.query().expire_all().await.unwrap(), 1);
        let ended = row(&sessions, &created.session).await;
        assert_eq!(ended.expires_at, Some(earlier));
        assert!(ended.updated_at > created.session.updated_at, "{earlier}: {}", ended.updated_at);
        // Who read it before has lost.
        let mut stale = created.session;
        db.clock().set(START);
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
        sessions.update(&mut stale).await.unwrap_err();
        assert!(sessions.delete(stale).await.unwrap());
    }
}

async fn a_session_made_at_any_time_works_then_and_is_expired_today(db: TestDatabase) {
    for earlier in STEPS {
        db.clock().set(earlier);
        let sessions = db.sessions::<UserSession>().await;
        let created = sessions.create(user("1234")).await.unwrap();
        assert_eq!(created.session.inserted_at, earlier);
        assert_eq!(sessions.authenticate(&created.token).await.unwrap().as_ref(), Some(&created.session));
        let cursor = created.session.cursor().to_string().parse().unwrap();
        assert_eq!(created.session.cursor(), cursor);

        db.clock().set(earlier + Duration::days(3));
        let extended = sessions.authenticate(&created.token).await.unwrap().unwrap();
        assert_eq!(extended.expires_at, Some(earlier + Duration::days(10)));
        assert_eq!(row(&sessions, &extended).await, extended);

        db.clock().set(earlier + Duration::days(10));
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
        assert_eq!(sessions.delete_expired().await.unwrap(), 1);
    }
}

each_database! {
    a_session_made_before_the_clock_stepped_back_goes_on_as_it_was,
    ending_every_session_moves_no_row_back_in_time,
    a_session_made_at_any_time_works_then_and_is_expired_today,
}
