//! Starts the demo: `cargo run`.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Parser;
use cloakroom::{Config, Database};
use cloakroom_axum::Dbsc;
use cloakroom_demo::app::App;
use cloakroom_demo::fill;
use cloakroom_demo::retention::Retention;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// How long running requests may take to end when the demo does.
const PATIENCE: Duration = Duration::from_secs(10);

const PORTS: std::ops::RangeInclusive<u16> = 3000..=3099;

/// A web site that shows what cloakroom does: every device that you are logged in on, API keys, statistics.
///
/// What it logs goes to standard error; `RUST_LOG` says how much.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The database: `sqlite:FILE`, `postgres://…` or `mysql://…`. Made ready where it is not.
    #[arg(
        long,
        value_name = "URL",
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "sqlite:cloakroom-demo.db"
    )]
    database: String,

    /// Where to listen; port 0 takes any. Default: the first free port of 127.0.0.1 from 3000 on. Over plain http
    /// browsers keep the cookie on localhost only.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<SocketAddr>,

    /// Fills the database with a thousand users, whom to look at, and goes on.
    #[arg(long)]
    fill: bool,

    /// Binds sessions to the device, in browsers that can do it (Chromium): a stolen cookie is worth nothing ten minutes later.
    /// Needs https in front of the demo.
    #[arg(long)]
    dbsc: bool,

    /// How long a token of a bound session is good, in seconds, for tests: less than nine minutes uses up the signatures that
    /// a browser makes.
    #[arg(long, value_name = "SECONDS", requires = "dbsc", hide = true)]
    dbsc_token_ttl: Option<u64>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(is_terminal).init();

    let database = Database::connect(&arguments.database).await?;
    let mut app = App::new(database.clone(), Config::builder()).await?;
    if arguments.dbsc {
        let seconds = arguments.dbsc_token_ttl.map(Duration::from_secs);
        let dbsc = Dbsc::builder();
        app = app.bind_devices(match seconds {
            Some(span) => dbsc.token_ttl_for_tests(span).build()?,
            None => dbsc.build()?,
        });
    }
    if arguments.fill {
        fill::fill(&app).await?;
    }
    let retention = Retention::spawn(&app);

    let listener = match arguments.address {
        Some(address) => TcpListener::bind(address).await?,
        None => first_free().await?,
    };
    println!("Listening on http://{}", listener.local_addr()?);

    let (stopping, stop) = tokio::sync::oneshot::channel();
    let uses = app.clone();
    let service = app.router().into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move {
        asked_to_stop().await;
        tracing::info!("stopping");
        // If the server has failed, there is nothing to wait for.
        let _ = stopping.send(());
    });
    tokio::select! {
        ended = async { server.await } => ended?,
        () = async { let _ = stop.await; tokio::time::sleep(PATIENCE).await } => {
            tracing::warn!("some requests did not end in time");
        }
    }
    drop(retention);
    // The last uses of a minute at most are no reason not to stop.
    if let Err(error) = uses.close().await {
        tracing::warn!(%error, "what was used last could not be written");
    }
    database.close().await;
    Ok(())
}

async fn first_free() -> io::Result<TcpListener> {
    for port in PORTS {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

/// Waits for Ctrl-C, or for the signal of a service manager.
async fn asked_to_stop() {
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "Ctrl-C cannot be listened for");
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}
