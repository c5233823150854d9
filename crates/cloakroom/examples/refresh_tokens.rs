// A mobile app's refresh tokens: an answer that is lost, and a thief. `cargo run -p cloakroom --example refresh_tokens`.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Config, Database, Exchange, ManualClock, NewSession, SessionTable, Sessions, Token};
use time::OffsetDateTime;

#[derive(Clone, SessionTable)]
#[session(table = "app_sessions", exchange)]
struct AppSession {
    #[session(index)]
    user_id: String,
}

/// What an endpoint `POST /token` answers: the next refresh token, or why there is none.
async fn refresh(sessions: &Sessions<AppSession>, presented: &Token) -> cloakroom::Result<Option<Token>> {
    Ok(match sessions.exchange(presented).await? {
        Some(Exchange::Successor(created)) => {
            println!("user {}: a new refresh token", created.session.fields.user_id);
            Some(created.token) // with an access token of a few minutes
        }
        Some(Exchange::Reused(session)) => {
            println!("user {}: signed out, the token was used by two", session.fields.user_id);
            None // 401; write an e-mail to the user
        }
        None => {
            println!("not signed in");
            None // 401
        }
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Arc::new(ManualClock::new(OffsetDateTime::now_utc()));
    let config = Config::builder().ttl(Duration::from_hours(24 * 90)).clock(clock.clone()).build()?;
    let sessions = Sessions::<AppSession>::new(Database::connect("sqlite::memory:").await?, config)?;
    sessions.migrate().await?;

    let new = NewSession::new(AppSession { user_id: "1234".into() });
    let first = sessions.create(new).await?.token;

    let second = refresh(&sessions, &first).await?.ok_or("signed in")?;
    // The answer was lost in a tunnel, and the app asks again: it gets the same token.
    assert_eq!(refresh(&sessions, &first).await?.as_ref(), Some(&second));

    clock.advance(Duration::from_hours(1));
    let third = refresh(&sessions, &second).await?.ok_or("signed in")?;
    // Somebody has an old copy of the first token. Nobody keeps the session.
    assert!(refresh(&sessions, &first).await?.is_none());
    assert!(refresh(&sessions, &third).await?.is_none());
    Ok(())
}
