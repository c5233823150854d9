use cloakroom::SessionTable;

#[derive(Clone)]
struct Device;

#[derive(Clone, SessionTable)]
struct UserSession {
    user_id: String,
    device: Option<Device>,
}

fn main() {}
