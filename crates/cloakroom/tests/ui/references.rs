use cloakroom::SessionTable;

#[derive(Clone, SessionTable)]
struct UserSession {
    #[session(belongs_to = "")]
    empty: i64,
    #[session(belongs_to = "users", on_delete = "cascade")]
    without_column: i64,
    #[session(belongs_to = "users.")]
    with_empty_column: i64,
    #[session(belongs_to = "app.users.id")]
    with_schema: i64,
    #[session(on_delete = "cascade")]
    alone: i64,
    #[session(belongs_to = "users.id", on_delete = "set null")]
    other_action: i64,
    #[session(sql_type = " ")]
    blank_type: i64,
}

fn main() {}
