use std::time::Duration;

use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::{Answer, PASSWORD, Site};

/// What the page says that happened, newest first.
fn events(page: &Answer) -> Vec<&str> {
    let events = page.body.split("data-label=\"What\">").skip(1);
    events.map(|event| event.split('<').next().unwrap()).collect()
}

async fn what_happened_to_devices_and_keys_is_told_to_their_user_alone(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut laptop = site.signed_up("bob").await;
    let mut eve = site.signed_up("eve").await;
    let tick = || db.clock().advance(Duration::from_secs(1));
    tick();
    site.logged_in("bob").await;
    let rows = laptop.rows("/account").await;
    tick();
    laptop
        .post(&format!("/sessions/{}/rename", rows[0]), &[("label", "phone")])
        .await
        .assert_moved("/account");
    tick();
    laptop.post(&format!("/sessions/{}/expire", rows[0]), &[]).await.assert_moved("/account");
    tick();
    laptop.post("/confirm", &[("password", PASSWORD)]).await.assert_moved("/account");
    tick();
    let page = laptop.get("/audit").await;
    page.assert_status(200);
    assert_eq!(events(&page), ["Password given again", "Logged out", "Renamed", "Logged in", "Logged in"]);
    assert_eq!(page.body.matches("<span>phone</span>").count(), 3, "{}", page.body);

    // It stays when the row has gone.
    laptop.post(&format!("/sessions/{}/delete", rows[0]), &[]).await.assert_moved("/account");
    let page = laptop.get("/audit").await;
    assert_eq!(events(&page).len(), 6);
    assert_eq!(events(&page)[0], "Taken off the list");
    assert_eq!(page.body.matches("no longer listed").count(), 4, "{}", page.body);

    laptop.make_key(&[("name", "ci"), ("read", "on"), ("expires", "1d")]).await;
    let page = laptop.get("/audit?of=keys").await;
    assert_eq!(events(&page), ["Made"]);
    assert!(page.body.contains("<span>ci</span>"), "{}", page.body);
    assert_eq!(events(&eve.get("/audit").await), ["Logged in"]);
    assert!(events(&eve.get("/audit?of=keys").await).is_empty());
    for nonsense in ["of=users", "before=1"] {
        eve.get(&format!("/audit?{nonsense}")).await.assert_status(400);
    }
    site.browser().get("/audit").await.assert_sent_to_log_in("/audit");
}

async fn a_long_log_comes_page_by_page(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    let rename = format!("/sessions/{}/rename", browser.rows("/account").await[0]);
    for number in 0..35 {
        browser.post(&rename, &[("label", &number.to_string())]).await.assert_moved("/account");
    }
    let page = browser.get("/audit").await;
    assert_eq!(events(&page).len(), 30);
    let link = page.body.split("href=\"").find(|link| link.contains("rel=\"next\"")).unwrap();
    let path = link.split('"').next().unwrap().replace("&amp;", "&");
    let page = browser.get(&path).await;
    assert_eq!(events(&page).len(), 6);
    assert_eq!(events(&page).last(), Some(&"Logged in"));
    assert!(!page.body.contains("rel=\"next\""));
}

each_database!(what_happened_to_devices_and_keys_is_told_to_their_user_alone, a_long_log_comes_page_by_page,);
