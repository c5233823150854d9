//! Calls over HTTP/2, as another program makes them.

use cloakroom::{Config, Database, NewSession, Scopes, Sessions};
use cloakroom_example_grpc::{ApiKey, Permission, app};
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// What the service says if it is up.
const SERVING: i32 = 1;

async fn call(channel: &Channel, key: Option<&str>) -> Result<i32, Code> {
    let mut request = Request::new(HealthCheckRequest { service: String::new() });
    if let Some(key) = key {
        request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    }
    let answer = HealthClient::new(channel.clone()).check(request).await;
    answer.map(|answer| answer.into_inner().status).map_err(|status| status.code())
}

#[tokio::test]
async fn a_call_needs_a_key_with_the_scope() {
    let database = Database::connect("sqlite::memory:").await.unwrap();
    let keys = Sessions::<ApiKey>::new(database.clone(), Config::default()).unwrap();
    keys.migrate().await.unwrap();
    let (_reporter, health) = tonic_health::server::health_reporter();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app(keys.clone(), health)).into_future());
    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();

    let new = |scopes| NewSession::new(ApiKey { user_id: 7, scopes }).never_expires();
    let may = keys.create(new(Scopes::from_iter([Permission::Watch]))).await.unwrap();
    let may_not = keys.create(new(Scopes::new())).await.unwrap();
    assert_eq!(call(&channel, Some(may.token.expose())).await, Ok(SERVING));
    assert_eq!(call(&channel, None).await, Err(Code::Unauthenticated));
    assert_eq!(call(&channel, Some("unknown")).await, Err(Code::Unauthenticated));
    assert_eq!(call(&channel, Some(may_not.token.expose())).await, Err(Code::PermissionDenied));

    // Ended is ended for the next call on the same connection.
    keys.query().owner(7).expire_all().await.unwrap();
    assert_eq!(call(&channel, Some(may.token.expose())).await, Err(Code::Unauthenticated));

    // A database that is away is no refusal.
    let Database::Sqlite(pool) = database else { unreachable!("it is SQLite") };
    cloakroom::sqlx::query("DROP TABLE api_keys").execute(&pool).await.unwrap();
    assert_eq!(call(&channel, Some(may.token.expose())).await, Err(Code::Unavailable));
}
