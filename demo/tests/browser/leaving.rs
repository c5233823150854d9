//! Logging out, when that is not so easy.

use cloakroom::Database;
use cloakroom_axum::CookieConfig;
use cloakroom_testing::{Kind, TestDatabase};

use crate::chromium::{Browser, Driver, Profile};
use crate::club::{Club, enter, who};
use crate::front::{APP, Front, SITE};
use crate::look::keep;
use crate::sibling::{Means, Sibling};
use crate::site::Site;
use crate::walk::{PASSWORD, log_in, sign_up};

crate::in_a_browser!(
    logging_out_while_the_table_is_away_has_the_browser_forget_its_cookie,
    logging_out_while_the_database_hangs_has_the_browser_forget_its_cookie,
    clear_site_data_takes_what_a_sibling_planted_too,
);

/// How many cookies of the demo's own host there are; the one that remembers the name is for the log-in alone.
async fn own_cookies(browser: &Browser) -> usize {
    browser.cookies("/account").await.iter().filter(|cookie| cookie.domain == APP).count()
}

/// Clicks, hears that it could not be done, and keeps no cookie all the same.
async fn assert_forgets(ada: &Browser, picture: &str) {
    ada.follow("#logout").await;
    keep(picture, &ada.screenshot().await);
    let console = ada.take_console().await;
    assert!(matches!(&console[..], [line] if line.contains("503")), "{console:?}");
    assert!(!ada.text("main").await.contains("still logged in"));
    assert_eq!(own_cookies(ada).await, 0);
}

/// On this machine nobody is logged in any more, but everybody can be; the session is there and listed.
async fn assert_is_only_left_on_the_server(ada: &Browser) {
    ada.go("/account").await;
    assert_eq!(ada.path().await, "/login");
    log_in(ada, "ada", PASSWORD).await;
    assert_eq!(ada.count("#sessions tr[data-id]:not(.expired)").await, 2);
    ada.click("#logout-everywhere").await;
    ada.click("#everywhere").await;
    assert_eq!(own_cookies(ada).await, 0);
}

async fn execute(database: &Database, sql: &'static str) {
    let Database::Sqlite(pool) = database else { panic!("not SQLite: {database:?}") };
    sqlx::raw_sql(sql).execute(pool).await.expect("the database takes the statement");
}

async fn logging_out_while_the_table_is_away_has_the_browser_forget_its_cookie() {
    let site = Site::start();
    let (front, driver) = (Front::of(site.address).await, Driver::start());
    let ada = driver.open(&front.origin(APP), Profile::default()).await;
    sign_up(&ada, "ada").await;
    assert_eq!(own_cookies(&ada).await, 1);
    let database = Database::connect(&site.database()).await.expect("the file is there");
    execute(&database, "ALTER TABLE user_sessions RENAME TO away").await;
    assert_forgets(&ada, "log-out-table-away").await;
    execute(&database, "ALTER TABLE away RENAME TO user_sessions").await;
    assert_is_only_left_on_the_server(&ada).await;
    ada.close().await;
}

async fn logging_out_while_the_database_hangs_has_the_browser_forget_its_cookie() {
    let site = Site::start();
    let (front, driver) = (Front::of(site.address).await, Driver::start());
    let ada = driver.open(&front.origin(APP), Profile::default()).await;
    sign_up(&ada, "ada").await;
    let database = Database::connect(&site.database()).await.expect("the file is there");
    let Database::Sqlite(pool) = &database else { panic!("not SQLite: {database:?}") };
    let mut writer = pool.acquire().await.expect("a connection");
    // Whoever wants to write waits for it.
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *writer).await.expect("nobody else writes");
    assert_forgets(&ada, "log-out-database-hangs").await;
    sqlx::raw_sql("ROLLBACK").execute(&mut *writer).await.expect("it has begun");
    assert_is_only_left_on_the_server(&ada).await;
    ada.close().await;
}

async fn clear_site_data_takes_what_a_sibling_planted_too() {
    let db = TestDatabase::new(Kind::Sqlite).await;
    let club = Club::start(&db, CookieConfig::default()).await;
    let (sibling, driver) = (Sibling::start().await, Driver::start());
    let ada = driver.open(&club.origin(APP), Profile::default()).await;
    enter(&ada, "ada").await;
    let planted = ["/", "/account", "/login"]
        .map(|path| (Means::Header, format!("planted=by-a-sibling; Domain={SITE}; Path={path}; Secure")));
    sibling.plant(&ada, planted.to_vec()).await;
    assert_eq!(ada.cookies("/account").await.len(), 3);
    ada.go("/").await;
    // The console loses what is said while a page makes room for another.
    ada.run_async("fetch('/leave', { method: 'POST' }).then(() => done())").await;
    ada.until_console_says("Cleared data types:").await;
    ada.go("/").await;
    assert_eq!(who(&ada).await, "nobody");
    for path in ["/", "/account", "/login"] {
        assert_eq!(ada.cookies(path).await, []);
    }
    enter(&ada, "ada").await;
    assert_eq!(who(&ada).await, "ada");
    ada.close().await;
}
