//! Where the token comes from: every source, absent, malformed and presented, alone and together.

use std::time::Duration;

use cloakroom::{Sessions, TokenFormat};
use cloakroom_testing::{TestDatabase, UserSession, user};
use cloakroom_web::{SessionLayer, TokenSource};

use http::{HeaderValue, Request};

use crate::harness::{App, Framework, Site, bearer, cookie, logged_in, routes};

fn everywhere(sessions: &Sessions<UserSession>) -> App {
    let sources = [TokenSource::Cookie, TokenSource::Bearer, TokenSource::header("x-auth-token")];
    routes().layer(SessionLayer::new(sessions.clone()).sources(sources))
}

async fn a_token_is_taken_from_the_cookie_the_bearer_and_the_header(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, everywhere(&sessions)).await;
    let (cookie, bearer, token) = (cookie(&created), bearer(&created), created.token.expose());
    let lower = bearer.replace("Bearer", "bEARER");
    for (name, value) in [
        ("cookie", cookie.as_str()),
        ("cookie", &format!("theme=dark; {cookie}; lang=de")),
        ("authorization", &bearer),
        ("authorization", &lower),
        ("x-auth-token", token),
        ("X-Auth-Token", token),
    ] {
        site.get("/me", &[(name, value)]).await.assert_is(200, "1234");
        site.get("/maybe", &[(name, value)]).await.assert_is(200, "1234");
    }
}

async fn a_key_with_a_prefix_is_taken_from_everywhere_and_a_mistyped_one_is_unknown_without_a_question(
    db: TestDatabase,
    on: Framework,
) {
    // The longest prefix that there is.
    let prefix = "a_prefix_as_long_as_any_prefix_1";
    let config = db.config().token_format(TokenFormat::prefixed(prefix).unwrap());
    let sessions = db.sessions_with::<UserSession>(config).await;
    let created = sessions.create(user("1234")).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    let site = Site::start(on, everywhere(&sessions)).await;
    let key = created.token.expose();
    assert_eq!(key.len(), 32 + 1 + 27 + 6);
    let mistyped = format!("{}-", &key[..key.len() - 1]);
    let presented = |key: &str| {
        [
            ("authorization", format!("Bearer {key}")),
            ("x-auth-token", key.to_owned()),
            ("cookie", format!("__Host-Http-session={key}")),
        ]
    };
    for (name, value) in presented(key) {
        site.get("/me", &[(name, &value)]).await.assert_is(200, "1234");
    }
    // With the table gone, every question fails.
    db.execute_anew("DROP TABLE sessions").await;
    for (name, value) in presented(&mistyped) {
        let answer = site.get("/me", &[(name, &value)]).await;
        assert!(answer.status == 401 && answer.body.contains("You are not logged in."), "{name}");
        let answer = site.get("/maybe", &[(name, &value)]).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, "nobody"), "{name}");
    }
    for (name, value) in presented(key) {
        assert!(site.get("/me", &[(name, &value)]).await.status.is_server_error(), "{name}");
    }
}

async fn without_a_token_nobody_is_logged_in(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, everywhere(&sessions)).await;
    let token = created.token.expose();
    let (other_name, basic) = (format!("session={token}"), "Basic MTIzNDpzZWNyZXQ=");
    for headers in
        [&[][..], &[("cookie", &*other_name)], &[("authorization", basic)], &[("x-api-key", token)]]
    {
        let answer = site.get("/me", headers).await;
        answer.assert_refused(401, "You are not logged in.");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        site.get("/maybe", headers).await.assert_is(200, "nobody");
    }
}

