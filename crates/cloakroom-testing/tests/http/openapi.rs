//! What an `OpenAPI` document says of the layer is how requests are accepted.

use cloakroom_testing::TestDatabase;
use cloakroom_web::{SessionLayer, TokenSource};
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

use crate::harness::{Framework, Site, get, logged_in, routes};

async fn each_scheme_of_the_document_is_a_way_to_present_the_token(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let layer = SessionLayer::new(sessions).sources([
        TokenSource::Cookie,
        TokenSource::Bearer,
        TokenSource::authorization("Token"),
        TokenSource::header("x-api-key"),
    ]);
    let mut document = OpenApi::default();
    document.security = Some(layer.add_security_schemes(&mut document));
    let app = routes()
        .route(
            "/openapi.json",
            get(move || {
                let document = document.to_json().unwrap();
                async move { document }
            }),
        )
        .layer(layer);
    let site = Site::start(on, app).await;
    let document: Value = serde_json::from_str(&site.get("/openapi.json", &[]).await.body).unwrap();
    assert_eq!(
        document["security"],
        json!([
            { "sessions_cookie": [] },
            { "sessions_bearer": [] },
            { "sessions_authorization_Token": [] },
            { "sessions_x-api-key": [] },
        ])
    );
    let token = created.token.expose();
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    assert_eq!(schemes.len(), 4);
    for (name, scheme) in schemes {
        let text = |member: &str| scheme[member].as_str().unwrap_or_default();
        let (header, value) = match (text("type"), text("in")) {
            ("http", _) => ("authorization", format!("{} {token}", text("scheme"))),
            ("apiKey", "cookie") => ("cookie", format!("{}={token}", text("name"))),
            ("apiKey", "header") if text("description").is_empty() => (text("name"), token.to_owned()),
            ("apiKey", "header") => {
                (text("name"), text("description").trim_matches('`').replace("<token>", token))
            }
            other => panic!("{name}: {other:?}"),
        };
        site.get("/me", &[(header, &value)]).await.assert_is(200, "1234");
    }
}

each_framework! {
    each_scheme_of_the_document_is_a_way_to_present_the_token,
}
