//! A web site on [`cloakroom`] and [`cloakroom_axum`]: sign up, see every device that you are logged in on, end
//! any of them, mint API keys, look at statistics and at what happened. It is meant to be read.
//!
//! Begin with `tables.rs`, which declares the two session tables, and `app.rs`, which has every route. Each
//! page is a module of `pages`.

pub mod app;
pub mod chart;
mod client;
mod error;
pub mod fill;
mod notice;
mod pages;
mod rate_limit;
pub mod retention;
mod security;
mod tables;
mod upgrade;
mod users;
