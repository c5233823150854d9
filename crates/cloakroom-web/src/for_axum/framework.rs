use std::net::SocketAddr;

use axum::extract::{ConnectInfo, OriginalUri};

use crate::framework::Framework;

pub(super) static AXUM: Framework = Framework {
    original_uri: |parts| parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri),
    peer: |parts| parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer),
};
