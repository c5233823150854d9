use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::Next;

impl<S: Send + Sync> FromRequestParts<S> for Next {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::in_query(parts.uri.query()))
    }
}
