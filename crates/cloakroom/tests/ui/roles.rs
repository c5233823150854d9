use cloakroom::{EndReason, Session, SessionTable, Sessions};

#[derive(Clone, SessionTable)]
struct WithoutRole {
    user_id: String,
}

fn shown(session: Session<WithoutRole>) {
    // A method that needs a role.
    let _ = session.hint();
    let _ = session.last_seen();
    let _ = session.ended_because();
}

async fn ended(sessions: Sessions<WithoutRole>, mut session: Session<WithoutRole>) {
    let _ = sessions.expire_because(&mut session, EndReason::REUSE).await;
    let _ = sessions.query().owner("1234").because(EndReason::REUSE).expire_all().await;
}

#[derive(Clone, SessionTable)]
struct OfAnotherType {
    #[session(hint)]
    hint: i64,
    #[session(last_seen)]
    last_used_at: String,
}

#[derive(Clone, SessionTable)]
struct NeverNull {
    #[session(owner, index)]
    user_id: i64,
    #[session(ended_because)]
    ended_because: String,
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

#[derive(Clone, SessionTable)]
struct TwoOwners {
    #[session(owner)]
    one: i64,
    #[session(owner)]
    other: i64,
    #[session(end_reason)]
    reason: Option<String>,
}

// Its trait is there all the same, so that this is no further error.
fn of_twice(session: Session<Twice>) {
    let _ = session.hint();
}

fn main() {}
