// Log in, a protected page, every device, log out: `cargo run -p cloakroom-axum --example login`.

use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use cloakroom::{Config, Database, NewSession, SessionTable, Sessions};
use cloakroom_axum::{CookieConfig, CurrentSession, Next, SessionLayer, SessionManager, SessionRejection};
use tower_http::csrf::CsrfLayer;

#[derive(Clone, SessionTable, serde::Deserialize)]
struct UserSession {
    #[session(index)]
    user_id: String,
}

type Manager = SessionManager<UserSession>;
type Current = CurrentSession<UserSession>;

const FORM: &str = "<form method=post><input name=user_id required><button>Log in</button></form>";

// A real one checks a password here.
async fn log_in(next: Next, manager: Manager, user: Form<UserSession>) -> Result<Redirect, SessionRejection> {
    manager.log_in(NewSession::new(user.0)).await?;
    Ok(Redirect::to(next.or("/")))
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
        .route("/login", get(async || Html(FORM)).post(log_in))
        .route("/logout", post(log_out))
        .layer(SessionLayer::new(sessions).cookie(cookie).login_page("/login"))
        .layer(CsrfLayer::new()); // Refuses what another site's page sends.
    let port = std::env::args().nth(1).map_or(Ok(3000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
