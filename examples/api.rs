//! An API with keys that have scopes: `cargo run -p cloakroom-examples --bin api`. It prints its address and a first key.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router, http::StatusCode, response::Result};
use cloakroom::{Config, Database, NewSession, Session, SessionFields, SessionTable, Sessions, TokenFormat};
use cloakroom::{Scope, Scopes, time::OffsetDateTime, uuid::Uuid};
use cloakroom_axum::{CurrentSession, SessionLayer, SessionRejection, TokenSource, require_scope};
use serde_json::{Value, json};

#[derive(Clone, Copy, Scope)]
enum Permission {
    Read,
    Write,
    Keys,
}

#[derive(Clone, SessionTable)]
#[session(table = "api_keys", rotation_grace)]
struct ApiKey {
    #[session(index, owner)]
    user_id: i64,
    name: String,
    #[session(hint)]
    hint: String,
    #[session(scopes)]
    scopes: Scopes<Permission>,
    #[session(last_seen)]
    last_used_at: Option<OffsetDateTime>,
}

type Keys = State<Sessions<ApiKey>>;
type Current = CurrentSession<ApiKey>;
const DAY: Duration = Duration::from_hours(24);

#[derive(serde::Deserialize)]
struct Wanted {
    name: String,
    scope: Scopes<Permission>, // "read write"; an unknown one is refused
}

/// What is shown of a key; the key itself once.
fn shown(keys: &Sessions<ApiKey>, session: &Session<ApiKey>, key: Option<&str>) -> Value {
    let ApiKey { name, hint, scopes, .. } = &session.fields;
    let last_used_at = keys.last_seen(session).map(|instant| instant.to_string());
    json!({ "id": session.id, "name": name, "hint": hint, "scope": scopes, "last_used_at": last_used_at, "key": key })
}

async fn list(State(keys): Keys, current: Current) -> Result<Json<Value>, SessionRejection> {
    let of_user = keys.query().owner(current.fields.user_id).fetch_all().await?;
    Ok(Json(of_user.iter().map(|session| shown(&keys, session, None)).collect()))
}

/// A key that was replaced is good for another day, and neither makes keys nor replaces them: it may have leaked.
fn present(key: &Current) -> Result<(), (StatusCode, &'static str)> {
    if key.is_by_old_token() { Err((StatusCode::FORBIDDEN, "this key was replaced")) } else { Ok(()) }
}

/// The new key can do no more than the one that makes it.
async fn create(State(keys): Keys, maker: Current, Json(wanted): Json<Wanted>) -> Result<Json<Value>> {
    present(&maker)?;
    let scopes = wanted.scope.within(&maker.fields.scopes);
    let scopes = scopes.map_err(|excess| (StatusCode::FORBIDDEN, excess.to_string()))?;
    let new = keys.create(key(maker.fields.user_id, wanted.name, scopes)).await;
    let created = new.map_err(SessionRejection::from)?;
    Ok(Json(shown(&keys, &created.session, Some(created.token.expose()))))
}

async fn rotate(State(keys): Keys, mut current: Current) -> Result<Json<Value>> {
    present(&current)?;
    let key = keys.rotate_with_grace(&mut current, DAY).await.map_err(SessionRejection::from)?;
    Ok(Json(shown(&keys, &current, Some(key.expose()))))
}

async fn revoke(State(keys): Keys, current: Current, Path(id): Path<Uuid>) -> Result<StatusCode> {
    let one = keys.query().owner(current.fields.user_id).filter(ApiKey::ID.eq(id));
    let ended = one.expire_all().await.map_err(SessionRejection::from)?;
    Ok(if ended == 0 { StatusCode::NOT_FOUND } else { StatusCode::NO_CONTENT })
}

fn key(user_id: i64, name: String, scopes: Scopes<Permission>) -> NewSession<ApiKey> {
    let fields = ApiKey { user_id, name, hint: String::new(), scopes, last_used_at: None };
    NewSession::new(fields).never_expires()
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let config = Config::builder().token_format(TokenFormat::prefixed("acme_live")?);
    let config = config.record_seen(Duration::from_mins(1)).build()?;
    let keys = Sessions::<ApiKey>::new(Database::connect("sqlite::memory:").await?, config)?;
    keys.migrate().await?;
    let everything = Scopes::from_iter([Permission::Read, Permission::Write, Permission::Keys]);
    let first = keys.create(key(1, "first".into(), everything)).await?;

    let reads = get(async || "none\n").route_layer(require_scope::<ApiKey>(Permission::Read));
    let writes = post(async || "ordered\n").route_layer(require_scope::<ApiKey>(Permission::Write));
    let makes_keys = Router::new().route("/keys", post(create)).route("/keys/{id}", delete(revoke));
    let app = makes_keys
        .route_layer(require_scope::<ApiKey>(Permission::Keys))
        .route("/orders", reads.merge(writes))
        .route("/keys", get(list))
        .route("/rotate", post(rotate))
        .layer(SessionLayer::new(keys.clone()).sources([TokenSource::Bearer]))
        .with_state(keys);
    println!("the first key: {}", first.token.expose());
    Ok(cloakroom_examples::serve(app).await?)
}
