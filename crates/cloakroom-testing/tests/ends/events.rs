//! What observers hear of.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom::{
    EndReason, ErrorKind, Event, EventKind, Exchange, ImportedSession, NewSession, PerOwner, Refusal,
    SessionFields, SessionTable, Sessions, Status, TableDefinition, Token, event_channel,
};
use cloakroom_testing::{Kind, TestDatabase, each_database, each_mode};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Fields for everything that there are events of.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "accounts", exchange, rotation_grace)]
pub(crate) struct Account {
    #[session(index, owner)]
    pub(crate) user_id: i64,
    #[session(authenticated_at)]
    pub(crate) authenticated_at: Option<OffsetDateTime>,
    #[session(ended_because)]
    pub(crate) ended_because: Option<String>,
}

pub(crate) fn account<T: From<i64> + SessionFields<Data: Default>>(user_id: i64) -> NewSession<T> {
    NewSession::new(T::from(user_id))
}

impl From<i64> for Account {
    fn from(user_id: i64) -> Self {
        Self { user_id, authenticated_at: None, ended_because: None }
    }
}

/// What an observer has heard.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Event>>>);

impl Heard {
    pub(crate) fn observe<T: SessionTable>(sessions: &Sessions<T>) -> (Self, Sessions<T>) {
        let heard = Self::default();
        let to = heard.clone();
        let observed =
            sessions.clone().with_observer(move |event: &Event| to.0.lock().unwrap().push(event.clone()));
        (heard, observed.unwrap())
    }

    /// Returns what was heard since the last time.
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Returns the one event that was heard since the last time.
    fn one(&self) -> Event {
        let events = self.take();
        let [event] = &events[..] else { panic!("{events:?}") };
        event.clone()
    }

    /// Returns the names of what was heard since the last time, and the sessions.
    fn names(&self) -> Vec<(&'static str, Option<Uuid>)> {
        self.take().iter().map(|event| (event.name(), event.session())).collect()
    }
}

async fn each_change_is_told_once(db: TestDatabase) {
    let (heard, sessions) = Heard::observe(&db.sessions::<Account>().await);
    let created = sessions.create(account(7)).await.unwrap();
    let (id, mut session) = (created.session.id, created.session);
    let event = heard.one();
    assert_eq!((event.name(), event.session(), event.owner.as_deref()), ("created", Some(id), Some("7")));
    assert_eq!((event.at, event.table), (db.now(), TableDefinition::new("accounts").to_string()));
    assert!(matches!(event.kind, EventKind::Created { expires_at, .. } if expires_at == session.expires_at));

    session.fields.authenticated_at = None;
    *session.data = serde_json::json!({"theme": "dark"});
    sessions.update(&mut session).await.unwrap();
    assert_eq!(heard.names(), [("updated", Some(id))]);

    db.clock().advance(Duration::from_hours(48));
    assert!(sessions.extend(&mut session).await.unwrap());
    let event = heard.one();
    assert!(
        matches!(event.kind, EventKind::Extended { session: it, expires_at, .. }
            if it == id && Some(expires_at) == session.expires_at),
        "{event:?}"
    );
    // Nothing is due.
    assert!(!sessions.extend(&mut session).await.unwrap());
    assert_eq!(heard.names(), []);

    let token = sessions.rotate(&mut session).await.unwrap();
    assert_eq!(heard.names(), [("rotated", Some(id))]);
    let token = {
        assert!(sessions.authenticate(&token).await.unwrap().is_some());
        sessions.rotate_with_grace(&mut session, SECOND).await.unwrap()
    };
    assert_eq!(heard.names(), [("rotated", Some(id))]);
    sessions.reauthenticate(&mut session).await.unwrap();
    assert_eq!(heard.names(), [("reauthenticated", Some(id))]);
    // The token of before is no longer the session's.
    assert!(sessions.authenticate(&token).await.unwrap().is_none());

    let because = EndReason::from_static("password_changed");
    assert!(sessions.expire_because(&mut session, because.clone()).await.unwrap());
    let event = heard.one();
    assert_eq!(
        (event.session(), event.reason(), event.owner.as_deref()),
        (Some(id), Some(because), Some("7"))
    );
    // It has ended already.
    assert!(!sessions.expire(&mut session).await.unwrap());
    assert_eq!(heard.names(), []);
    assert!(sessions.delete(session.clone()).await.unwrap());
    assert_eq!(heard.names(), [("deleted", Some(id))]);
    assert!(!sessions.delete(session).await.unwrap());
    assert_eq!(heard.names(), []);
}

