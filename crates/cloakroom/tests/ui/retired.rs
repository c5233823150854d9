use std::time::Duration;

use cloakroom::{Session, SessionTable, Sessions};

#[derive(Clone, SessionTable)]
struct Plain {
    user_id: String,
}

async fn of_a_table_that_does_not_ask_for_it(sessions: Sessions<Plain>, mut session: Session<Plain>) {
    let _ = sessions.exchange("a token");
    let _ = sessions.rotate_with_grace(&mut session, Duration::ZERO);
    let _ = sessions.audit_log();
}

#[derive(Clone, SessionTable)]
#[session(exchange = "yes")]
struct WithValue {}

#[derive(Clone, SessionTable)]
#[session(refresh_tokens, grace, audit)]
struct OtherWords {}

#[derive(Clone, SessionTable)]
struct OnAField {
    #[session(exchange)]
    token: String,
}

// The traits are there all the same, so that this is no further error.
#[derive(Clone, SessionTable)]
#[session(exchange, rotation_grace, audit_log, table = "")]
struct WithAnotherMistake {}

async fn of_one_with_another_mistake(
    sessions: Sessions<WithAnotherMistake>,
    mut session: Session<WithAnotherMistake>,
) {
    let _ = sessions.exchange("a token");
    let _ = sessions.rotate_with_grace(&mut session, Duration::ZERO);
    let _ = sessions.audit_log();
}

fn main() {}
