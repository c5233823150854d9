use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::extract::OriginalUri;
use cloakroom::{HasDeviceKey, SessionFields};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use tower_layer::Layer;
use tower_service::Service;

use super::answer::{Asked, answer, response};
use super::settings::Dbsc;
use super::switched::{REGISTRATION, SKIPPED, Switched};
use crate::cookie::keep_out_of_caches;
use crate::layer::{SessionLayer, SessionService};
use crate::settings::Settings;
use crate::state::State;

/// A [`SessionLayer`] that also binds sessions to the browser's device: see [`Dbsc`](crate::Dbsc).
pub struct DbscLayer<T: SessionFields> {
    layer: SessionLayer<T>,
}

impl<T: SessionFields> DbscLayer<T> {
    pub(crate) fn new(layer: SessionLayer<T>) -> Self {
        Self { layer }
    }
}

impl<T: SessionFields> Clone for DbscLayer<T> {
    fn clone(&self) -> Self {
        Self { layer: self.layer.clone() }
    }
}

impl<T: SessionFields> fmt::Debug for DbscLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dbsc = &self.layer.settings().dbsc;
        f.debug_struct("DbscLayer").field("layer", &self.layer).field("dbsc", dbsc).finish()
    }
}

impl<S, T: SessionFields> Layer<S> for DbscLayer<T> {
    type Service = DbscService<S, T>;

    /// # Panics
    ///
    /// If no cookie can hold the tokens; see [`SessionLayer`].
    fn layer(&self, inner: S) -> Self::Service {
        let settings = Arc::clone(self.layer.settings());
        DbscService { inner: self.layer.layer(inner), settings, is_looked_at: Arc::default() }
    }
}

/// The service that [`DbscLayer`] makes of the service below it.
pub struct DbscService<S, T: SessionFields> {
    inner: SessionService<S, T>,
    settings: Arc<Settings<T>>,
    /// Whether a request has shown that the layer stands where it should.
    is_looked_at: Arc<AtomicBool>,
}

impl<S: Clone, T: SessionFields> Clone for DbscService<S, T> {
    fn clone(&self) -> Self {
        let Self { inner, settings, is_looked_at } = self;
        Self { inner: inner.clone(), settings: Arc::clone(settings), is_looked_at: Arc::clone(is_looked_at) }
    }
}

impl<S, T: SessionFields> fmt::Debug for DbscService<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DbscService").field("dbsc", &self.settings.dbsc).finish_non_exhaustive()
    }
}

impl<S, T: SessionFields> DbscService<S, T> {
    /// Reports what can be told from a request of where the layer stands, and of what stands before it.
    fn look_at<B>(&self, dbsc: &Switched, request: &Request<B>) {
        let original = request.extensions().get::<OriginalUri>();
        let is_nested = original.is_some_and(|OriginalUri(uri)| uri.path() != request.uri().path());
        if !self.is_looked_at.swap(true, Ordering::Relaxed) && is_nested {
            tracing::error!(
                table = %self.settings.sessions.definition(),
                register_at = dbsc.register_at(),
                renew_at = dbsc.renew_at(),
                "the layer that binds sessions is within a nested router, and browsers do not reach its paths there: \
                 add it to the outermost router",
            );
        }
        for skipped in request.headers().get_all(SKIPPED) {
            let skipped = skipped.to_str().unwrap_or_default();
            let reason = skipped.split(';').next().unwrap_or_default().trim();
            // One word of a few that browsers know.
            let is_known = ["server_error", "unreachable", "quota_exceeded"].contains(&reason);
            tracing::warn!(
                table = %self.settings.sessions.definition(),
                reason = if is_known { reason } else { "unknown" },
                renew_at = dbsc.renew_at(),
                "a browser could not renew its session: see what stands between it and this layer",
            );
        }
    }
}

type Boxed<F> = Pin<Box<dyn Future<Output = F> + Send>>;

