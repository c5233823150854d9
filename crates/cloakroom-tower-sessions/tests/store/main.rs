//! The store as tower-sessions and axum-login use it.

mod login;
mod records;
mod requests;

use std::collections::HashMap;

use cloakroom::SessionTable;
use cloakroom_testing::TestDatabase;
use cloakroom_tower_sessions::{CloakroomStore, axum_login_user};
use serde_json::Value;

#[derive(Clone, Debug, Default, PartialEq, SessionTable)]
struct WebSession {
    #[session(index, owner)]
    user_id: Option<String>,
    /// What the store does not set.
    note: Option<String>,
}

async fn store(db: &TestDatabase) -> CloakroomStore<WebSession> {
    CloakroomStore::new(db.sessions().await, |session: &mut WebSession, data: &HashMap<String, Value>| {
        let user = data.get("user").and_then(Value::as_str).map(str::to_owned);
        session.user_id = user.or_else(|| axum_login_user(data));
    })
}
