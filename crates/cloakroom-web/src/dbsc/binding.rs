use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use cloakroom::{Session, SessionFields};
use http::HeaderMap;

use super::switched::Switched;
use crate::cookie::cookie_values;

/// What a request and its response have to do with the binding of a session.
pub(crate) struct Binding<T: SessionFields> {
    /// Whether the request has the cookie that is bound.
    has_marker: bool,
    /// A session that the browser is asked to bind.
    offer: Mutex<Option<Session<T>>>,
    /// Whether the request's token is good for nothing but a renewal.
    is_awaited: AtomicBool,
    /// Whether something in this request needs a session and has found none.
    is_refused: AtomicBool,
    /// Whether the session's cookie is cleared.
    is_cleared: AtomicBool,
}

impl<T: SessionFields> Binding<T> {
    pub(crate) fn new(switched: Option<&Switched>, headers: &HeaderMap) -> Self {
        let has_marker =
            switched.is_some_and(|dbsc| cookie_values(headers, dbsc.marker_name()).next().is_some());
        Self {
            has_marker,
            offer: Mutex::default(),
            is_awaited: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
            is_cleared: AtomicBool::new(false),
        }
    }

    pub(crate) fn offer(&self, session: Option<Session<T>>) {
        *self.offer.lock().unwrap_or_else(PoisonError::into_inner) = session;
    }

    pub(super) fn take_offer(&self) -> Option<Session<T>> {
        self.offer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn note_awaited(&self) {
        self.is_awaited.store(true, Ordering::Relaxed);
    }

    pub(crate) fn note_refused(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }

    pub(crate) fn note_cleared(&self) {
        self.is_cleared.store(true, Ordering::Relaxed);
    }

    /// Returns `true` if the browser is to forget the bound cookie, if it has one: then its next request is renewed first, or
    /// the session is over.
    pub(crate) fn is_marker_to_go(&self) -> bool {
        self.has_marker && (self.is_awaited() || self.is_cleared.load(Ordering::Relaxed))
    }

    /// Returns `true` if the request's token is good for nothing but a renewal.
    pub(super) fn is_awaited(&self) -> bool {
        self.is_awaited.load(Ordering::Relaxed)
    }

    /// Returns `true` if the request is better sent again, since the browser renews first if it has lost the bound cookie. It
    /// is not sent again a second time, because it comes without that cookie then. A request that may change something is
    /// sent again only if it has done nothing because it had no session.
    pub(super) fn is_to_be_repeated(&self, is_safe: bool) -> bool {
        self.has_marker && self.is_awaited() && (is_safe || self.is_refused.load(Ordering::Relaxed))
    }
}