impl<S, T, B, R> Service<Request<B>> for DbscService<S, T>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send,
    T: HasDeviceKey,
    R: From<String> + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Boxed<Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(dbsc) = self.settings.dbsc.clone() else {
            return Box::pin(self.inner.call(request));
        };
        self.look_at(&dbsc, &request);
        let asked = match request.uri().path() {
            path if path == dbsc.register_at() => Some(Asked::Registration),
            path if path == dbsc.renew_at() => Some(Asked::Renewal),
            _ => None,
        };
        if let Some(asked) = asked {
            let settings = Arc::clone(&self.settings);
            let (mut parts, _) = request.into_parts();
            return Box::pin(async move {
                if parts.method != Method::POST {
                    let mut response = response(StatusCode::METHOD_NOT_ALLOWED, String::new());
                    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
                    return Ok(response);
                }
                let state = State::new(settings, &mut parts);
                Ok(answer(asked, &state, &dbsc, &parts.headers).await)
            });
        }
        let is_safe = request.method().is_safe();
        let is_link = is_link_elsewhere(&request);
        let again = place_of(request.uri());
        let inner = self.inner.call(request);
        let state = Arc::clone(inner.state());
        Box::pin(async move {
            let mut response = inner.await?;
            let binding = state.exchange.binding();
            if is_link && binding.is_awaited() {
                return Ok(once_more(&dbsc, state.exchange.is_localhost()));
            }
            if let Some(again) = again.filter(|_| binding.is_to_be_repeated(is_safe)) {
                return Ok(repeat(again, &dbsc, state.exchange.is_localhost()));
            }
            if let Some(session) = binding.take_offer() {
                let challenge = state.exchange.sessions().device_challenge(&session).await;
                match challenge {
                    Ok(challenge) => {
                        let header = challenge.and_then(|challenge| dbsc.registration(&challenge));
                        response.headers_mut().extend(header.map(|header| (REGISTRATION, header)));
                        keep_out_of_caches(response.headers_mut());
                    }
                    Err(error) => tracing::warn!(
                        table = %state.exchange.sessions().definition(),
                        session = %session.id,
                        error = &error as &dyn StdError,
                        "a session is not offered to be bound",
                    ),
                }
            }
            Ok(response)
        })
    }
}

/// Returns `true` if the browser opens a page by a link of another site's, or of a sibling host's. It then does not renew
/// first, nor if it is sent on from there.
fn is_link_elsewhere<B>(request: &Request<B>) -> bool {
    let says = |name: &str, words: &[&str]| {
        request.headers().get(name).is_some_and(|value| words.iter().any(|word| value == word))
    };
    request.method() == Method::GET
        && says("sec-fetch-mode", &["navigate"])
        && says("sec-fetch-site", &["cross-site", "same-site"])
}

/// Returns the empty page that asks for its own place again. That is a request of the site's own, before which the browser
/// renews, and does not come here a second time.
fn once_more<R: From<String>>(dbsc: &Switched, is_localhost: bool) -> Response<R> {
    let mut response = response(StatusCode::OK, String::new());
    let headers = response.headers_mut();
    headers.insert(header::REFRESH, HeaderValue::from_static("0"));
    headers.extend(dbsc.clear_marker(is_localhost).map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

/// Returns where the request itself went, on this host. A path that begins with two slashes would be another host's name.
fn place_of(uri: &Uri) -> Option<HeaderValue> {
    let place = uri.path_and_query()?.as_str();
    let is_of_this_host = place.starts_with('/') && !place[1..].starts_with(['/', '\\']);
    is_of_this_host.then(|| HeaderValue::try_from(place).ok()).flatten()
}

/// Returns the answer that lets a browser renew and then send the same request again, with its body.
fn repeat<R: From<String>>(again: HeaderValue, dbsc: &Switched, is_localhost: bool) -> Response<R> {
    let mut response = response(StatusCode::TEMPORARY_REDIRECT, String::new());
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, again);
    headers.extend(dbsc.clear_marker(is_localhost).map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

impl<T: SessionFields> SessionLayer<T> {
    /// Binds the sessions of browsers that can do it to a key of their device (Device Bound Session Credentials): a cookie
    /// that was copied is worth nothing ten minutes later. See [`Dbsc`]. Call it last.
    ///
    /// ```
    /// # use axum::Router;
    /// # use cloakroom::device::DeviceKey;
    /// # use cloakroom::{SessionTable, Sessions};
    /// # use cloakroom_axum::{Dbsc, SessionLayer};
    /// #[derive(Clone, SessionTable)]
    /// struct UserSession {
    ///     user_id: String,
    ///     #[session(device_key)]
    ///     device_key: Option<DeviceKey>,
    /// }
    ///
    /// # fn example(app: Router, sessions: Sessions<UserSession>) -> Router {
    /// app.layer(SessionLayer::new(sessions).dbsc(Dbsc::default()))
    /// # }
    /// ```
    #[must_use]
    pub fn dbsc(self, dbsc: Dbsc) -> DbscLayer<T>
    where
        T: HasDeviceKey,
    {
        let switched = Switched::new(dbsc, &self.settings().cookie);
        DbscLayer::new(self.with(|settings| settings.dbsc = Some(switched)))
    }
}
