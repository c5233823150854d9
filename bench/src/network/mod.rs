//! Both ends of a connection over loopback: a client, and a proxy that can be cut.

pub mod http_client;
pub mod proxy;
