//! Both ends of a connection over loopback: clients, servers, and a proxy that can be cut.

pub mod browser;
pub mod connections;
pub mod http_client;
pub mod one_core;
pub mod proxy;
