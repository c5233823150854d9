//! A database that cannot be asked: 503, and the client keeps what it has.

use cloakroom_axum::{SessionLayer, TokenSource};
use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::{Site, WEEK, bearer, cookie, logged_in, routes, set};

const NOT_NOW: &str = "This is not available for the moment.\n";

async fn assert_everything_is_503(site: &Site, header: (&str, &str)) {
    // A browser that would be sent to log in, were it logged out.
    let headers = [header, ("accept", "text/html")];
    for path in ["/me", "/maybe"] {
        site.get(path, &headers).await.assert_is(503, NOT_NOW);
    }
    for path in ["/login/1234", "/logout", "/everywhere/1234", "/others/1234", "/rotate", "/extend"] {
        site.post(path, &headers).await.assert_is(503, NOT_NOW);
    }
    site.get("/free", &headers).await.assert_is(200, "free");
}

async fn while_the_database_is_away_nobody_is_logged_out_and_nobody_in(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let layer = SessionLayer::new(sessions.clone()).sources([TokenSource::Cookie, TokenSource::Bearer]);
    let site = Site::start(routes().layer(layer.redirect_to("/login"))).await;
    sessions.database().close().await;
    let unknown = cookie(&created).replace(created.token.expose(), &"x".repeat(64));
    for header in [
        ("cookie", cookie(&created)),
        ("cookie", unknown),
        ("authorization", bearer(&created)),
        ("authorization", "Bearer unknown".to_owned()),
    ] {
        assert_everything_is_503(&site, (header.0, &header.1)).await;
    }
    // Without a token there is nothing to ask, but nobody can be logged in.
    site.post("/login/1234", &[]).await.assert_is(503, NOT_NOW);
}

async fn when_the_table_is_back_the_same_cookie_works(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(routes().layer(SessionLayer::new(sessions.clone()).redirect_to("/login"))).await;
    db.execute("ALTER TABLE sessions RENAME TO elsewhere").await;
    assert_everything_is_503(&site, ("cookie", &cookie(&created))).await;
    db.execute("ALTER TABLE elsewhere RENAME TO sessions").await;
    site.get("/me", &[("cookie", &cookie(&created))]).await.assert_is(200, "1234");
    assert_eq!(sessions.query().count().await.unwrap(), 1);
}

async fn a_session_that_cannot_be_ended_stays_and_so_does_its_cookie(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(routes().layer(SessionLayer::new(sessions.clone()))).await;
    let cookie = cookie(&created);
    refuse_updates(&db).await;
    for path in ["/logout", "/everywhere/1234", "/rotate", "/login/5678"] {
        let answer = site.post(path, &[("cookie", &cookie)]).await;
        assert!(answer.status.is_server_error() && answer.cookies().is_empty(), "{path}: {}", answer.status);
        site.get("/me", &[("cookie", &cookie)]).await.assert_is(200, "1234");
    }
    assert_eq!(sessions.query().count().await.unwrap(), 1, "a log-in that failed leaves nothing behind");
    db.clock().advance(std::time::Duration::from_hours(48));
    // An extension that cannot be written is no reason to refuse anybody, nor to send a cookie.
    site.get("/me", &[("cookie", &cookie)]).await.assert_is(200, "1234");
    allow_updates(&db).await;
    let answer = site.get("/me", &[("cookie", &cookie)]).await;
    assert_eq!(answer.cookies(), [set(created.token.expose(), WEEK)]);
}

async fn refuse_updates(db: &TestDatabase) {
    match db.kind() {
        cloakroom_testing::Kind::Sqlite => {
            db.execute(
                "CREATE TRIGGER refused BEFORE UPDATE ON sessions BEGIN SELECT RAISE(ABORT, 'no'); END",
            )
            .await;
        }
        cloakroom_testing::Kind::Postgres => {
            db.execute(
                "CREATE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'no'; END $$; \
                 CREATE TRIGGER refused BEFORE UPDATE ON sessions \
                 FOR EACH ROW EXECUTE FUNCTION refused()",
            )
            .await;
        }
        cloakroom_testing::Kind::MariaDb => {
            db.execute(
                "CREATE TRIGGER refused BEFORE UPDATE ON sessions FOR EACH ROW \
                 SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'",
            )
            .await;
        }
    }
}

async fn allow_updates(db: &TestDatabase) {
    let on_table = if db.kind() == cloakroom_testing::Kind::Postgres { " ON sessions" } else { "" };
    db.execute(&format!("DROP TRIGGER refused{on_table}")).await;
}

each_database! {
    while_the_database_is_away_nobody_is_logged_out_and_nobody_in,
    when_the_table_is_back_the_same_cookie_works,
    a_session_that_cannot_be_ended_stays_and_so_does_its_cookie,
}