async fn an_extension_of_a_session_that_is_read_is_told(db: TestDatabase) {
    let (heard, sessions) = Heard::observe(&db.sessions::<Account>().await);
    let created = sessions.create(account(7)).await.unwrap();
    heard.take();
    db.clock().advance(Duration::from_hours(48));
    let session = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_ne!(session.expires_at, created.session.expires_at);
    let event = heard.one();
    assert!(
        matches!(event.kind, EventKind::Extended { expires_at, .. } if Some(expires_at) == session.expires_at)
    );
    assert_eq!(event.owner.as_deref(), Some("7"));
    sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(heard.names(), []);
}

async fn an_exchange_is_told_once_and_a_reuse_too(db: TestDatabase) {
    let (heard, sessions) = Heard::observe(&db.sessions::<Account>().await);
    let created = sessions.create(account(7)).await.unwrap();
    heard.take();
    let id = created.session.id;
    let exchanged = async |token: &Token| match sessions.exchange(token).await.unwrap().unwrap() {
        Exchange::Successor(successor) => successor.token,
        Exchange::Reused(session) => panic!("{session:?}"),
    };
    let second = exchanged(&created.token).await;
    // The answer was lost.
    assert_eq!(exchanged(&created.token).await, second);
    assert_eq!(heard.names(), [("exchanged", Some(id))]);
    exchanged(&second).await;
    assert_eq!(heard.names(), [("exchanged", Some(id))]);
    let reused = sessions.exchange(&created.token).await.unwrap();
    assert!(matches!(reused, Some(Exchange::Reused(_))), "{reused:?}");
    let event = heard.one();
    assert_eq!((event.name(), event.session(), event.owner.as_deref()), ("reused", Some(id), Some("7")));
    assert_eq!(event.reason(), Some(EndReason::REUSE));
    assert!(sessions.exchange(&second).await.unwrap().is_none());
    assert_eq!(heard.names(), []);
}

