#!/usr/bin/env bash
# crates.io sqlx 0.9.0 with its feature tls-rustls-ring-native-roots
#
# Expected: a PostgreSQL server that goes away while a client connects, as it does when it is restarted, is an error of input
#   and output, and a program that tells "the database is away" from "something is wrong" looks for `sqlx::Error::Io`.
#
# Seen: sqlx asks for TLS first, and reads one byte without looking whether one came. The end of the connection is then an
#   answer of 0x00, which no server sends, and the error is of the protocol. If TLS is not asked for, the same moment is an
#   error of input and output. So the setting of TLS decides which kind it is.
#
#   sslmode=prefer: Protocol: unexpected response from SSLRequest: 0x00
#   sslmode=disable: Io: UnexpectedEof
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

seen='sslmode=prefer: Protocol: unexpected response from SSLRequest: 0x00
sslmode=disable: Io: UnexpectedEof'

expect "$seen" "$(
    cargo_run \
        'sqlx = { version = "=0.9.0", default-features = false, features = ["runtime-tokio", "postgres", "tls-rustls-ring-native-roots"] }' \
        'tokio = { version = "1", features = ["rt-multi-thread", "macros", "net", "io-util"] }' <<'RUST'
use sqlx::Connection as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() {
    for mode in ["prefer", "disable"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // What a client sees of a server that is stopped after it has accepted the connection.
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let length = client.read_u32().await.unwrap();
            client.read_exact(&mut vec![0; length as usize - 4]).await.unwrap();
        });
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode={mode}");
        let said = match sqlx::PgConnection::connect(&url).await {
            Ok(_) => "connected".to_owned(),
            Err(sqlx::Error::Io(error)) => format!("Io: {:?}", error.kind()),
            Err(sqlx::Error::Protocol(message)) => {
                format!("Protocol: {}", message.split(" (").next().unwrap())
            }
            Err(other) => format!("{other:?}"),
        };
        println!("sslmode={mode}: {said}");
    }
}
RUST
)"
