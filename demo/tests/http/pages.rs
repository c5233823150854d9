use std::time::Duration;

use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::{Browser, Site};

/// The numbers of the statistics page, in their order.
async fn totals(browser: &mut Browser) -> Vec<u64> {
    let page = browser.get("/statistics").await;
    page.assert_status(200);
    let numbers = page.body.split("<dd>").skip(1);
    numbers.map(|number| number.split('<').next().unwrap().parse().unwrap()).collect()
}

async fn statistics_count_by_status_and_draw_by_day(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    let mut phone = site.logged_in("bob").await;
    browser.make_key(&[("name", "ci"), ("read", "on"), ("expires", "1d")]).await;
    assert_eq!(totals(&mut browser).await, [2, 0, 2, 1, 0, 1]);

    db.clock().advance(Duration::from_hours(23));
    browser.get("/account").await.assert_status(200);
    phone.get("/account").await.assert_status(200);
    db.clock().advance(Duration::from_hours(13));
    phone.post("/logout", &[]).await.assert_moved("/");
    assert_eq!(totals(&mut browser).await, [1, 1, 2, 0, 1, 1]);
    let page = browser.get("/statistics").await;
    assert!(page.body.contains("<svg id=\"chart\""), "{}", page.body);
    for title in
        ["23 Nov: 2 created, 0 ended", "24 Nov: 0 created, 1 ended", "2 sessions created and 1 ended"]
    {
        assert!(page.body.contains(title), "{title}: {}", page.body);
    }
    assert_eq!(page.body.matches("class=\"day\"").count(), 30);
}

async fn a_filled_database_has_its_thousand_users_once(db: TestDatabase) {
    let site = Site::start(&db).await;
    cloakroom_demo::fill::fill(&site.app).await.unwrap();
    let mut browser = site.browser();
    let before = totals(&mut browser).await;
    assert!(before.iter().all(|count| *count > 100), "{before:?}");
    cloakroom_demo::fill::fill(&site.app).await.unwrap();
    assert_eq!(totals(&mut browser).await, before);
    let names = db.texts("SELECT name FROM users").await;
    assert_eq!(names.len(), 1000);
}

async fn what_ended_is_kept_for_a_month(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    browser.make_key(&[("name", "ci"), ("read", "on"), ("expires", "never")]).await;
    browser.post("/logout", &[]).await.assert_moved("/");
    let tick = Duration::from_micros(1);
    db.clock().advance(Duration::from_hours(30 * 24).saturating_sub(tick));
    assert_eq!(cloakroom_demo::retention::run(&site.app).await.unwrap(), 0);
    db.clock().advance(tick);
    assert_eq!(cloakroom_demo::retention::run(&site.app).await.unwrap(), 1);
    assert_eq!(totals(&mut browser).await, [0, 0, 0, 1, 0, 1]);
}

async fn names_are_shown_and_never_run(db: TestDatabase) {
    let site = Site::start(&db).await;
    let name = "<script>alert(\"1\")</script>'&";
    let mut browser = site.browser();
    browser.agent = "<img src=x onerror=alert(1)>/1";
    let form = [("name", name), ("password", crate::harness::PASSWORD)];
    browser.post("/signup", &form).await.assert_moved("/account");
    let key = [("name", "\"><script>alert(2)</script>"), ("read", "on"), ("expires", "never")];
    let made = browser.post("/keys/new", &key).await;
    let mut bodies = vec![made.body];
    for path in
        ["/account", "/keys", "/keys/new", "/audit", "/audit?of=keys", "/password", "/statistics", "/login"]
    {
        bodies.push(browser.get(path).await.body);
    }
    bodies.push(browser.post("/login", &[("name", name), ("password", "wrong")]).await.body);
    for body in bodies {
        assert!(!body.contains("<script") && !body.contains("<img src=x"), "{body}");
        assert!(body.contains("&#60;"), "{body}");
    }
    let me = site.send("GET", "/api/me", &[("x-auth-token", browser.token())]).await;
    assert_eq!(me.json()["user"]["name"], name);
}

async fn what_is_not_there_is_a_page_too(db: TestDatabase) {
    let site = Site::start(&db).await;
    let answer = site.browser().get("/nothing").await;
    answer.assert_status(404);
    assert!(answer.body.contains("Not found") && answer.body.contains("</html>"));
    for (path, kind) in [("/style.css", "text/css; charset=utf-8"), ("/icon.svg", "image/svg+xml")] {
        let answer = site.browser().get(path).await;
        answer.assert_status(200);
        assert_eq!(answer.header("content-type"), Some(kind));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    }
}

each_database!(
    statistics_count_by_status_and_draw_by_day,
    a_filled_database_has_its_thousand_users_once,
    what_ended_is_kept_for_a_month,
    names_are_shown_and_never_run,
    what_is_not_there_is_a_page_too,
);
