//! The layer, its extractors and its cookies, over real HTTP on every database.

mod composition;
mod cookies;
mod credentials;
mod curl;
mod example;
mod harness;
mod load;
mod localhost;
mod manager;
mod once;
mod outage;
mod passing;
#[cfg(feature = "client-ip")]
mod proxy;
mod rejections;
mod secrets;
mod trouble;
