use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};

use super::{LoggedIn, page};
use crate::error::PageError;

#[derive(Template)]
#[template(path = "front.html")]
struct Front {
    user: Option<String>,
}

pub(crate) async fn show(logged_in: Option<LoggedIn>) -> Result<Response, PageError> {
    if logged_in.is_some() {
        return Ok(Redirect::to("/account").into_response());
    }
    Ok(page(&Front { user: None })?.into_response())
}