async fn nothing_is_told_of_a_write_that_lost(db: TestDatabase) {
    let (heard, sessions) = Heard::observe(&db.sessions::<Account>().await);
    let mut session = sessions.create(account(7)).await.unwrap().session;
    let mut stale = session.clone();
    *session.data = serde_json::json!(1);
    sessions.update(&mut session).await.unwrap();
    heard.take();
    *stale.data = serde_json::json!(2);
    assert_eq!(sessions.update(&mut stale).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(sessions.rotate(&mut stale).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(heard.names(), []);
    // An end does not lose.
    assert!(sessions.expire(&mut stale).await.unwrap());
    assert_eq!(heard.names(), [("ended", Some(session.id))]);
}

async fn a_transaction_is_told_of_when_it_is_committed(db: TestDatabase) {
    let (heard, sessions) = Heard::observe(&db.sessions::<Account>().await);
    let mut ended = sessions.create(account(7)).await.unwrap().session;
    heard.take();
    let mut transaction = sessions.begin().await.unwrap();
    let mut within = sessions.within(&mut transaction);
    let created = within.create(account(8)).await.unwrap();
    assert!(within.expire(&mut ended).await.unwrap());
    drop(within);
    assert_eq!(heard.names(), []);
    transaction.commit().await.unwrap();
    assert_eq!(heard.names(), [("created", Some(created.session.id)), ("ended", Some(ended.id))]);

    let mut transaction = sessions.begin().await.unwrap();
    sessions.within(&mut transaction).create(account(9)).await.unwrap();
    transaction.rollback().await.unwrap();
    let mut transaction = sessions.begin().await.unwrap();
    sessions.within(&mut transaction).create(account(9)).await.unwrap();
    drop(transaction);
    assert_eq!(heard.names(), []);
}

async fn a_transaction_of_the_drivers_is_told_of_by_its_caller(db: TestDatabase) {
    let (heard, sessions) = Heard::observe(&db.sessions::<Account>().await);
    let transaction = sessions.begin().await.unwrap();
    macro_rules! in_transaction_of_sqlx {
        ($transaction:expr) => {{
            let mut transaction = $transaction;
            let mut within = sessions.within(&mut transaction);
            let created = within.create(account(7)).await.unwrap();
            let pending = within.into_events();
            assert_eq!((pending.len(), pending.is_empty()), (1, false));
            transaction.commit().await.unwrap();
            assert_eq!(heard.names(), []);
            pending.deliver();
            assert_eq!(heard.names(), [("created", Some(created.session.id))]);
        }};
    }
    match db.kind() {
        Kind::Sqlite => in_transaction_of_sqlx!(transaction.into_sqlite()),
        Kind::Postgres => in_transaction_of_sqlx!(transaction.into_postgres()),
        Kind::MariaDb => in_transaction_of_sqlx!(transaction.into_mysql()),
    }
    // Of the library's own transaction they are delivered by its commit, and no second time.
    let mut transaction = sessions.begin().await.unwrap();
    let mut within = sessions.within(&mut transaction);
    within.create(account(7)).await.unwrap();
    let pending = within.into_events();
    transaction.commit().await.unwrap();
    assert_eq!(heard.take().len(), 1);
    pending.deliver();
    assert_eq!(heard.names(), []);
}

async fn many_at_once_are_one_event_or_one_each(db: TestDatabase) {
    let (heard, sessions) = Heard::observe(&db.sessions::<Account>().await);
    let create = async |number: i64| {
        for _ in 0..number {
            sessions.create(account(7)).await.unwrap();
        }
        heard.take();
    };
    create(3).await;
    assert_eq!(sessions.query().expire_all().await.unwrap(), 3);
    let event = heard.one();
    assert!(matches!(&event.kind, EventKind::EndedMany { sessions: 3, .. }), "{event:?}");
    assert_eq!((event.reason(), event.owner), (Some(EndReason::LOGGED_OUT), None));
    // All have ended.
    assert_eq!(sessions.query().expire_all().await.unwrap(), 0);
    assert_eq!(heard.names(), []);
    assert_eq!(sessions.query().status(Status::All).delete_all().await.unwrap(), 3);
    assert!(matches!(heard.one().kind, EventKind::DeletedMany { sessions: 3, .. }));
    create(2).await;
    let ended = sessions.query().expire_all_returning().await.unwrap();
    let mut ids: Vec<_> = ended.into_iter().map(|session| ("ended", Some(session.unwrap().id))).collect();
    let mut told = heard.take();
    assert!(told.iter().all(|event| event.owner.as_deref() == Some("7")), "{told:?}");
    let mut told: Vec<_> = told.drain(..).map(|event| (event.name(), event.session())).collect();
    ids.sort_unstable();
    told.sort_unstable();
    assert_eq!((ids.len(), told), (2, ids));
    db.clock().advance(Duration::from_hours(1));
    assert_eq!(sessions.delete_expired().await.unwrap(), 2);
    assert!(matches!(heard.one().kind, EventKind::Pruned { sessions: 2, .. }));
    assert_eq!(sessions.delete_expired().await.unwrap(), 0);
    assert_eq!(heard.names(), []);
}

async fn an_import_is_one_event_for_each_transaction(db: TestDatabase) {
    let (heard, sessions) = Heard::observe(&db.sessions::<Account>().await);
    let imported = || {
        let token = Token::import(Uuid::now_v7().simple().to_string()).unwrap();
        ImportedSession::with_token(account::<Account>(7), token)
    };
    sessions.import((0..5).map(|_| imported()).collect()).await.unwrap();
    assert!(matches!(heard.one().kind, EventKind::Imported { sessions: 5, .. }));
    sessions.import(Vec::new()).await.unwrap();
    assert_eq!(heard.names(), []);
}

async fn a_limit_tells_whom_it_evicts_and_what_it_refuses(db: TestDatabase) {
    let limited = db.sessions::<Account>().await.with_limit(PerOwner::at_most(1)).unwrap();
    let (heard, sessions) = Heard::observe(&limited);
    let first = sessions.create(account(7)).await.unwrap().session;
    heard.take();
    let second = sessions.create(account(7)).await.unwrap().session;
    let events = heard.take();
    assert!(events.iter().all(|event| event.owner.as_deref() == Some("7")), "{events:?}");
    let names: Vec<_> = events.iter().map(|event| (event.name(), event.session())).collect();
    assert_eq!(names, [("evicted", Some(first.id)), ("created", Some(second.id))]);
    // A rolled back log-in evicts no session.
    let mut transaction = sessions.begin().await.unwrap();
    sessions.within(&mut transaction).create(account(7)).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(heard.names(), []);

    let refusing = db.sessions::<Account>().await.with_limit(PerOwner::at_most(1).refuse()).unwrap();
    let (heard, sessions) = Heard::observe(&refusing);
    assert_eq!(sessions.create(account(7)).await.unwrap_err().kind(), ErrorKind::LimitReached);
    let event = heard.one();
    assert!(matches!(event.kind, EventKind::Refused { because: Refusal::LimitReached, .. }), "{event:?}");
    assert_eq!((event.owner.as_deref(), event.session()), (Some("7"), None));
}

/// An owner of the application's own types.
#[derive(Clone, Debug, PartialEq, sqlx::Type)]
#[sqlx(transparent)]
struct Number(i64);

#[derive(Clone, Debug, PartialEq, sqlx::Type)]
#[sqlx(transparent)]
struct Name(String);

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "of_numbers")]
struct OfNumber {
    #[session(owner)]
    owner: Number,
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "of_names")]
struct OfName {
    #[session(owner)]
    owner: Name,
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "of_uuids")]
struct OfUuid {
    #[session(owner)]
    owner: Option<Uuid>,
}

