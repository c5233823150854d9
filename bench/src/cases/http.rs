//! Authenticated requests through axum's layers, over loopback: one application for each contestant, asked over 64
//! connections that are kept open. Client and server share the threads, so every figure includes the client's work.

use std::net::Ipv4Addr;

use cloakroom::{Cache, Config, Sessions};
use time::Duration;
use tokio::net::TcpListener;
use tower_sessions::CachingSessionStore;
use tower_sessions_moka_store::MokaStore;

use crate::catalogue::name;
use crate::contestants::http::{self, Application};
use crate::context::{Context, ROWS};
use crate::failure::Outcome;
use crate::measure::Contestant;
use crate::network::http_client::Client;
use crate::results::Table;

const CONNECTIONS: usize = 64;

/// With a cache, a thousand users are active.
const ACTIVE: u64 = 1000;

const CAPACITY: u64 = 100_000;

pub fn run(context: &mut Context) -> Outcome<Vec<Table>> {
    Ok(vec![strict(context)?, cached(context)?])
}

fn strict(context: &mut Context) -> Outcome<Table> {
    let peers = context.postgres_peers()?;
    let sessions = Sessions::new(peers.cloakroom, Config::default())?;
    let contestants = context.runtime.block_on(async {
        let axum_session = http::axum_session(peers.axum_session, Duration::ZERO).await?;
        Outcome::Ok([
            serve(name::CLOAKROOM, http::cloakroom(sessions), ROWS).await?,
            serve(name::TOWER_SESSIONS, http::tower_sessions(peers.tower_sessions), ROWS).await?,
            serve(name::AXUM_SESSION, axum_session, ROWS).await?,
            serve(name::WITHOUT_SESSION, http::without_session(), ROWS).await?,
        ])
    })?;
    let title = format!("HTTP requests with a session, PostgreSQL, strict, {CONNECTIONS} connections");
    let mut table = context.compare(format!("http/{CONNECTIONS}"), title, &contestants, CONNECTIONS)?;
    table.notes.push(
        "axum_session keeps nothing in memory here (`memory_lifespan` zero), and then writes each session that it \
         has read."
            .to_owned(),
    );
    Ok(table)
}

fn cached(context: &mut Context) -> Outcome<Table> {
    let peers = context.postgres_peers()?;
    let tower_sessions = CachingSessionStore::new(MokaStore::new(Some(CAPACITY)), peers.tower_sessions);
    let caching = Config::builder().cache(Cache::new(CAPACITY as usize)).build()?;
    let sessions = Sessions::new(peers.cloakroom, caching)?;
    let contestants = context.runtime.block_on(async {
        let axum_session = http::axum_session(peers.axum_session, Duration::hours(1)).await?;
        Outcome::Ok([
            serve(name::CACHED, http::cloakroom(sessions), ACTIVE).await?,
            serve(name::TOWER_CACHED, http::tower_sessions(tower_sessions), ACTIVE).await?,
            serve(name::AXUM_SESSION, axum_session, ACTIVE).await?,
            serve(name::WITHOUT_SESSION, http::without_session(), ACTIVE).await?,
        ])
    })?;
    let title = format!("HTTP requests with a session, PostgreSQL, from memory, {CONNECTIONS} connections");
    let mut table =
        context.compare(format!("http-cached/{CONNECTIONS}"), title, &contestants, CONNECTIONS)?;
    table.notes.push(
        "A thousand users are active. Cloakroom's cache has its defaults: what is revoked elsewhere is refused within \
         milliseconds, and no answer is older than 5 seconds. tower-sessions has its `CachingSessionStore` with moka, and \
         axum_session its own memory, without a bound: a session that is in use is not read again, whatever happens \
         elsewhere."
            .to_owned(),
    );
    Ok(table)
}

async fn serve(name: &str, application: Application, users: u64) -> Outcome<Contestant> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    // It ends with the runtime.
    tokio::spawn(axum::serve(listener, application.router).into_future());
    Ok(Contestant::new(name, Client::new(address, users, application.cookie)))
}
