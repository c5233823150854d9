use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};

use super::{Frame, LoggedIn, page};
use crate::error::PageError;
use crate::notice::Told;

#[derive(Template)]
#[template(path = "front.html")]
struct Front {
    frame: Frame,
}

pub(crate) async fn show(logged_in: Option<LoggedIn>, told: Told) -> Result<Response, PageError> {
    if logged_in.is_some() {
        return Ok(Redirect::to("/account").into_response());
    }
    Ok(page(&Front { frame: Frame { notice: told.0, ..Frame::default() } })?.into_response())
}
