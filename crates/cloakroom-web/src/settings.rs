use std::sync::Arc;

use cloakroom::{NewSession, Seen, SessionFields, Sessions};
use http::HeaderValue;
use http::request::Parts;

use crate::cookie::{CookieConfig, LONGEST_COOKIE};
use crate::credentials::TokenSource;

/// The settings of one [`SessionLayer`](crate::SessionLayer).
pub(crate) struct Settings<T: SessionFields> {
    pub(crate) sessions: Sessions<T>,
    pub(crate) sources: Vec<TokenSource>,
    pub(crate) cookie: CookieConfig,
    pub(crate) login: Option<LoginPlace>,
    /// The page on which users confirm who they are.
    pub(crate) confirm_page: Option<Arc<str>>,
    pub(crate) on_log_in: Option<Arc<OnLogIn<T>>>,
    pub(crate) on_use: Option<Arc<OnUse<T>>>,
    pub(crate) for_visitors: Option<Arc<ForVisitors<T>>>,
    pub(crate) clear_site_data: Option<HeaderValue>,
    /// How sessions are bound to the browser's device, if they are.
    #[cfg(feature = "dbsc")]
    pub(crate) dbsc: Option<crate::dbsc::switched::Switched>,
}

/// Where browsers are sent to log in.
#[derive(Clone)]
pub(crate) enum LoginPlace {
    /// To wherever the application says for a request.
    Elsewhere(Arc<Redirect>),
    /// To a page of the application's own, which sends them back.
    Page(Arc<str>),
}

pub(crate) type Redirect = dyn Fn(&Parts) -> String + Send + Sync;
pub(crate) type OnUse<T> = dyn Fn(&Parts, Seen<T>) -> Seen<T> + Send + Sync;
pub(crate) type ForVisitors<T> = dyn Fn(&Parts) -> NewSession<T> + Send + Sync;
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
}

impl<T: SessionFields> Clone for Settings<T> {
    fn clone(&self) -> Self {
        Self {
            sessions: self.sessions.clone(),
            sources: self.sources.clone(),
            cookie: self.cookie.clone(),
            login: self.login.clone(),
            confirm_page: self.confirm_page.clone(),
            on_log_in: self.on_log_in.clone(),
            on_use: self.on_use.clone(),
            for_visitors: self.for_visitors.clone(),
            clear_site_data: self.clear_site_data.clone(),
            #[cfg(feature = "dbsc")]
            dbsc: self.dbsc.clone(),
        }
    }
}
