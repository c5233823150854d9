use std::sync::Arc;

use cloakroom::{NewSession, SessionFields, Sessions};
use http::HeaderValue;
use http::request::Parts;

use crate::cookie::{CookieConfig, LONGEST_COOKIE};
use crate::credentials::TokenSource;

/// The settings of one [`SessionLayer`](crate::SessionLayer).
pub(crate) struct Settings<T: SessionFields> {
    pub(crate) sessions: Sessions<T>,
    pub(crate) sources: Vec<TokenSource>,
    pub(crate) cookie: CookieConfig,
    pub(crate) redirect: Option<Arc<Redirect>>,
    pub(crate) on_log_in: Option<Arc<OnLogIn<T>>>,
    pub(crate) clear_site_data: Option<HeaderValue>,
    /// How sessions are bound to the browser's device, if they are.
    #[cfg(feature = "dbsc")]
    pub(crate) dbsc: Option<crate::dbsc::switched::Switched>,
}

pub(crate) type Redirect = dyn Fn(&Parts) -> String + Send + Sync;
pub(crate) type OnLogIn<T> = dyn Fn(&Parts, NewSession<T>) -> NewSession<T> + Send + Sync;

impl<T: SessionFields> Settings<T> {
    /// Panics if the cookie could not hold the tokens.
    pub(crate) fn assert_that_tokens_fit(&self) {
        let name = self.cookie.name();
        let length = name.len() + self.sessions.config().token_length();
        assert!(
            length <= LONGEST_COOKIE || !self.sources.contains(&TokenSource::Cookie),
            "the cookie `{name}` and a token of {} are {length} bytes together, and browsers keep no more than \
             {LONGEST_COOKIE}: shorten the configuration's token_length or the cookie's name",
            self.sessions.definition(),
        );
    }

    /// Returns where this request's browser is sent to log in.
    pub(crate) fn location(&self, parts: &Parts) -> Option<HeaderValue> {
        let location = self.redirect.as_ref()?(parts);
        let header = HeaderValue::try_from(location);
        if header.is_err() {
            tracing::error!("the page for logging in has a location that no header can hold");
        }
        header.ok()
    }
}

impl<T: SessionFields> Clone for Settings<T> {
    fn clone(&self) -> Self {
        Self {
            sessions: self.sessions.clone(),
            sources: self.sources.clone(),
            cookie: self.cookie.clone(),
            redirect: self.redirect.clone(),
            on_log_in: self.on_log_in.clone(),
            clear_site_data: self.clear_site_data.clone(),
            #[cfg(feature = "dbsc")]
            dbsc: self.dbsc.clone(),
        }
    }
}
