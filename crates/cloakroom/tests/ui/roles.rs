use cloakroom::{Session, SessionTable};

#[derive(Clone, SessionTable)]
struct WithoutRole {
    user_id: String,
}

fn shown(session: Session<WithoutRole>) {
    // A method that needs a role.
    let _ = session.hint();
    let _ = session.last_seen();
}

#[derive(Clone, SessionTable)]
struct OfAnotherType {
    #[session(hint)]
    hint: i64,
    #[session(last_seen)]
    last_used_at: String,
}

#[derive(Clone, SessionTable)]
#[session(hint)]
struct Twice {
    #[session(hint)]
    one: String,
    #[session(hint)]
    other: Option<String>,
    #[session(hnit)]
    third: String,
    #[session(hint = "yes")]
    fourth: String,
}

// Its trait is there all the same, so that this is no further error.
fn of_twice(session: Session<Twice>) {
    let _ = session.hint();
}

fn main() {}
