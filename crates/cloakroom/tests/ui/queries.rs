use cloakroom::{NewSession, SessionTable, Sessions, Status, sqlx};

#[derive(Clone, sqlx::Type)]
#[sqlx(transparent)]
struct Rank(i32);

#[derive(Clone, SessionTable)]
struct UserSession {
    user_id: String,
    rank: Option<Rank>,
}

#[derive(Clone, SessionTable)]
#[session(table = "api_keys")]
struct ApiKey {
    user_id: String,
}

fn queries(sessions: Sessions<UserSession>) {
    // A field that does not exist.
    let _ = sessions.query().filter(UserSession::USR_ID.eq("1"));
    // Another table's field.
    let _ = sessions.query().filter(ApiKey::USER_ID.eq("1"));
    // Null, which nothing equals: ask `is_null`.
    let _ = sessions.query().filter(UserSession::RANK.eq(None));
    // A status that is misspelt.
    let _ = sessions.query().status(Status::Vaild);
    // A required field that is missing.
    let _ = NewSession::new(UserSession { rank: None });
}

fn main() {}
