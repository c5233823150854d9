//! A database of the demo's first version.

use cloakroom::device::DeviceKey;
use cloakroom::{Config, NewSession, SessionTable, Sessions, Token};
use cloakroom_testing::{TestDatabase, each_database};
use serde_json::json;

use crate::harness::{PASSWORD, Site};

#[derive(Clone, SessionTable)]
#[session(table = "user_sessions")]
struct OldSession {
    #[session(index)]
    user_id: String,
    user_agent: Option<String>,
    address: Option<String>,
    #[session(device_key)]
    device_key: Option<DeviceKey>,
}

#[derive(Clone, SessionTable)]
#[session(table = "api_keys")]
struct OldKey {
    #[session(index)]
    user_id: String,
    name: String,
    role: String,
}

async fn key(keys: &Sessions<OldKey>, user_id: &str, role: &str) -> Token {
    let key = OldKey { user_id: user_id.to_owned(), name: format!("old {role}"), role: role.to_owned() };
    keys.create(NewSession::new(key).never_expires()).await.unwrap().token
}

async fn a_database_of_the_first_version_goes_on_with_its_sessions_and_keys(db: TestDatabase) {
    // A user, as ever. The tables of sessions and keys are those of the first version.
    let site = Site::start(&db).await;
    site.signed_up("bob").await;
    for table in ["user_sessions", "api_keys"] {
        for beside in ["", "_audit_log", "_retired_tokens", "_migrations"] {
            db.execute(&format!("DROP TABLE IF EXISTS {table}{beside}")).await;
        }
    }
    let user_id = db.texts("SELECT id FROM users").await.remove(0).unwrap();
    let config = || -> Config { db.config().build().unwrap() };
    let sessions = Sessions::<OldSession>::new(db.database(), config()).unwrap();
    let keys = Sessions::<OldKey>::new(db.database(), config()).unwrap();
    sessions.migrate().await.unwrap();
    keys.migrate().await.unwrap();
    let user_agent = Some("curl/8.5.0".to_owned());
    let old = OldSession { user_id: user_id.clone(), user_agent, address: None, device_key: None };
    let session = sessions.create(NewSession::new(old)).await.unwrap().token;
    let (reader, admin) = (key(&keys, &user_id, "reader").await, key(&keys, &user_id, "admin").await);

    // Twice: the second start has nothing to do.
    for _ in 0..2 {
        let site = Site::start(&db).await;
        for (token, scopes) in [(&reader, "read"), (&admin, "read write")] {
            let me = site.send("GET", "/api/me", &[("x-api-key", token.expose())]).await;
            me.assert_status(200);
            assert_eq!(me.json()["scopes"], json!(scopes));
        }
        let mut browser = site.browser();
        browser.cookies.push(("session".to_owned(), session.expose().to_owned()));
        let page = browser.get("/account").await;
        page.assert_status(200);
        assert!(page.body.contains(">curl</span>"), "{}", page.body);
        // It is not known when its user last gave the password.
        browser.get("/keys/new").await.assert_moved("/confirm?next=/keys/new");
    }
    let site = Site::start(&db).await;
    let mut browser = site.logged_in("bob").await;
    browser.make_key(&[("name", "new"), ("read", "on"), ("expires", "1d")]).await;
    assert_eq!(browser.rows("/keys").await.len(), 3);
    browser.post("/confirm", &[("password", PASSWORD)]).await.assert_moved("/account");
}

each_database!(a_database_of_the_first_version_goes_on_with_its_sessions_and_keys);
