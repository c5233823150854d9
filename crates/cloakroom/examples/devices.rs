// Log in on two devices, see both, sign out everywhere: `cargo run -p cloakroom --example devices`.

use cloakroom::{Config, Database, NewSession, SessionTable, Sessions};

#[derive(Clone, SessionTable)]
struct UserSession {
    #[session(index)]
    user_id: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = Database::connect("sqlite::memory:").await?;
    let sessions = Sessions::<UserSession>::new(database, Config::default())?;
    sessions.migrate().await?;

    let mut tokens = Vec::new();
    for device in ["a phone", "a laptop"] {
        let new = NewSession::new(UserSession { user_id: "1234".into() });
        let created = sessions.create(new.data(serde_json::json!({ "device": device }))).await?;
        tokens.push(created.token); // to the client, in a cookie or once on a page
    }

    let here = sessions.authenticate(&tokens[0]).await?.ok_or("not logged in")?;
    println!("user {} is logged in on:", here.fields.user_id);
    let of_user = || sessions.query().filter(UserSession::USER_ID.eq(here.fields.user_id.clone()));
    for session in of_user().fetch_all().await? {
        let marker = if session.id == here.id { " (here)" } else { "" };
        println!("  {}{marker}, since {}", session.data["device"], session.inserted_at);
    }

    println!("signed out of {} sessions", of_user().expire_all().await?);
    assert!(sessions.authenticate(&tokens[1]).await?.is_none());
    Ok(())
}
