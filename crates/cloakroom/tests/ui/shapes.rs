use cloakroom::SessionTable;

#[derive(Clone, SessionTable)]
struct Tuple(String, i32);

#[derive(Clone, SessionTable)]
struct Unit;

#[derive(Clone, SessionTable)]
enum Role {
    Admin,
}

#[derive(Clone, Copy, SessionTable)]
union Bits {
    int: i32,
}

#[derive(Clone, SessionTable)]
struct Generic<'a, T: Clone> {
    user_id: T,
    role: std::borrow::Cow<'a, str>,
}

fn main() {}
