//! Several cookies of the layer's name in one request: they lock nobody out, and log nobody in as somebody else.

use std::time::Duration;

use cloakroom::{CreatedSession, Sessions, Status};
use cloakroom_testing::{TestDatabase, UserSession, user};
use cloakroom_web::{CookieConfig, SessionLayer};
use http::header::COOKIE;

use crate::harness::{App, CLEARED, Framework, LONGEST, Site, cookie, logged_in, routes, set};

const DAY: Duration = Duration::from_hours(24);

fn unknown(letter: &str) -> String {
    format!("__Host-Http-session={}", letter.repeat(64))
}

async fn is_valid(sessions: &Sessions<UserSession>, created: &CreatedSession<UserSession>) -> bool {
    sessions.authenticate(&created.token).await.unwrap().is_some()
}

async fn the_only_valid_one_of_several_cookies_counts_wherever_it_stands(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let mut ended = sessions.create(user("5678")).await.unwrap();
    sessions.expire(&mut ended.session).await.unwrap();
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions))).await;
    let valid = cookie(&created);
    for other in [unknown("x"), cookie(&ended), "__Host-Http-session=".to_owned(), valid.clone()] {
        for together in
            [format!("{valid}; {other}"), format!("{other}; {valid}"), format!("{other};{valid};a=b")]
        {
            site.get("/me", &[("cookie", &together)]).await.assert_is(200, "1234");
            site.get("/maybe", &[("cookie", &together)]).await.assert_is(200, "1234");
        }
        // As HTTP/2 may have them.
        for apart in [[&valid, &other], [&other, &valid]] {
            let headers = apart.map(|cookie| (COOKIE.as_str(), cookie.as_str()));
            site.get("/me", &headers).await.assert_is(200, "1234");
        }
    }
    let seven: Vec<_> = "abcdefg".chars().map(|letter| unknown(&letter.to_string())).collect();
    let eight = format!("{}; {valid}", seven.join("; "));
    site.get("/me", &[("cookie", &eight)]).await.assert_is(200, "1234");
}

async fn a_session_among_several_cookies_is_extended_as_any_other(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions))).await;
    let both = format!("{}; {}", unknown("x"), cookie(&created));
    db.clock().advance(2 * DAY);
    assert_eq!(site.get("/me", &[("cookie", &both)]).await.cookies(), [set(created.token.expose(), LONGEST)]);
    db.clock().advance(6 * DAY);
    assert_eq!(site.get("/me", &[("cookie", &both)]).await.body, "1234");
}

async fn several_valid_sessions_are_none_and_what_was_planted_is_worth_nothing_after(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, victim) = logged_in(&db).await;
    let planted = sessions.create(user("attacker")).await.unwrap();
    let bystander = sessions.create(user("1234")).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    let site =
        Site::start(on, routes().layer(SessionLayer::new(sessions.clone()).redirect_to("/login"))).await;
    let both = format!("{}; {}", cookie(&planted), cookie(&victim));
    site.get("/free", &[("cookie", &both)]).await.assert_is(200, "free");
    let answer = site.get("/me", &[("cookie", &both), ("accept", "text/html")]).await;
    answer.assert_cleared(303);
    // The browser forgets the victim's cookie, and perhaps not the other, which must not take its place.
    site.get("/me", &[("cookie", &cookie(&planted))]).await.assert_cleared(401);
    assert!(!is_valid(&sessions, &victim).await && !is_valid(&sessions, &planted).await);
    assert!(is_valid(&sessions, &bystander).await, "no other session ends");
    // Logging in helps, though the planted cookie is still sent.
    let new = site.post("/login/1234", &[("cookie", &cookie(&planted))]).await.body;
    db.clock().advance(Duration::from_secs(1));
    let both = format!("{}; __Host-Http-session={new}", cookie(&planted));
    site.get("/me", &[("cookie", &both)]).await.assert_is(200, "1234");
}

async fn none_valid_of_several_is_logged_out_and_cleared_and_a_log_in_works(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    let both = format!("{}; {}", unknown("x"), unknown("y"));
    site.get("/me", &[("cookie", &both)]).await.assert_cleared(401);
    let answer = site.get("/maybe", &[("cookie", &both)]).await;
    answer.assert_cleared(200);
    assert_eq!(answer.body, "nobody");
    site.post("/logout", &[("cookie", &both)]).await.assert_cleared(200);
    let answer = site.post("/login/5678", &[("cookie", &both)]).await;
    assert_eq!(answer.cookies(), [set(&answer.body, LONGEST)]);
    db.clock().advance(Duration::from_secs(1));
    let three = format!("{both}; __Host-Http-session={}", answer.body);
    site.get("/me", &[("cookie", &three)]).await.assert_is(200, "5678");
    assert!(is_valid(&sessions, &created).await);
}

