// Step-up: a payment asks for the password, unless it was given a moment ago. `cargo run -p cloakroom --example step_up`.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Config, Database, ManualClock, NewSession, Session, SessionTable, Sessions};
use time::OffsetDateTime;

const FRESH: Duration = Duration::from_mins(5);

#[derive(Clone, SessionTable)]
struct UserSession {
    #[session(index)]
    user_id: String,
    #[session(authenticated_at)]
    authenticated_at: Option<OffsetDateTime>,
}

/// What an endpoint `POST /payments` does.
fn pay(sessions: &Sessions<UserSession>, session: &Session<UserSession>) -> bool {
    let is_fresh = sessions.is_fresh(session, FRESH);
    println!("{}", if is_fresh { "paid" } else { "please enter your password" }); // 403, or a redirect to the form
    is_fresh
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Arc::new(ManualClock::new(OffsetDateTime::now_utc()));
    let config = Config::builder().clock(clock.clone()).build()?;
    let sessions = Sessions::<UserSession>::new(Database::connect("sqlite::memory:").await?, config)?;
    sessions.migrate().await?;
    let new = NewSession::new(UserSession { user_id: "1234".into(), authenticated_at: None });
    let mut session = sessions.create(new).await?.session;
    assert!(pay(&sessions, &session));

    // The session is in use all morning, and is no fresher for that.
    clock.advance(Duration::from_hours(3));
    assert!(!pay(&sessions, &session));

    // The password was right. The session has a new token from here on: send it to the client.
    let token = sessions.reauthenticate(&mut session).await?;
    assert!(pay(&sessions, &session));
    assert!(sessions.authenticate(&token).await?.is_some());
    Ok(())
}
