use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::{Error, HttpResponse, ResponseError};

use super::border::{Added, response_of, status_of};
use crate::rejection::SessionRejection;

impl ResponseError for SessionRejection {
    fn status_code(&self) -> StatusCode {
        status_of(self.status())
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        response_of(self.as_http())
    }
}

/// Returns the error with these headers in the response that is made of it.
pub(super) fn with_added(mut error: Error, added: Added) -> Error {
    if !added.is_empty() {
        error.add_response_mapper(move |mut response| {
            added.put_in(response.headers_mut());
            response
        });
    }
    error
}
