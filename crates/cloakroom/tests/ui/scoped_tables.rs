use cloakroom::{Scope, Scopes, Session, SessionTable};

#[derive(Clone, Scope)]
enum Permission {
    Read,
}

#[derive(Clone, SessionTable)]
struct WithoutRole {
    scopes: Scopes<Permission>,
}

fn unscoped(session: Session<WithoutRole>) {
    let _ = session.has_scope(Permission::Read);
}

#[derive(Clone, SessionTable)]
struct OfAnotherType {
    #[session(scopes)]
    scopes: String,
}

#[derive(Clone, SessionTable)]
struct OfNoScope {
    #[session(scopes)]
    scopes: Scopes<i64>,
}

#[derive(Clone, SessionTable)]
struct Twice {
    #[session(scopes)]
    one: Scopes<Permission>,
    #[session(scopes)]
    other: Option<Scopes<Permission>>,
}

// Its trait is there all the same, so that this is no further error.
fn of_twice(session: Session<Twice>) {
    let _ = session.has_scope(Permission::Read);
}

#[derive(Clone, SessionTable)]
struct ApiKey {
    name: String,
    #[session(scopes)]
    scopes: Scopes<Permission>,
}

fn queries() {
    // Not a column of scopes.
    let _ = ApiKey::NAME.contains("read");
    let _ = ApiKey::SCOPES.contains("read");
}

fn main() {}
