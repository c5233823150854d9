//! The API for programs: JSON, and problem details by RFC 9457.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::{HeaderValue, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use cloakroom::{Scope, Scopes};
use cloakroom_axum::{CurrentSession, SessionRejection, TokenSource};
use serde_json::json;

use crate::app::App;
use crate::tables::{ApiKey, Permission, UserSession};

/// The header for an API key, besides `Authorization: Bearer`.
pub(crate) const KEY_HEADER: TokenSource = TokenSource::header("x-api-key");

/// The header for a session's token.
pub(crate) const SESSION_HEADER: TokenSource = TokenSource::header("x-auth-token");

const UNAVAILABLE: &str = "This is not available for the moment.";

pub(crate) async fn me(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.may(Permission::Read)?;
    let (user_id, via, scopes) = match &caller {
        Caller::Key { user_id, scopes } => (user_id, "key", Some(scopes)),
        Caller::Session { user_id } => (user_id, "session", None),
    };
    let user = app.users.by_id(user_id).await?.ok_or_else(Problem::not_found)?;
    let user = json!({ "id": user.id, "name": user.name });
    Ok(Json(json!({ "user": user, "via": via, "scopes": scopes })).into_response())
}

/// Ends the sessions of all browsers of the caller's user. Keys go on.
pub(crate) async fn log_out_everywhere(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.may(Permission::Write)?;
    let (Caller::Key { user_id, .. } | Caller::Session { user_id }) = caller;
    let ended = app.sessions.query().owner(user_id).expire_all().await?;
    Ok(Json(json!({ "ended": ended })).into_response())
}

/// The caller, from either of the two tables.
#[derive(Debug)]
pub(crate) enum Caller {
    Key {
        user_id: String,
        scopes: Scopes<Permission>,
    },
    /// A session has every right of its user.
    Session {
        user_id: String,
    },
}

impl Caller {
    fn may(&self, permission: Permission) -> Result<(), Problem> {
        match self {
            Self::Key { scopes, .. } if !scopes.contains(permission) => Err(Problem::forbidden(permission)),
            _ => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Problem> {
        // Two tokens within one layer are ambiguous to that layer. Across two layers the application decides.
        let has = |name: &str| parts.headers.contains_key(name);
        if has("x-auth-token") && (has("x-api-key") || has("authorization")) {
            return Err(SessionRejection::Ambiguous.into());
        }
        if has("x-auth-token") {
            let CurrentSession(session) =
                <CurrentSession<UserSession> as FromRequestParts<S>>::from_request_parts(parts, state)
                    .await?;
            return Ok(Self::Session { user_id: session.into_row().fields.user_id });
        }
        let CurrentSession(key) =
            <CurrentSession<ApiKey> as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let key = key.into_row().fields;
        Ok(Self::Key { user_id: key.user_id, scopes: key.scopes })
    }
}

/// Returns an error as `application/problem+json`.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: &'static str,
    challenge: Option<HeaderValue>,
}

impl Problem {
    pub(crate) fn unavailable() -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, detail: UNAVAILABLE, challenge: None }
    }

    /// The key is good, and may not do this: RFC 6750, section 3.1.
    fn forbidden(permission: Permission) -> Self {
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", permission.name());
        Self {
            status: StatusCode::FORBIDDEN,
            detail: "This key may not do that: it lacks the scope that the header names.",
            // The names of scopes are printable ASCII without quotation marks.
            challenge: HeaderValue::from_str(&challenge).ok(),
        }
    }

    fn not_found() -> Self {
        Self { status: StatusCode::NOT_FOUND, detail: "This credential's user is gone.", challenge: None }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = json!({
            "type": "about:blank",
            "title": title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<SessionRejection> for Problem {
    fn from(rejection: SessionRejection) -> Self {
        let detail = match rejection {
            SessionRejection::LoggedOut(_) => "This needs an API key, or a session's token, that is valid.",
            SessionRejection::Malformed => "The credential is malformed.",
            SessionRejection::Ambiguous => "There are two different credentials: send one.",
            _ => UNAVAILABLE,
        };
        // Reports its own causes, and says which credentials a client may present.
        let response = rejection.into_response();
        let challenge = response.headers().get(header::WWW_AUTHENTICATE).cloned();
        Self { status: response.status(), detail, challenge }
    }
}

impl From<cloakroom::Error> for Problem {
    fn from(error: cloakroom::Error) -> Self {
        SessionRejection::from(error).into()
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "the database could not be asked");
        Self::unavailable()
    }
}
