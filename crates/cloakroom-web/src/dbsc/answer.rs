//! The answers to the two requests that browsers send by themselves.

use std::error::Error as StdError;
use std::sync::Arc;

use cloakroom::device::{BoundSessionId, end_of_binding};
use cloakroom::{BoundSession, Error, HasDeviceKey, Registration, Renewal};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::switched::{CHALLENGE, ID, RESPONSE, Switched, next_challenge};
use crate::cookie::keep_out_of_caches;
use crate::framework::Framework;
use crate::settings::Settings;
use crate::state::State;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Registration,
    Renewal,
}

impl Asked {
    /// Returns which of them it is, if any.
    pub(crate) fn of(dbsc: &Switched, parts: &Parts) -> Option<Self> {
        match parts.uri.path() {
            path if path == dbsc.register_at() => Some(Self::Registration),
            path if path == dbsc.renew_at() => Some(Self::Renewal),
            _ => None,
        }
    }

    /// Answers it in the application's place.
    pub(crate) async fn answered<T: HasDeviceKey>(
        self,
        settings: Arc<Settings<T>>,
        framework: &'static Framework,
        dbsc: &Switched,
        mut parts: Parts,
    ) -> Response<String> {
        if parts.method != Method::POST {
            let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let state = State::put_in(settings, framework, &mut parts);
        answer(self, &state, dbsc, &parts.headers).await
    }
}

/// Returns a response with this text, which is never kept.
pub(super) fn response(status: StatusCode, body: String) -> Response<String> {
    let is_json = body.starts_with('{');
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if is_json {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
    }
    keep_out_of_caches(response.headers_mut());
    response
}

fn empty(status: StatusCode) -> Response<String> {
    response(status, String::new())
}

/// Answers it. Whatever the database does, the answer is one of those that browsers know: they end the bound session for
/// most others.
async fn answer<T: HasDeviceKey>(
    asked: Asked,
    state: &State<T>,
    dbsc: &Switched,
    headers: &HeaderMap,
) -> Response<String> {
    let answered = match asked {
        Asked::Registration => register(state, dbsc, headers).await,
        Asked::Renewal => renew(state, dbsc, headers).await,
    };
    answered.unwrap_or_else(|error| {
        tracing::error!(
            table = %state.exchange.sessions().definition(),
            error = &error as &dyn StdError,
            asked = ?asked,
            "a browser that wanted to bind or renew its session is asked to come again",
        );
        empty(StatusCode::SERVICE_UNAVAILABLE)
    })
}

/// Returns the proof, if there is one. Several are as good as one that cannot be read.
fn proof(headers: &HeaderMap) -> Option<&[u8]> {
    let mut proofs = headers.get_all(RESPONSE).iter();
    let proof = proofs.next()?;
    Some(if proofs.next().is_none() { proof.as_bytes() } else { b"" })
}

async fn register<T: HasDeviceKey>(
    state: &State<T>,
    dbsc: &Switched,
    headers: &HeaderMap,
) -> Result<Response<String>, Error> {
    let exchange = &state.exchange;
    // Nothing tells which of several sessions is meant.
    let [token] = &*exchange.credentials().from_cookies else {
        return Ok(empty(StatusCode::FORBIDDEN));
    };
    let registration =
        exchange.sessions().register_device(token.expose(), proof(headers), dbsc.terms()).await?;
    let bound = match registration {
        Registration::Bound(bound) => bound,
        Registration::Refused(because) => {
            tracing::debug!(
                table = %exchange.sessions().definition(),
                because = because.as_str(),
                "a browser could not bind its session",
            );
            return Ok(empty(StatusCode::FORBIDDEN));
        }
    };
    let Ok(instructions) = dbsc.instructions(bound.session.id) else {
        return Ok(empty(StatusCode::INTERNAL_SERVER_ERROR));
    };
    let mut response = response(StatusCode::OK, instructions);
    put_next(&mut response, state, dbsc, &bound);
    Ok(response)
}

async fn renew<T: HasDeviceKey>(
    state: &State<T>,
    dbsc: &Switched,
    headers: &HeaderMap,
) -> Result<Response<String>, Error> {
    let exchange = &state.exchange;
    let id = headers.get(ID).and_then(|id| id.to_str().ok()?.parse::<BoundSessionId>().ok());
    let mut challenged = None;
    // There is one, unless another host can set cookies here. Then the proof tells which is the browser's.
    for token in &exchange.credentials().from_cookies {
        match exchange.sessions().renew_bound(token.expose(), proof(headers), dbsc.terms()).await? {
            Renewal::Renewed { bound, token } => {
                let mut response = empty(StatusCode::OK);
                let cookie = exchange.cookie_of(&bound.session, token.expose());
                response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
                put_next(&mut response, state, dbsc, &bound);
                return Ok(response);
            }
            Renewal::Challenged { session, challenge, because } => {
                // A browser may have a binding of another session for the same cookie, which is over.
                if id.as_ref().is_none_or(|id| *id == BoundSessionId::from(session)) {
                    tracing::debug!(
                        table = %exchange.sessions().definition(),
                        because = because.as_str(),
                        "a browser is to sign a challenge",
                    );
                    challenged = next_challenge(&challenge, session);
                }
            }
            Renewal::Refused(because) => {
                tracing::debug!(
                    table = %exchange.sessions().definition(),
                    because = because.as_str(),
                    "a renewal was refused",
                );
            }
        }
    }
    if let Some(challenge) = challenged {
        let mut response = empty(StatusCode::FORBIDDEN);
        response.headers_mut().insert(CHALLENGE, challenge);
        return Ok(response);
    }
    Ok(match id {
        Some(id) => response(StatusCode::OK, end_of_binding(&id)),
        None => empty(StatusCode::FORBIDDEN),
    })
}

/// Puts the bound cookie and the next challenge into the answer.
fn put_next<T: HasDeviceKey>(
    response: &mut Response<String>,
    state: &State<T>,
    dbsc: &Switched,
    bound: &BoundSession<T>,
) {
    let left = bound.token_until - state.exchange.sessions().config().now();
    let headers = response.headers_mut();
    headers.extend(dbsc.set_marker(left).map(|marker| (header::SET_COOKIE, marker)));
    headers.extend(next_challenge(&bound.challenge, bound.session.id).map(|next| (CHALLENGE, next)));
}
