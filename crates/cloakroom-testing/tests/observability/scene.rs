use std::time::Duration;

use cloakroom::{
    ConfigBuilder, Database, ErrorKind, FieldDefinition, ImportedSession, NewSession, Session, SessionTable,
    Sessions, Status, TableDefinition, Token,
};
use cloakroom_testing::{TestDatabase, UserSession, at_once, hold_connections, user};
use futures_util::future::join_all;
use futures_util::{FutureExt, TryStreamExt};
use time::OffsetDateTime;

/// The sessions of a table of this name, so that its metrics are its own.
pub(crate) async fn sessions_named(
    database: Database,
    name: &'static str,
    config: ConfigBuilder,
) -> Sessions<UserSession> {
    let definition = TableDefinition::new(name).field(FieldDefinition::new::<String>("user_id").indexed());
    let sessions = Sessions::with_definition(database, definition, config.build().unwrap()).unwrap();
    sessions.migrate().await.unwrap();
    sessions
}

/// Sessions of which it is recorded when they were last used.
#[derive(Clone, SessionTable)]
pub(crate) struct Visit {
    user_id: String,
    #[session(last_seen)]
    last_seen: Option<OffsetDateTime>,
}

/// The sessions of a table of this name, and three of them.
pub(crate) async fn visits(db: &TestDatabase, name: &'static str) -> (Sessions<Visit>, Vec<Session<Visit>>) {
    let table = Visit::definition().fields().to_vec();
    let table = table.into_iter().fold(TableDefinition::new(name), TableDefinition::field);
    let config = db.config().record_seen(Duration::from_mins(1)).build().unwrap();
    let sessions = Sessions::with_definition(db.database(), table, config).unwrap();
    sessions.migrate().await.unwrap();
    let mut all = Vec::new();
    for user_id in ["1", "2", "3"] {
        let new = NewSession::new(Visit { user_id: user_id.to_owned(), last_seen: None });
        all.push(sessions.create(new).await.unwrap().session);
    }
    (sessions, all)
}

/// Calls every operation, each with success and some with another outcome.
pub(crate) async fn every_operation(db: &TestDatabase, sessions: &Sessions<UserSession>) {
    let created = sessions.create(user("1234")).await.unwrap();
    let (mut session, token) = (created.session, created.token);
    assert!(sessions.authenticate(Token::generate(64).unwrap()).await.unwrap().is_none());
    for found in join_all((0..40).map(|_| sessions.authenticate_fresh(&token))).await {
        assert!(found.unwrap().is_some());
    }
    join_all((0..40).map(|n| sessions.create(user(&n.to_string())))).await;
    let twice = || user("twice").import_token(Token::import("the-same-token-for-two-sessions").unwrap());
    sessions.create(twice()).await.unwrap();
    assert_eq!(sessions.create(twice()).await.unwrap_err().kind(), ErrorKind::DuplicateToken);

    let mut as_it_was = session.clone();
    sessions.update(&mut session).await.unwrap();
    assert_eq!(sessions.update(&mut as_it_was).await.unwrap_err().kind(), ErrorKind::Conflict);
    sessions.update_with(&mut session, |_| ()).await.unwrap();
    sessions.reload(&mut session).await.unwrap();
    db.clock().advance(time::Duration::days(2));
    assert!(sessions.authenticate_fresh(&token).await.unwrap().is_some());
    db.clock().advance(time::Duration::days(2));
    sessions.reload(&mut session).await.unwrap();
    assert!(sessions.extend(&mut session).await.unwrap());
    let token = sessions.rotate(&mut session).await.unwrap();

    let query = || sessions.query().filter(UserSession::USER_ID.eq("1234"));
    query().fetch_one().await.unwrap();
    assert!(query().limit(0).fetch_optional().await.unwrap().is_none());
    query().fetch_all().await.unwrap();
    query().fetch_each().await.unwrap();
    query().count().await.unwrap();
    query().exists().await.unwrap();
    query().stream().try_collect::<Vec<_>>().await.unwrap();
    let new = NewSession::new(UserSession { user_id: "imported".into() });
    let imported = ImportedSession::with_token(new, Token::generate(64).unwrap());
    sessions.import(vec![imported]).await.unwrap();

    let mut transaction = sessions.begin().await.unwrap();
    assert!(sessions.within(&mut transaction).authenticate(&token).await.unwrap().is_some());
    transaction.commit().await.unwrap();

    // A caller that goes away.
    let held = hold_connections(sessions.database()).await;
    assert!(at_once(sessions.query().count()).is_none(), "answered without a connection");
    drop(held);

    assert!(sessions.expire(&mut session).await.unwrap());
    query().expire_all().await.unwrap();
    query().status(Status::Expired).limit(1).delete_all().await.unwrap();
    let last = sessions.query().limit(1).fetch_all().await.unwrap().pop().unwrap();
    assert!(sessions.delete(last).await.unwrap());
    db.clock().advance(time::Duration::days(30));
    assert!(sessions.delete_expired().await.unwrap() > 0);
}

/// Authenticates with one token many times at once: each call asks before the first is answered.
pub(crate) async fn authenticate_at_once(sessions: &Sessions<UserSession>, token: &Token, calls: usize) {
    let held = hold_connections(sessions.database()).await;
    let mut calls: Vec<_> = (0..calls).map(|_| Box::pin(sessions.authenticate(token))).collect();
    for call in &mut calls {
        assert!(call.as_mut().now_or_never().is_none(), "answered without a connection");
    }
    drop(held);
    for found in join_all(calls).await {
        assert!(found.unwrap().is_some());
    }
}
