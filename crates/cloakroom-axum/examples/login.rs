// Log in, a protected page, every device, log out: `cargo run -p cloakroom-axum --example login`.

use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use cloakroom::{Config, Database, NewSession, SessionTable, Sessions};
use cloakroom_axum::{CookieConfig, CurrentSession, SessionLayer, SessionManager, SessionRejection};

#[derive(Clone, SessionTable, serde::Deserialize)]
struct UserSession {
    #[session(index)]
    user_id: String,
}

type Manager = SessionManager<UserSession>;
type Current = CurrentSession<UserSession>;

async fn login_page() -> Html<&'static str> {
    Html("<form method=post><input name=user_id required><button>Log in</button></form>")
}

// A real one checks a password here.
async fn log_in(manager: Manager, Form(user): Form<UserSession>) -> Result<Redirect, SessionRejection> {
    manager.log_in(NewSession::new(user)).await?;
    Ok(Redirect::to("/"))
}

async fn devices(here: Current, manager: Manager) -> Result<Html<String>, SessionRejection> {
    let mine = UserSession::USER_ID.eq(here.fields.user_id.as_str());
    let sessions = manager.sessions().query().filter(mine).fetch_all().await?;
    let devices = sessions.iter().map(|session| {
        let mark = if session.id == here.id { " (here)" } else { "" };
        format!("<li>since {}{mark}</li>", session.inserted_at)
    });
    let button = "<form method=post action=/logout><button>Log out</button></form>";
    Ok(Html(format!("<h1>You are logged in on</h1><ul>{}</ul>{button}", devices.collect::<String>())))
}

async fn log_out(manager: Manager) -> Result<Redirect, SessionRejection> {
    manager.log_out().await?;
    Ok(Redirect::to("/login"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = Database::connect("sqlite::memory:").await?;
    let sessions = Sessions::<UserSession>::new(database, Config::default())?;
    sessions.migrate().await?;
    let cookie = CookieConfig::builder().insecure_on_localhost(true).build()?;
    let app = Router::new()
        .route("/", get(devices))
        .route("/login", get(login_page).post(log_in))
        .route("/logout", post(log_out))
        .layer(SessionLayer::new(sessions).cookie(cookie).redirect_to("/login"));
    let port = std::env::args().nth(1).map_or(Ok(3000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
