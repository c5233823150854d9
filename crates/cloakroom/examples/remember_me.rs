// Remember me: a day for most sessions, and a month for a browser that is to be remembered; each slides by its own span.
// `cargo run -p cloakroom --example remember_me`.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Config, Database, ManualClock, NewSession, SessionTable, Sessions, Token};
use time::OffsetDateTime;

const DAY: Duration = Duration::from_hours(24);

#[derive(Clone, SessionTable)]
struct UserSession {
    #[session(index)]
    user_id: String,
}

async fn log_in(sessions: &Sessions<UserSession>, remember: bool) -> cloakroom::Result<Token> {
    let new = NewSession::new(UserSession { user_id: "1234".into() });
    let new = if remember { new.sliding(30 * DAY) } else { new };
    Ok(sessions.create(new).await?.token)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Arc::new(ManualClock::new(OffsetDateTime::now_utc()));
    let config =
        Config::builder().ttl(DAY).extend_after(DAY / 24).max_lifetime(90 * DAY).clock(clock.clone());
    let sessions =
        Sessions::<UserSession>::new(Database::connect("sqlite::memory:").await?, config.build()?)?;
    sessions.migrate().await?;
    let (remembered, other) = (log_in(&sessions, true).await?, log_in(&sessions, false).await?);
    for days in [2, 28, 29, 29, 1, 2] {
        clock.advance(days * DAY);
        let is_in = async |token| sessions.authenticate(token).await.map(|found| found.is_some());
        let (remembered, other) = (is_in(&remembered).await?, is_in(&other).await?);
        println!("{days} days later: remembered {remembered}, other {other}");
    }
    Ok(())
}