async fn a_cookie_whose_name_differs_in_any_byte_is_not_the_session_s(db: TestDatabase, on: Framework) {
    const NAME: &str = "__Host-Http-session";
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, everywhere(&sessions)).await;
    let cookie = |name: &[u8]| {
        let value = [b"theme=dark; ", name, b"=", created.token.expose().as_bytes(), b"; lang=de"].concat();
        HeaderValue::from_bytes(&value).unwrap()
    };
    let send =
        async |name: &[u8], path: &str| site.send(Request::get(path).header("cookie", cookie(name))).await;
    send(NAME.as_bytes(), "/me").await.assert_is(200, "1234");
    let insertions =
        ["\u{a0}", "\u{85}", "\u{3000}", "\u{2028}", "\u{feff}", "\u{200b}", "x", "\"", ",", "%20", "+"];
    let insertions = insertions.iter().map(|text| text.as_bytes()).chain([&b"\xa0"[..], b"\x85", b"\xff"]);
    for inserted in insertions {
        for place in [0, 2, "__Host-".len(), NAME.len()] {
            let name = [&NAME.as_bytes()[..place], inserted, &NAME.as_bytes()[place..]].concat();
            send(&name, "/maybe").await.assert_is(200, "nobody");
        }
    }
    for name in
        ["__host-http-session", "__Host-Http-Session", "__Host-session", "session", "__Host-Http-session "]
    {
        send(name.as_bytes(), "/maybe").await.assert_is(200, "nobody");
        // Neither is it in the way of the one that is.
        let both = format!("{name}=x; {}", crate::harness::cookie(&created));
        site.get("/me", &[("cookie", &both)]).await.assert_is(200, "1234");
    }
}

async fn a_token_in_the_url_is_no_token(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, everywhere(&sessions)).await;
    let token = created.token.expose();
    for query in ["access_token", "token", "__Host-Http-session", "x-auth-token", "authorization"] {
        site.get(&format!("/maybe?{query}={token}"), &[]).await.assert_is(200, "nobody");
    }
}

async fn a_source_that_is_not_listed_is_not_read(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let (cookie, bearer) = (cookie(&created), bearer(&created));
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    site.get("/maybe", &[("authorization", &bearer)]).await.assert_is(200, "nobody");
    site.get("/maybe", &[("authorization", "Bearer ?"), ("cookie", &cookie)]).await.assert_is(200, "1234");
    let api = SessionLayer::new(sessions).sources([TokenSource::Bearer]);
    let site = Site::start(on, routes().layer(api)).await;
    site.get("/maybe", &[("cookie", &cookie)]).await.assert_is(200, "nobody");
    site.get("/maybe", &[("cookie", "__Host-Http-session="), ("authorization", &bearer)])
        .await
        .assert_is(200, "1234");
}

async fn an_unknown_cookie_is_logged_out_and_cleared(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, everywhere(&sessions)).await;
    let unknown = cookie(&created).replace(created.token.expose(), &"x".repeat(64));
    site.get("/me", &[("cookie", &unknown)]).await.assert_cleared(401);
    let answer = site.get("/maybe", &[("cookie", &unknown)]).await;
    answer.assert_cleared(200);
    assert_eq!(answer.body, "nobody");
    // Who does not ask does not know.
    site.get("/free", &[("cookie", &unknown)]).await.assert_is(200, "free");
}

async fn an_expired_cookie_is_logged_out_and_cleared(db: TestDatabase, on: Framework) {
    let (sessions, mut created) = logged_in(&db).await;
    let site = Site::start(on, everywhere(&sessions)).await;
    sessions.expire(&mut created.session).await.unwrap();
    let answer = site.get("/me", &[("cookie", &cookie(&created))]).await;
    answer.assert_cleared(401);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "a cookie is no bearer token");
    site.get("/maybe", &[("cookie", &cookie(&created))]).await.assert_cleared(200);
}

async fn a_malformed_cookie_is_logged_out_and_cleared(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, everywhere(&sessions)).await;
    let long = "x".repeat(4097);
    for value in ["", "\"\"", "a b", "a,b", "a\\b", &long] {
        let malformed = format!("__Host-Http-session={value}");
        site.get("/me", &[("cookie", &malformed)]).await.assert_cleared(401);
        site.get("/maybe", &[("cookie", &malformed)]).await.assert_cleared(200);
        // It is no second credential either.
        let (bearer, cookie) = (bearer(&created), cookie(&created));
        site.get("/me", &[("cookie", &malformed), ("authorization", &bearer)]).await.assert_is(200, "1234");
        site.get("/me", &[("cookie", &malformed), ("cookie", &cookie)]).await.assert_is(200, "1234");
    }
}

