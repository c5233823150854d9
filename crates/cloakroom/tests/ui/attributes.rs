use cloakroom::SessionTable;

#[derive(Clone, SessionTable)]
#[session(tabel = "api_keys", prefix = "auth", wal)]
struct Unknown {
    #[session(indx, references = "users.id", nullable, colour = "red")]
    user_id: String,
}

#[derive(Clone, SessionTable)]
#[session(index, on_delete = "cascade")]
struct Misplaced {
    #[session(data = Map<K, V>, table = "api_keys", index)]
    user_id: String,
}

#[derive(Clone, SessionTable)]
#[session(table = "api_keys", schema = "auth", table = "keys")]
#[session(schema = "auth")]
struct Twice {
    #[session(index, index)]
    user_id: String,
}

#[derive(Clone, SessionTable)]
#[session(table = 3, schema = auth, data = "DeviceInfo", crate = 1 + 1)]
struct WrongValue {
    #[session(index = true, column, sql_type =, belongs_to("users.id"), on_delete = cascade)]
    user_id: String,
}

#[derive(Clone, SessionTable)]
#[session]
struct WrongSyntax {
    #[session = "index"]
    user_id: String,
    #[session(index column = "power")]
    role: String,
    #[session(index("role"))]
    rank: String,
    #[session("nick")]
    nickname: String,
}

fn main() {}
