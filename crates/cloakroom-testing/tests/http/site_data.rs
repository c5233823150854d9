//! What else a browser deletes when its user logs out.

use cloakroom_testing::{TestDatabase, user};
use cloakroom_web::{SessionLayer, SessionRejection, SiteData, TokenSource};

use crate::harness::{Answer, CLEARED, Framework, Manager, Site, bearer, cookie, logged_in, post, routes};

fn told(answer: &Answer) -> Option<&str> {
    answer.header("clear-site-data")
}

async fn logging_out_empties_the_browser_where_the_layer_says_so(db: TestDatabase, on: Framework) {
    let (sessions, here) = logged_in(&db).await;
    let again = sessions.create(user("1234")).await.unwrap();
    let layer = SessionLayer::new(sessions.clone()).sources([TokenSource::Cookie, TokenSource::Bearer]);
    let app = routes().route(
        "/out-and-in",
        post(async |manager: Manager| {
            manager.log_out().await?;
            manager.log_in(user("1234")).await.map(|_| "")
        }),
    );
    let site = Site::start(
        on,
        app.clone().layer(layer.clone().clear_site_data([SiteData::Cache, SiteData::Storage])),
    )
    .await;
    let (here, again) = (cookie(&here), cookie(&again));
    // Not by a post that another site has the browser send, without its cookie; not by any other request.
    assert_eq!(told(&site.post("/logout", &[]).await), None);
    assert_eq!(told(&site.get("/me", &[("cookie", &here)]).await), None);
    assert_eq!(told(&site.post("/everywhere/5678", &[("cookie", &here)]).await), None);
    let answer = site.post("/logout", &[("cookie", &here)]).await;
    assert_eq!((told(&answer), answer.cookies()), (Some("\"cache\", \"storage\""), vec![CLEARED]));
    // A cookie that is cleared for another reason.
    let answer = site.get("/me", &[("cookie", &here)]).await;
    assert_eq!((told(&answer), answer.cookies()), (None, vec![CLEARED]));
    let answer = site.post("/everywhere/1234", &[("cookie", &again)]).await;
    assert_eq!((told(&answer), answer.cookies()), (Some("\"cache\", \"storage\""), vec![CLEARED]));
    // Who logs in again in the same breath keeps everything.
    let answer = site.post("/out-and-in", &[("cookie", &here)]).await;
    assert_eq!((told(&answer), answer.cookies().len()), (None, 1));

    let keyed = sessions.create(user("1234")).await.unwrap();
    assert_eq!(told(&site.post("/logout", &[("authorization", &bearer(&keyed))]).await), None);
    let all = [SiteData::Cookies, SiteData::Cache];
    let site = Site::start(on, app.clone().layer(layer.clone().clear_site_data(all))).await;
    let answer = site.post("/logout", &[("cookie", &here)]).await;
    assert_eq!(told(&answer), Some("\"cookies\", \"cache\""));
    for layer in [layer.clone(), layer.clear_site_data([])] {
        let site = Site::start(on, app.clone().layer(layer)).await;
        assert_eq!(told(&site.post("/logout", &[("cookie", &here)]).await), None);
    }
}

async fn also_while_the_database_is_away(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site =
        Site::start(on, routes().layer(SessionLayer::new(sessions).clear_site_data([SiteData::Storage])))
            .await;
    db.execute("ALTER TABLE sessions RENAME TO elsewhere").await;
    let answer = site.post("/logout", &[("cookie", &cookie(&created))]).await;
    answer.assert_cleared(503);
    assert_eq!(told(&answer), Some("\"storage\""));
    // What has failed and is no log-out empties nothing.
    let failed = site.post("/everywhere/1234", &[("cookie", &cookie(&created))]).await;
    assert_eq!((failed.status.as_u16(), told(&failed)), (503, None));
}

async fn a_route_of_its_own_may_answer_an_error_and_still_says_it(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let app = routes().route(
        "/out",
        post(async |manager: Manager| {
            manager.log_out().await?;
            Err::<String, _>(SessionRejection::UnfitToken)
        }),
    );
    let site =
        Site::start(on, app.layer(SessionLayer::new(sessions).clear_site_data([SiteData::Cache]))).await;
    let answer = site.post("/out", &[("cookie", &cookie(&created))]).await;
    answer.assert_cleared(500);
    assert_eq!(told(&answer), Some("\"cache\""));
}

each_framework! {
    logging_out_empties_the_browser_where_the_layer_says_so,
    also_while_the_database_is_away,
    a_route_of_its_own_may_answer_an_error_and_still_says_it,
}
