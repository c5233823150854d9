//! The same small application for each layer: a page that shows the logged in user.

use ::axum_session::{SessionConfig, SessionLayer, SessionStore as AxumStore};
use ::tower_sessions::{SessionManagerLayer, SessionStore};
use axum::Router;
use axum::routing::get;
use axum_session_sqlx::SessionPgPool;
use cloakroom::Sessions;
use cloakroom_axum::CurrentSession;
use http::StatusCode;
use time::Duration;

use super::axum_session::TABLE;
use super::{axum_session, tower_sessions};
use crate::dataset::{UserSession, token};
use crate::failure::Outcome;

type Answer = Result<String, StatusCode>;

/// An application, and the cookie that the user of a row sends it.
pub struct Application {
    pub router: Router,
    pub cookie: fn(u64) -> String,
}

pub fn cloakroom(sessions: Sessions<UserSession>) -> Application {
    let page = |session: CurrentSession<UserSession>| async move { session.fields.user_id.clone() };
    let layer = cloakroom_axum::SessionLayer::new(sessions);
    Application {
        router: Router::new().route("/", get(page)).layer(layer),
        cookie: |row| format!("__Host-Http-session={}", token(row)),
    }
}

pub fn tower_sessions(store: impl SessionStore + Clone) -> Application {
    async fn page(session: ::tower_sessions::Session) -> Answer {
        let user = session.get("user_id").await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        user.ok_or(StatusCode::UNAUTHORIZED)
    }
    Application {
        router: Router::new().route("/", get(page)).layer(SessionManagerLayer::new(store)),
        cookie: |row| format!("id={}", tower_sessions::id(row)),
    }
}

/// `memory` is how long a session is answered from memory, without asking the database.
pub async fn axum_session(pool: SessionPgPool, memory: Duration) -> Outcome<Application> {
    async fn page(session: ::axum_session::Session<SessionPgPool>) -> Answer {
        session.get("user_id").ok_or(StatusCode::UNAUTHORIZED)
    }
    let config = SessionConfig::default()
        .with_table_name(TABLE)
        .with_prefix_with_host(false)
        .with_session_name("session")
        .with_lifetime(Duration::days(7))
        .with_memory_lifetime(memory);
    let store = AxumStore::new(Some(pool), config).await?;
    Ok(Application {
        router: Router::new().route("/", get(page)).layer(SessionLayer::new(store)),
        cookie: |row| format!("session={}", axum_session::id(row)),
    })
}

/// The cost of the page without a session.
pub fn without_session() -> Application {
    Application {
        router: Router::new().route("/", get(|| async { "user-0" })),
        cookie: |row| format!("__Host-Http-session={}", token(row)),
    }
}