async fn an_unknown_bearer_or_header_is_refused_by_its_reason(db: TestDatabase, on: Framework) {
    let (sessions, mut created) = logged_in(&db).await;
    let site = Site::start(on, everywhere(&sessions)).await;
    sessions.expire(&mut created.session).await.unwrap();
    let bearer = bearer(&created);
    let headers =
        [("authorization", &*bearer), ("authorization", "Bearer x"), ("x-auth-token", "unknown;\"")];
    for header in headers {
        let answer = site.get("/me", &[header]).await;
        answer.assert_refused(401, "You are not logged in.");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
        site.get("/maybe", &[header]).await.assert_is(200, "nobody");
    }
}

async fn a_malformed_bearer_or_header_is_a_bad_request(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, everywhere(&sessions)).await;
    let (cookie, twice) = (cookie(&created), format!("{} {}", bearer(&created), created.token.expose()));
    let long = "x".repeat(4097);
    for header in [
        ("authorization", "Bearer"),
        ("authorization", "Bearer a,b"),
        ("authorization", &twice),
        ("x-auth-token", ""),
        ("x-auth-token", "a b"),
        ("x-auth-token", &long),
    ] {
        for path in ["/me", "/maybe"] {
            // Also where there is a good cookie beside it.
            for headers in [&[header][..], &[header, ("cookie", &cookie)]] {
                let answer = site.get(path, headers).await;
                answer.assert_refused(400, "The credential in this request is malformed.");
                assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_request\""));
            }
        }
        site.get("/free", &[header]).await.assert_is(200, "free");
    }
}

async fn two_different_credentials_are_a_bad_request_and_the_same_twice_is_fine(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, created) = logged_in(&db).await;
    let other = sessions.create(user("5678")).await.unwrap();
    let site = Site::start(on, everywhere(&sessions)).await;
    let all = |created| {
        let cookie: String = cookie(created);
        [
            ("cookie", cookie),
            ("authorization", bearer(created)),
            ("x-auth-token", created.token.expose().into()),
        ]
    };
    let (ours, theirs) = (all(&created), all(&other));
    for (name, value) in &ours {
        for (same_name, same) in &ours {
            let headers = [(*name, value.as_str()), (*same_name, same.as_str())];
            site.get("/me", &headers).await.assert_is(200, "1234");
        }
        // Two cookies are a matter of their own.
        for (other_name, other) in theirs.iter().filter(|(other, _)| (*name, *other) != ("cookie", "cookie"))
        {
            let headers = [(*name, value.as_str()), (*other_name, other.as_str())];
            for path in ["/me", "/maybe"] {
                let answer = site.get(path, &headers).await;
                answer.assert_refused(400, "This request has two different credentials.");
                assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_request\""));
            }
            site.get("/free", &headers).await.assert_is(200, "free");
            let answer = site.post("/login/1234", &headers).await;
            answer.assert_refused(400, "This request has two different credentials.");
        }
    }
    // A cookie that is not the header's is one too many, whatever another says.
    let both = format!("{}; {}", ours[0].1, theirs[0].1);
    assert_eq!(site.get("/me", &[("cookie", &both), ("authorization", &ours[1].1)]).await.status, 400);
    assert_eq!(sessions.query().count().await.unwrap(), 2, "nobody was logged in or out");
}

each_framework! {
    a_token_is_taken_from_the_cookie_the_bearer_and_the_header,
    a_key_with_a_prefix_is_taken_from_everywhere_and_a_mistyped_one_is_unknown_without_a_question,
    without_a_token_nobody_is_logged_in,
    a_cookie_whose_name_differs_in_any_byte_is_not_the_session_s,
    a_token_in_the_url_is_no_token,
    a_source_that_is_not_listed_is_not_read,
    an_unknown_cookie_is_logged_out_and_cleared,
    an_expired_cookie_is_logged_out_and_cleared,
    a_malformed_cookie_is_logged_out_and_cleared,
    an_unknown_bearer_or_header_is_refused_by_its_reason,
    a_malformed_bearer_or_header_is_a_bad_request,
    two_different_credentials_are_a_bad_request_and_the_same_twice_is_fine,
}
