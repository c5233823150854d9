//! Tokens that are replaced: exchanged for a successor, or rotated with a grace.

mod exchanged;
mod grace;
mod kept;
mod retired;
mod reused;

use std::time::Duration;

use cloakroom::{CreatedSession, Exchange, NewSession, SessionTable, Sessions, Token};
use cloakroom_testing::{Kind, TestDatabase};

pub(crate) const MICROSECOND: Duration = Duration::from_micros(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const DAY: Duration = Duration::from_hours(24);

/// A mobile app that is logged in. Its tokens are refresh tokens.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "app_sessions", exchange)]
pub(crate) struct App {
    #[session(index)]
    pub(crate) user_id: String,
    #[session(hint)]
    pub(crate) shown: Option<String>,
}

pub(crate) fn app(user_id: &str) -> NewSession<App> {
    NewSession::new(App { user_id: user_id.into(), shown: None })
}

/// A key of a program.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "keys", rotation_grace)]
pub(crate) struct Key {
    #[session(index)]
    pub(crate) user_id: String,
    #[session(hint)]
    pub(crate) shown: String,
}

pub(crate) fn key(user_id: &str) -> NewSession<Key> {
    NewSession::new(Key { user_id: user_id.into(), shown: String::new() })
}

/// The successor of a token that must have one.
pub(crate) async fn exchanged(sessions: &Sessions<App>, token: &Token) -> CreatedSession<App> {
    match sessions.exchange(token).await.unwrap() {
        Some(Exchange::Successor(created)) => created,
        other => panic!("{other:?}"),
    }
}

/// Asserts that this token ends its session, and that nothing of it works from then on.
pub(crate) async fn assert_reused(sessions: &Sessions<App>, old: &Token, present: &Token) {
    match sessions.exchange(old).await.unwrap() {
        Some(Exchange::Reused(session)) => assert!(!session.is_valid(sessions.config().now())),
        other => panic!("{other:?}"),
    }
    for token in [old, present] {
        assert!(sessions.authenticate(token).await.unwrap().is_none());
        assert!(sessions.exchange(token).await.unwrap().is_none());
    }
}

/// The first column of a query as a number.
pub(crate) async fn count(db: &TestDatabase, condition: &str) -> usize {
    let text = if db.kind() == Kind::MariaDb { "CHAR" } else { "TEXT" };
    let counted = db.texts(&format!("SELECT CAST(count(*) AS {text}) FROM {condition}")).await;
    counted[0].as_ref().unwrap().parse().unwrap()
}

/// How many successors are sealed.
pub(crate) async fn seals(db: &TestDatabase) -> usize {
    count(db, "app_sessions_retired_tokens WHERE sealed IS NOT NULL").await
}
