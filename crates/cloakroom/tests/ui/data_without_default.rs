use cloakroom::{NewSession, SessionTable};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Device {
    name: String,
}

#[derive(Clone, SessionTable)]
#[session(data = Device)]
struct UserSession {
    user_id: String,
}

fn main() {
    // Which device it is must be said.
    let _ = NewSession::new(UserSession { user_id: "1".into() });
    // Said, it compiles.
    let device = Device { name: "a phone".into() };
    let _ = NewSession::with_data(UserSession { user_id: "1".into() }, device);
}
