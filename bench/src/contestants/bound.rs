//! The same small application with sessions that are bound to a device, and without. One logs in by asking for it.

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use cloakroom::device::DeviceKey;
use cloakroom::{HasDeviceKey, NewSession, SessionFields, SessionTable, Sessions, Token};
use cloakroom_axum::{CurrentSession, Dbsc, SessionLayer, SessionManager, SessionRejection};

use super::{Authenticate, Performs, found, pick};
use crate::dataset::{Payload, UserSession};
use crate::failure::Outcome;

/// The columns of [`UserSession`], and one for the device's key.
#[derive(Clone, SessionTable)]
#[session(table = "bound_sessions")]
pub struct BoundSession {
    #[session(index)]
    user_id: String,
    role: String,
    #[session(device_key)]
    device_key: Option<DeviceKey>,
}

/// A session of the application.
pub trait OfUser: SessionTable {
    /// Returns the session to create for a row.
    fn new(row: u64) -> NewSession<Self>;
    fn user(&self) -> &str;
}

impl OfUser for UserSession {
    fn new(row: u64) -> NewSession<Self> {
        let payload = Payload::of(row);
        NewSession::new(payload.fields()).data(payload.data)
    }

    fn user(&self) -> &str {
        &self.user_id
    }
}

impl OfUser for BoundSession {
    fn new(row: u64) -> NewSession<Self> {
        let payload = Payload::of(row);
        let UserSession { user_id, role } = payload.fields();
        NewSession::new(Self { user_id, role, device_key: None }).data(payload.data)
    }

    fn user(&self) -> &str {
        &self.user_id
    }
}

pub fn unbound<T: OfUser>(sessions: Sessions<T>) -> Router {
    routes::<T>().layer(SessionLayer::new(sessions))
}

pub fn bound<T: OfUser + HasDeviceKey>(sessions: Sessions<T>) -> Router {
    routes::<T>().layer(SessionLayer::new(sessions).dbsc(Dbsc::default()))
}

fn routes<T: OfUser>() -> Router {
    let page = |session: CurrentSession<T>| async move { session.fields.user().to_owned() };
    Router::new().route("/", get(page)).route("/login/{row}", post(log_in::<T>))
}

async fn log_in<T: OfUser>(manager: SessionManager<T>, Path(row): Path<u64>) -> Result<(), SessionRejection> {
    manager.log_in(T::new(row)).await.map(drop)
}

/// Lookups of tokens that are at hand.
#[derive(Clone)]
pub struct Known<T: SessionFields> {
    pub sessions: Sessions<T>,
    pub tokens: std::sync::Arc<[Token]>,
}

impl<T: SessionFields> Performs<Authenticate> for Known<T> {
    async fn perform(&self, random: u64) -> Outcome {
        found(self.sessions.authenticate(pick(&self.tokens, random)).await?)
    }
}
