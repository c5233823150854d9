//! Authenticated requests through the layers of axum, over loopback: an application each, asked by 64 connections that
//! are kept. Client and server share the threads, so that the client's work is in every figure.

use std::net::Ipv4Addr;

use cloakroom::{Config, Sessions};
use time::Duration;
use tokio::net::TcpListener;

use crate::Outcome;
use crate::contestants::http::{self, Application};
use crate::contestants::name;
use crate::ground::{Ground, ROWS};
use crate::http_client::Client;
use crate::measure::Lane;
use crate::results::Table;

const CONNECTIONS: usize = 64;

pub fn run(ground: &mut Ground) -> Outcome<Vec<Table>> {
    let peers = ground.postgres_peers()?;
    let sessions = Sessions::new(peers.cloakroom, Config::default())?;
    let lanes = ground.runtime.block_on(async {
        let axum_session = http::axum_session(peers.axum_session, Duration::ZERO).await?;
        Outcome::Ok([
            serve(name::CLOAKROOM, http::cloakroom(sessions)).await?,
            serve(name::TOWER_SESSIONS, http::tower_sessions(peers.tower_sessions)).await?,
            serve(name::AXUM_SESSION, axum_session).await?,
            serve(name::WITHOUT_SESSION, http::without_session()).await?,
        ])
    })?;
    let title = format!("HTTP requests with a session, PostgreSQL, strict, {CONNECTIONS} connections");
    let mut table = ground.compare(format!("http/{CONNECTIONS}"), title, &lanes, CONNECTIONS)?;
    table.notes.push(
        "axum_session keeps nothing in memory here (`memory_lifespan` zero), and then writes each session that it \
         has read."
            .to_owned(),
    );
    Ok(vec![table])
}

async fn serve(name: &str, application: Application) -> Outcome<Lane> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    // It ends with the runtime.
    tokio::spawn(axum::serve(listener, application.router).into_future());
    Ok(Lane::new(name, Client::new(address, ROWS, application.cookie)))
}
