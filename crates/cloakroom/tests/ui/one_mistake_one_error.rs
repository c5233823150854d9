//! A mistake in the attributes does not set off errors wherever the struct is used.

use cloakroom::SessionTable;

#[derive(Clone, SessionTable)]
#[session(tabel = "api_keys")]
struct ApiKey {
    owner_id: i64,
}

fn takes_a_table<T: SessionTable>() {}

fn main() {
    takes_a_table::<ApiKey>();
    let _ = ApiKey::OWNER_ID;
}
