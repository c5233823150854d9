//! The session cookie: how it is read, and how it is set and cleared.

mod builder;
mod caches;
mod config;
mod header;
mod lifetime;
mod localhost;
mod signed;

pub use builder::{CookieConfigBuilder, CookieConfigError};
pub(crate) use caches::keep_out_of_caches;
pub(crate) use config::LONGEST_COOKIE;
pub use config::{CookieConfig, SameSite};
pub use header::cookie_values;
pub(crate) use header::is_cookie_value;
pub(crate) use lifetime::{is_to_be_sent_again, max_age};
pub use signed::{SignedCookie, SignedCookieError};
