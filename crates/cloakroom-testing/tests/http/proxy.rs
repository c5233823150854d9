//! Client addresses behind a proxy.

use cloakroom_axum::client_ip;
use cloakroom_testing::{TestDatabase, UserSession};
use cloakroom_web::SessionLayer;
use serde_json::json;

use crate::harness::{Framework, Site, routes};

async fn a_trusted_proxy_says_where_somebody_logged_in_from(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<UserSession>().await;
    let layer = SessionLayer::new(sessions.clone()).on_log_in(|request, new| {
        let address = client_ip::rightmost_x_forwarded_for(&request.headers).ok();
        new.data(json!({ "address": address }))
    });
    let site = Site::start(on, routes().layer(layer)).await;
    // What the client itself wrote stands to the left of what the proxy added.
    for (headers, address) in [
        (&[("x-forwarded-for", "203.0.113.9, 192.0.2.1")][..], json!("192.0.2.1")),
        (&[("x-forwarded-for", "2001:db8::1")], json!("2001:db8::1")),
        (&[("x-forwarded-for", "not an address")], json!(null)),
        (&[], json!(null)),
    ] {
        let token = site.post("/login/1234", headers).await.body;
        let session = sessions.authenticate(&token).await.unwrap().unwrap();
        assert_eq!(session.data["address"], address);
    }
}

each_framework! {
    a_trusted_proxy_says_where_somebody_logged_in_from,
}
