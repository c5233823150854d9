use cloakroom::SessionTable;

#[derive(Clone, SessionTable)]
struct UserSession {
    user_id: &'static str,
    nickname: Option<&'static str>,
    picture: &'static [u8],
    role: std::option::Option<Option<String>>,
}

fn main() {}
