//! The demo over HTTP, on each database: the real router, on a port of its own.

mod account;
mod api;
mod bound;
mod harness;
mod login;
mod outage;
mod pages;
mod security;
