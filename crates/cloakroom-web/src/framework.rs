use std::net::SocketAddr;

use http::Uri;
use http::request::Parts;

/// What only a framework can tell of a request. Each framework's room has one of these.
pub(crate) struct Framework {
    /// The request's whole address: within a nested router, its own may be shorter.
    pub(crate) original_uri: for<'p> fn(&'p Parts) -> &'p Uri,
    /// Where the connection comes from, if that is known.
    pub(crate) peer: fn(&Parts) -> Option<SocketAddr>,
}
