//! The border between two versions of the crate `http`: actix-web 4 has 0.2 in its interface, and all other rooms have 1.
//! All conversions stand here.

use std::rc::Rc;

use actix_web::body::BoxBody;
use actix_web::dev::{PeerAddr, ServiceRequest};
use actix_web::http::header::{
    HeaderMap as ActixHeaders, HeaderName as ActixName, HeaderValue as ActixValue,
};
use actix_web::http::{StatusCode as ActixStatus, Version as ActixVersion};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version, header};

use crate::framework::Framework;

pub(super) static ACTIX: Framework = Framework {
    // A scope does not shorten it.
    original_uri: |parts| &parts.uri,
    peer: |parts| parts.extensions.get::<PeerAddr>().map(|peer| peer.0),
};

/// The request's head, as the innermost layer has put it in for the extractors.
#[derive(Clone)]
struct Carried(Rc<Parts>);

/// Returns the request's head as it is now, with what the layers outside of this one have put in.
pub(super) fn parts_for_layer(request: &ServiceRequest) -> Parts {
    let mut parts = parts_of(request.request());
    if let Some(Carried(outer)) = request.extensions().get() {
        parts.extensions = outer.extensions.clone();
    }
    if let Some(peer) = request.peer_addr() {
        parts.extensions.insert(PeerAddr(peer));
    }
    parts
}

/// Puts the head in, for the extractors within the layer.
pub(super) fn carry(request: &ServiceRequest, parts: Parts) {
    request.extensions_mut().insert(Carried(Rc::new(parts)));
}

/// Returns the head that the innermost layer has put in. Without a layer it has the session of no table.
pub(super) fn carried(request: &HttpRequest) -> Rc<Parts> {
    let carried = request.extensions().get().map(|Carried(parts)| Rc::clone(parts));
    carried.unwrap_or_else(|| Rc::new(parts_of(request)))
}

/// Returns the head of a request of actix-web's, as the crate `http` 1 has it.
pub fn parts_of(request: &HttpRequest) -> Parts {
    let mut parts = Request::new(()).into_parts().0;
    // Both versions read the same grammar, so no part is left as it is by default.
    parts.method = Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or_default();
    parts.uri = Uri::try_from(request.uri().to_string()).unwrap_or_default();
    parts.version = match request.version() {
        ActixVersion::HTTP_09 => Version::HTTP_09,
        ActixVersion::HTTP_10 => Version::HTTP_10,
        ActixVersion::HTTP_2 => Version::HTTP_2,
        ActixVersion::HTTP_3 => Version::HTTP_3,
        _ => Version::HTTP_11,
    };
    parts.headers = headers_of(request.headers().iter());
    parts
}

fn headers_of<'h>(headers: impl Iterator<Item = (&'h ActixName, &'h ActixValue)>) -> HeaderMap {
    let headers = headers.filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_ref()).ok()?;
        let mut header = HeaderValue::from_bytes(value.as_bytes()).ok()?;
        header.set_sensitive(value.is_sensitive());
        Some((name, header))
    });
    let mut all = HeaderMap::new();
    for (name, value) in headers {
        all.append(name, value);
    }
    all
}

/// What a response of actix-web's is to have in its headers besides, decided by the other rooms.
pub(super) struct Added(pub(super) HeaderMap);

impl Added {
    /// Begins with what the rooms look at before they decide.
    pub(super) fn to(headers: &ActixHeaders) -> Self {
        let looked_at = headers.iter().filter(|(name, _)| name.as_str() == header::CACHE_CONTROL.as_str());
        Self(headers_of(looked_at))
    }

    /// Begins with nothing, for a response that is not made yet.
    pub(super) fn to_any() -> Self {
        Self(HeaderMap::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn put_in(&self, headers: &mut ActixHeaders) {
        let values = self.0.get_all(header::CACHE_CONTROL);
        if values.iter().next().is_some() {
            headers.remove(actix_web::http::header::CACHE_CONTROL);
        }
        for (name, value) in &self.0 {
            append(headers, name, value);
        }
    }
}

fn append(headers: &mut ActixHeaders, name: &HeaderName, value: &HeaderValue) {
    let name = ActixName::from_bytes(name.as_ref());
    if let (Ok(name), Ok(mut header)) = (name, ActixValue::from_bytes(value.as_bytes())) {
        header.set_sensitive(value.is_sensitive());
        headers.append(name, header);
    }
}

pub(super) fn status_of(status: http::StatusCode) -> ActixStatus {
    ActixStatus::from_u16(status.as_u16()).unwrap_or(ActixStatus::INTERNAL_SERVER_ERROR)
}

pub(super) fn response_of<B: Into<String>>(response: Response<B>) -> HttpResponse<BoxBody> {
    let (parts, body) = response.into_parts();
    let mut response = HttpResponse::with_body(status_of(parts.status), BoxBody::new(body.into()));
    for (name, value) in &parts.headers {
        append(response.headers_mut(), name, value);
    }
    response
}
