//! A gRPC service behind API keys: tonic's routes are an axum router, so its layers and guards work as they are.

use axum::Router;
use cloakroom::{Scope, Scopes, SessionTable, Sessions};
use cloakroom_axum::{GrpcStatusLayer, SessionLayer, TokenSource, require_scope};
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};

/// What a key may do.
#[derive(Clone, Copy, Debug, Scope)]
pub enum Permission {
    /// Ask whether a service is up.
    Watch,
}

/// A key of a program's.
#[derive(Clone, Debug, SessionTable)]
#[session(table = "api_keys")]
pub struct ApiKey {
    /// Whose key it is.
    #[session(index, owner)]
    pub user_id: i64,
    /// What the key may do.
    #[session(scopes)]
    pub scopes: Scopes<Permission>,
}

/// Returns the service; a call needs a key with the scope `watch`, in the metadata `authorization: Bearer …`.
pub fn app(keys: Sessions<ApiKey>, health: HealthServer<impl Health>) -> Router {
    Routes::new(health)
        .into_axum_router()
        .route_layer(require_scope::<ApiKey>(Permission::Watch))
        .layer(SessionLayer::new(keys).sources([TokenSource::Bearer]))
        .layer(GrpcStatusLayer)
}
