//! What the applications share: they are served on a port of this machine.

use std::io;

use axum::Router;

/// Serves on the port that is the first argument, 3000 by default, and prints the address. Port 0 is any that is free.
pub async fn serve(app: Router) -> io::Result<()> {
    let port = std::env::args().nth(1).map_or(Ok(3000), |port| port.parse());
    let port: u16 =
        port.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("the port: {error}")))?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await
}
