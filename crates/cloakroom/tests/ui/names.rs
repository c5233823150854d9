use cloakroom::SessionTable;

#[derive(Clone, SessionTable)]
struct BuiltIn {
    id: String,
    auth_token_digest: String,
    data: String,
    r#expires_at: i64,
    #[session(column = "inserted_at")]
    created: i64,
    #[session(column = "Updated_At")]
    changed: i64,
}

#[derive(Clone, SessionTable)]
#[session(schema = "", table = "sessions\n")]
struct Invalid {
    #[session(column = "user\0id")]
    user_id: String,
    #[session(column = "")]
    second_factor: bool,
    #[session(belongs_to = "users.\tid")]
    owner: i64,
}

#[derive(Clone, SessionTable)]
#[session(table = "auth.sessions")]
struct Qualified {}

#[derive(Clone, SessionTable)]
#[session(table = "a_table_with_a_name_that_goes_on_and_on_and_on_for_sixty_four_ch")]
struct TooLong {
    a_column_with_a_name_that_goes_on_and_on_and_on_for_sixty_four_ch: String,
}

#[derive(Clone, SessionTable)]
struct Alike {
    user: String,
    #[session(column = "User")]
    owner: String,
    #[session(column = "role")]
    power: String,
    role: String,
    #[session(column = "power_2")]
    Power: String,
}

fn main() {}
