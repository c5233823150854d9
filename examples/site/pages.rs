//! The site's pages.

use axum::response::Html;
use cloakroom::Session;

use crate::UserSession;

pub(crate) const LOG_IN: Html<&str> = Html(include_str!("login.html"));
pub(crate) const CONFIRM: Html<&str> = Html(include_str!("confirm.html"));
pub(crate) const PASSWORD: Html<&str> = Html(include_str!("password.html"));

/// Returns the text as it may stand in a page.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Returns the page with the devices on which a user is logged in; `here` is the one that asks.
pub(crate) fn devices(here: &Session<UserSession>, all: &[Session<UserSession>]) -> Html<String> {
    let item = |session: &Session<UserSession>| {
        let (device, since) = (escaped(&session.fields.device), session.inserted_at);
        let mark = if session.id == here.id { " (here)" } else { "" };
        let button = "<button>Sign out</button>";
        format!(
            "<li>{device}{mark} since {since}<form method=post action=/end/{}>{button}</form>\n",
            session.id
        )
    };
    Html(format!(
        "<!doctype html><html lang=en><meta name=viewport content=\"width=device-width\"><title>Devices</title>\n\
         <h1>Hello, {}</h1>\n<ul>\n{}</ul>\n<a href=/password>Change the password</a>\n\
         <form method=post action=/logout><button>Log out</button></form>\n",
        escaped(&here.fields.user),
        all.iter().map(item).collect::<String>(),
    ))
}