async fn logging_in_or_out_with_several_cookies_ends_all_that_they_stand_for(
    db: TestDatabase,
    on: Framework,
) {
    let sessions = db.sessions::<UserSession>().await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    for path in ["/login/5678", "/logout"] {
        let mut all = Vec::new();
        for name in ["1234", "1234", "attacker"] {
            all.push(sessions.create(user(name)).await.unwrap());
        }
        db.clock().advance(Duration::from_secs(1));
        let cookies: Vec<_> = all.iter().map(cookie).chain([unknown("x")]).collect();
        let answer = site.post(path, &[("cookie", &cookies.join("; "))]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        for created in &all {
            assert!(!is_valid(&sessions, created).await, "{path}");
        }
        if path == "/logout" {
            answer.assert_cleared(200);
            assert_eq!(answer.body, "true");
        } else {
            assert_eq!(answer.cookies(), [set(&answer.body, LONGEST)]);
            db.clock().advance(Duration::from_secs(1));
            let cookies = format!("{}; __Host-Http-session={}", cookies.join("; "), answer.body);
            site.get("/me", &[("cookie", &cookies)]).await.assert_is(200, "5678");
        }
    }
}

async fn one_valid_session_and_junk_are_ended_by_a_log_in_and_a_log_out(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<UserSession>().await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    for path in ["/login/5678", "/logout", "/everywhere/1234"] {
        let created = sessions.create(user("1234")).await.unwrap();
        db.clock().advance(Duration::from_secs(1));
        let both = format!("{}; {}", unknown("x"), cookie(&created));
        assert_eq!(site.post(path, &[("cookie", &both)]).await.status, 200);
        assert!(!is_valid(&sessions, &created).await, "{path}");
    }
}

async fn more_cookies_than_are_looked_up_count_as_none_and_end_nothing(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    let eight: Vec<_> = "abcdefgh".chars().map(|letter| unknown(&letter.to_string())).collect();
    for nine in [
        format!("{}; {}", eight.join("; "), cookie(&created)),
        format!("{}; {}", cookie(&created), eight.join("; ")),
    ] {
        site.get("/me", &[("cookie", &nine)]).await.assert_cleared(401);
        site.get("/maybe", &[("cookie", &nine)]).await.assert_cleared(200);
        let answer = site.post("/login/5678", &[("cookie", &nine)]).await;
        assert_eq!(answer.cookies(), [set(&answer.body, LONGEST)]);
    }
    assert!(is_valid(&sessions, &created).await);
}

/// As a sibling host plants them to keep one page shut: a browser sends the cookies of longer paths first.
async fn more_cookies_than_are_looked_up_are_cleared_on_every_path_that_they_may_be_of(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, created) = logged_in(&db).await;
    let config = CookieConfig::builder().name("__Secure-app").domain("example.com").build().unwrap();
    let router = App::new().nest("/a", routes()).layer(SessionLayer::new(sessions).cookie(config));
    let site = Site::start(on, router).await;
    let eight: Vec<_> = "abcdefgh".chars().map(|letter| format!("__Secure-app={letter}")).collect();
    let nine = format!("{}; __Secure-app={}", eight.join("; "), created.token.expose());
    let answer = site.get("/a/maybe", &[("cookie", &nine)]).await;
    assert_eq!(answer.body, "nobody");
    let attributes = |path| format!("__Secure-app=; HttpOnly; SameSite=Lax; Secure; Path={path};");
    let cleared: Vec<_> = ["/", "/a", "/a/", "/a/maybe"]
        .into_iter()
        .flat_map(|path| {
            let attributes = attributes(path);
            [format!("{attributes} Max-Age=0"), format!("{attributes} Domain=example.com; Max-Age=0")]
        })
        .chain([format!("{} Domain=example.com; Max-Age=0", attributes("/"))])
        .collect();
    assert_eq!(answer.cookies(), cleared);
    // What is set comes last, or it would be cleared.
    let answer = site.post("/a/login/5678", &[("cookie", &nine)]).await;
    let last = answer.cookies().pop().unwrap();
    assert!(last.contains(&answer.body) && last.contains("Path=/; Domain=example.com"), "{last}");
}

