//! The demo over HTTP, on each database: the real router, on a port of its own.

mod account;
mod api;
mod audit;
mod bound;
mod confirm;
mod harness;
mod keys;
mod login;
mod outage;
mod pages;
mod security;
mod upgrade;
