use axum::body::Body;
use axum::response::{IntoResponse, Response};

use crate::rejection::SessionRejection;

/// Stands in the extensions of the responses that a [`SessionRejection`](crate::SessionRejection) makes.
#[derive(Clone, Copy, Debug)]
pub struct Rejected;

impl IntoResponse for SessionRejection {
    fn into_response(self) -> Response {
        let mut response = self.as_http().map(Body::from);
        response.extensions_mut().insert(Rejected);
        response
    }
}