async fn both_forms_of_the_cookie_are_cleared_where_it_is_shared_with_subdomains(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, created) = logged_in(&db).await;
    let config = CookieConfig::builder().name("__Secure-app").domain("example.com").build().unwrap();
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions).cookie(config))).await;
    let attributes = "HttpOnly; SameSite=Lax; Secure; Path=/";
    let host_only = format!("__Secure-app=; {attributes}; Max-Age=0");
    let shared = |token: &str, age: &str| {
        format!("__Secure-app={token}; {attributes}; Domain=example.com; Max-Age={age}")
    };
    let junk = "__Secure-app=x; __Secure-app=y";
    for path in ["/me", "/maybe"] {
        let answer = site.get(path, &[("cookie", junk)]).await;
        assert_eq!(answer.cookies(), [host_only.clone(), shared("", "0")], "{path}");
    }
    let answer = site.post("/logout", &[("cookie", junk)]).await;
    assert_eq!(answer.cookies(), [host_only.clone(), shared("", "0")]);
    // The one that is not to stay is cleared first.
    let answer = site.post("/login/5678", &[("cookie", junk)]).await;
    assert_eq!(answer.cookies(), [host_only.clone(), shared(&answer.body, LONGEST)]);
    // One that is set for a request with one cookie at most is set alone.
    let one = format!("__Secure-app={}", created.token.expose());
    for headers in [&[][..], &[("cookie", &*one)]] {
        let answer = site.post("/login/5678", headers).await;
        assert_eq!(answer.cookies(), [shared(&answer.body, LONGEST)]);
    }
}

async fn a_browser_from_before_the_domain_was_switched_on_stays_logged_in_and_can_log_in_and_out(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, created) = logged_in(&db).await;
    let config = CookieConfig::builder().name("__Secure-app").domain("example.com").build().unwrap();
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()).cookie(config))).await;
    let old = format!("__Secure-app={}", created.token.expose());
    site.get("/me", &[("cookie", &old)]).await.assert_is(200, "1234");
    // Its cookie is sent again in the new form, and the old stays beside it: both with one token.
    db.clock().advance(2 * DAY);
    assert_eq!(site.get("/me", &[("cookie", &old)]).await.cookies().len(), 1);
    db.clock().advance(Duration::from_secs(1));
    let twice = format!("{old}; {old}");
    site.get("/me", &[("cookie", &twice)]).await.assert_is(200, "1234");
    // A new token goes into the new form, and the old form goes.
    let answer = site.post("/rotate", &[("cookie", &twice)]).await;
    assert!(answer.cookies()[0].starts_with("__Secure-app=;") && !answer.cookies()[0].contains("Domain"));
    assert!(answer.cookies()[1].contains(&answer.body) && answer.cookies()[1].contains("Domain=example.com"));
    // And where it has not gone, it does no harm.
    db.clock().advance(Duration::from_secs(1));
    let both = format!("{old}; __Secure-app={}", answer.body);
    site.get("/me", &[("cookie", &both)]).await.assert_is(200, "1234");
    assert_eq!(site.post("/logout", &[("cookie", &both)]).await.cookies().len(), 2);
    assert_eq!(sessions.query().status(Status::Valid).count().await.unwrap(), 0);
}

async fn the_same_cookie_twice_is_cleared_once_where_there_is_one_form(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions))).await;
    let twice = format!("{0}; {0}", cookie(&created));
    let answer = site.post("/logout", &[("cookie", &twice)]).await;
    assert_eq!(answer.cookies(), [CLEARED]);
    assert_eq!(answer.body, "true");
}

each_framework! {
    the_only_valid_one_of_several_cookies_counts_wherever_it_stands,
    a_session_among_several_cookies_is_extended_as_any_other,
    several_valid_sessions_are_none_and_what_was_planted_is_worth_nothing_after,
    none_valid_of_several_is_logged_out_and_cleared_and_a_log_in_works,
    logging_in_or_out_with_several_cookies_ends_all_that_they_stand_for,
    one_valid_session_and_junk_are_ended_by_a_log_in_and_a_log_out,
    more_cookies_than_are_looked_up_count_as_none_and_end_nothing,
    more_cookies_than_are_looked_up_are_cleared_on_every_path_that_they_may_be_of,
    both_forms_of_the_cookie_are_cleared_where_it_is_shared_with_subdomains,
    a_browser_from_before_the_domain_was_switched_on_stays_logged_in_and_can_log_in_and_out,
    the_same_cookie_twice_is_cleared_once_where_there_is_one_form,
}
