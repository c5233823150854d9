//! The layer, its extractors and its cookies, over real HTTP on every database.

mod ahead;
mod capture;
mod composition;
mod cookies;
mod credentials;
mod curl;
#[cfg(feature = "dbsc")]
mod dbsc;
mod example;
mod forged;
mod fresh;
mod guards;
mod harness;
mod lifetime;
mod load;
mod localhost;
mod manager;
mod moved;
mod once;
#[cfg(feature = "utoipa")]
mod openapi;
mod outage;
mod passing;
#[cfg(feature = "client-ip")]
mod proxy;
mod refused;
mod rejections;
mod secrets;
mod seen;
mod several;
mod site_data;
mod trouble;
mod undecodable;
mod visitors;