async fn an_owner_is_told_as_text_whatever_type_it_has(db: TestDatabase) {
    async fn owner_of<T: SessionTable<Data = serde_json::Value>>(
        db: &TestDatabase,
        fields: T,
    ) -> Option<String> {
        let (heard, sessions) = Heard::observe(&db.sessions::<T>().await);
        sessions.create(NewSession::new(fields)).await.unwrap();
        heard.one().owner
    }
    let uuid = Uuid::from_u128(7);
    assert_eq!(owner_of(&db, OfNumber { owner: Number(-7) }).await.as_deref(), Some("-7"));
    assert_eq!(owner_of(&db, OfName { owner: Name("Zoë \"7\"".into()) }).await.as_deref(), Some("Zoë \"7\""));
    assert_eq!(owner_of(&db, OfUuid { owner: Some(uuid) }).await, Some(uuid.to_string()));
    assert_eq!(owner_of(&db, OfUuid { owner: None }).await, None);
}

async fn a_channel_and_a_limit_go_with_a_handle_together(db: TestDatabase) {
    let (sender, mut receiver) = event_channel(16);
    let (heard, sessions) = Heard::observe(&db.sessions::<Account>().await);
    let sessions = sessions.with_observer(sender).unwrap().with_limit(PerOwner::at_most(1)).unwrap();
    sessions.create(account(7)).await.unwrap();
    sessions.create(account(7)).await.unwrap();
    let heard = heard.take();
    assert_eq!(heard.iter().map(Event::name).collect::<Vec<_>>(), ["created", "evicted", "created"]);
    for event in heard {
        assert_eq!(receiver.recv().await, Some(event));
    }
    assert_eq!((receiver.try_recv(), receiver.lost()), (None, 0));
}

each_mode! {
    each_change_is_told_once,
    an_extension_of_a_session_that_is_read_is_told,
    an_exchange_is_told_once_and_a_reuse_too,
    nothing_is_told_of_a_write_that_lost,
}

mod details {
    use super::*;

    each_database! {
        a_transaction_is_told_of_when_it_is_committed,
        a_transaction_of_the_drivers_is_told_of_by_its_caller,
        many_at_once_are_one_event_or_one_each,
        an_import_is_one_event_for_each_transaction,
        a_limit_tells_whom_it_evicts_and_what_it_refuses,
        an_owner_is_told_as_text_whatever_type_it_has,
        a_channel_and_a_limit_go_with_a_handle_together,
    }
}
