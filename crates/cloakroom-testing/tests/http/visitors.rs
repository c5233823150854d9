//! Sessions of visitors, and what becomes of them at the log-in; values and messages in a session's data.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use axum::http::{Method, Request, StatusCode};
use cloakroom::{Database, Evict, NewSession, PerOwner, SessionTable, Sessions, Status};
use cloakroom_testing::{TestDatabase, UserSession, user};
use cloakroom_web::{CookieConfig, Flash, SessionLayer, SessionManager, SessionRejection, Values};
use serde_json::{Value, json};

use crate::harness::{Answer, App, Current, Framework, Last, Manager, Site, cookie, get, post};

#[derive(Clone, SessionTable)]
#[session(table = "visitors")]
struct Visitor {
    language: Option<String>,
}

type Visitors = SessionManager<Visitor>;
type Basket = Vec<String>;

async fn add<T: cloakroom::SessionFields<Data = Value>>(
    Last(article): Last,
    values: Values<T>,
) -> Result<String, SessionRejection> {
    let basket = values.update("basket", |basket: &mut Basket| basket.push(article.clone())).await?;
    Ok(basket.join(" "))
}

async fn basket(values: Values<Visitor>) -> Result<String, SessionRejection> {
    Ok(values.get::<Basket>("basket").await?.map_or("none".to_owned(), |basket| basket.join(" ")))
}

async fn log_in(manager: Manager, visitors: Visitors) -> Result<String, SessionRejection> {
    let take_over = |visitor: Option<&cloakroom::Session<Visitor>>| match visitor {
        Some(visitor) => user("1234").data(visitor.data.clone()),
        None => user("1234"),
    };
    Ok(manager.log_in_from(&visitors, take_over).await?.token.expose().to_owned())
}

async fn start(on: Framework, db: &TestDatabase) -> (Sessions<UserSession>, Sessions<Visitor>, Site) {
    let users = db.sessions::<UserSession>().await;
    let visitors = db.sessions::<Visitor>().await;
    let flash = get(async |flash: Flash<Visitor>| {
        let messages = flash.take().await?;
        let shown = messages.iter().map(|message| format!("{} {};", message.kind, message.text));
        Ok::<_, SessionRejection>(shown.collect::<Vec<_>>().concat())
    });
    let app = App::new()
        .route("/me", get(async |session: Current| session.data.to_string()))
        .route("/login", post(log_in))
        .route("/basket", get(basket))
        .route("/basket/{article}", post(add::<Visitor>))
        .route("/mine/{article}", post(add::<UserSession>))
        .route("/flash", flash)
        .route(
            "/flash/{text}",
            post(async |Last(text): Last, flash: Flash<Visitor>| {
                flash.push("success", text).await.map(|()| "")
            }),
        )
        .route(
            "/set/{json}",
            post(async |Last(json): Last, values: Values<Visitor>| {
                values.insert("basket", json).await.map(|()| "")
            }),
        )
        .route(
            "/remove",
            post(async |values: Values<Visitor>| {
                values.remove("basket").await.map(|is_there| is_there.to_string())
            }),
        );
    let cookie = CookieConfig::builder().name("__Host-Http-visitor").build().unwrap();
    let layer = SessionLayer::new(visitors.clone())
        .cookie(cookie)
        .for_visitors(|_| NewSession::new(Visitor { language: None }));
    let site = Site::start(on, app.layer(SessionLayer::new(users.clone())).layer(layer)).await;
    (users, visitors, site)
}

/// The cookie of this name that a response sets.
fn cookie_of(answer: &Answer, name: &str) -> String {
    let cookies = answer.cookies();
    let cookie = cookies.iter().find(|cookie| cookie.starts_with(&format!("__Host-Http-{name}=")));
    cookie.expect("the cookie is set").split(';').next().unwrap().to_owned()
}

/// A browser that has put something in.
async fn visitor(db: &TestDatabase, site: &Site) -> String {
    let answer = site.post("/basket/apple", &[]).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "apple"));
    db.clock().advance(Duration::from_secs(1));
    cookie_of(&answer, "visitor")
}

/// Sends all of these at the same time.
async fn together(site: &Site, cookie: &str, requests: &[(Method, &str)]) -> Vec<Answer> {
    let sent = requests.iter().map(|(method, path)| {
        let site = Site { address: site.address };
        let request = Request::builder().method(method).uri(*path).header("cookie", cookie);
        tokio::spawn(async move { site.send(request).await })
    });
    let sent: Vec<_> = sent.collect();
    let mut answers = Vec::new();
    for answer in sent {
        answers.push(answer.await.unwrap());
    }
    answers
}

async fn a_visitor_has_a_session_from_the_first_value_on_and_its_data_become_the_user_s(
    db: TestDatabase,
    on: Framework,
) {
    let (users, visitors, site) = start(on, &db).await;
    // Reading begins nothing.
    for (path, body) in [("/basket", "none"), ("/flash", "")] {
        site.get(path, &[]).await.assert_is(200, body);
    }
    site.post("/remove", &[]).await.assert_is(200, "false");
    assert_eq!(visitors.query().count().await.unwrap(), 0);
    let visiting = visitor(&db, &site).await;
    let as_visitor = [("cookie", &*visiting)];
    site.get("/basket", &as_visitor).await.assert_is(200, "apple");
    assert_eq!(site.post("/basket/pear", &as_visitor).await.body, "apple pear");
    // It is no log-in.
    site.get("/me", &as_visitor).await.assert_refused(401, "You are not logged in.");
    site.post("/mine/apple", &as_visitor).await.assert_refused(401, "You are not logged in.");

    let answer = site.post("/login", &as_visitor).await;
    assert_eq!(answer.cookies().len(), 2, "{:?}", answer.cookies());
    assert_eq!(cookie_of(&answer, "visitor"), "__Host-Http-visitor=");
    let session = cookie_of(&answer, "session");
    assert_ne!(session.split_once('=').unwrap().1, visiting.split_once('=').unwrap().1);
    let data = json!({ "basket": ["apple", "pear"] }).to_string();
    db.clock().advance(Duration::from_secs(1));
    site.get("/me", &[("cookie", &session)]).await.assert_is(200, &data);
    // The visitor's session has ended, and a second log-in with its token takes nothing over.
    assert_eq!((visitors.query().count().await.unwrap(), users.query().count().await.unwrap()), (0, 1));
    assert_eq!(site.get("/basket", &as_visitor).await.body, "none");
    let answer = site.post("/login", &as_visitor).await;
    db.clock().advance(Duration::from_secs(1));
    site.get("/me", &[("cookie", &cookie_of(&answer, "session"))]).await.assert_is(200, "{}");
    // A user's own values.
    assert_eq!(site.post("/mine/plum", &[("cookie", &session)]).await.body, "apple pear plum");
}

async fn requests_at_the_same_time_lose_no_value_not_even_at_the_log_in(db: TestDatabase, on: Framework) {
    let (users, visitors, site) = start(on, &db).await;
    let visiting = visitor(&db, &site).await;
    let headers = [("cookie", &*visiting)];
    let paths: Vec<_> = (0..8).map(|n| format!("/basket/{n}")).collect();
    let requests: Vec<_> = paths.iter().map(|path| (Method::POST, path.as_str())).collect();
    let answers = together(&site, &visiting, &requests).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let mut found: Vec<_> = site.get("/basket", &headers).await.body.split(' ').map(str::to_owned).collect();
    found.sort();
    assert_eq!(found, ["0", "1", "2", "3", "4", "5", "6", "7", "apple"]);

    // While the user logs in, a value is the user's or its request is told that it was too late.
    let paths: Vec<_> = (10..16).map(|n| format!("/basket/{n}")).collect();
    let mut requests: Vec<_> = paths.iter().map(|path| (Method::POST, path.as_str())).collect();
    requests.insert(3, (Method::POST, "/login"));
    let mut answers = together(&site, &visiting, &requests).await;
    let login = answers.remove(3);
    assert_eq!(login.status, 200, "{}", login.body);
    let session = users.authenticate(&login.body).await.unwrap().unwrap();
    let held: Basket = serde_json::from_value(session.data["basket"].clone()).unwrap();
    for (path, answer) in paths.iter().zip(&answers) {
        let article = path.strip_prefix("/basket/").unwrap().to_owned();
        match answer.status {
            // A request that came after the log-in began a session of its own.
            StatusCode::OK => {
                assert!(held.contains(&article) || answer.body == article, "{article}: {held:?}");
            }
            status => assert_eq!(status, StatusCode::UNAUTHORIZED, "{}", answer.body),
        }
    }
    assert_eq!(users.query().status(Status::Valid).count().await.unwrap(), 1, "one log-in");
    assert!(visitors.authenticate(visiting.split_once('=').unwrap().1).await.unwrap().is_none());
}

async fn a_message_is_shown_once_even_if_two_requests_ask(db: TestDatabase, on: Framework) {
    let (_, visitors, site) = start(on, &db).await;
    let visiting = visitor(&db, &site).await;
    let headers = [("cookie", &*visiting)];
    for text in ["first", "second"] {
        assert_eq!(site.post(&format!("/flash/{text}"), &headers).await.status, 200);
    }
    // A page that may never be seen takes none.
    assert_eq!(site.get("/flash", &[headers[0], ("sec-purpose", "prefetch")]).await.body, "");
    let answers = together(&site, &visiting, &vec![(Method::GET, "/flash"); 6]).await;
    let shown: Vec<_> =
        answers.iter().map(|answer| answer.body.as_str()).filter(|body| !body.is_empty()).collect();
    assert_eq!(shown, ["success first;success second;"]);
    // It leaves the rest as it is, and where there is none nothing is written.
    let before = visitors.query().fetch_one().await.unwrap();
    assert_eq!(before.data, json!({ "basket": ["apple"] }));
    db.clock().advance(Duration::from_secs(1));
    assert_eq!(site.get("/flash", &headers).await.body, "");
    assert_eq!(visitors.query().fetch_one().await.unwrap().updated_at, before.updated_at);
    for n in 0..20 {
        site.post(&format!("/flash/{n}"), &headers).await;
    }
    let shown = site.get("/flash", &headers).await.body;
    assert!(shown.starts_with("success 4;") && shown.ends_with("success 19;"), "{shown}");
}

async fn a_value_of_another_type_is_an_error_and_stays(db: TestDatabase, on: Framework) {
    let (_, visitors, site) = start(on, &db).await;
    let visiting = visitor(&db, &site).await;
    let headers = [("cookie", &*visiting)];
    assert_eq!(site.post("/set/a-secret", &headers).await.status, 200);
    for answer in [site.get("/basket", &headers).await, site.post("/basket/pear", &headers).await] {
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (500, "Something went wrong here.\n"));
    }
    assert_eq!(visitors.query().fetch_one().await.unwrap().data, json!({ "basket": "a-secret" }));
    assert_eq!(site.post("/remove", &headers).await.body, "true");
    assert_eq!(site.post("/basket/pear", &headers).await.body, "pear");
}

async fn while_the_database_is_away_a_visitor_keeps_the_session(db: TestDatabase, on: Framework) {
    let (users, _, site) = start(on, &db).await;
    let visiting = visitor(&db, &site).await;
    let created = users.create(user("1234")).await.unwrap();
    db.execute("ALTER TABLE sessions RENAME TO elsewhere").await;
    let both = format!("{visiting}; {}", cookie(&created));
    site.post("/login", &[("cookie", &both)]).await.assert_is(503, "This is not available for the moment.\n");
    site.get("/basket", &[("cookie", &both)]).await.assert_is(200, "apple");
    db.execute_anew("ALTER TABLE elsewhere RENAME TO sessions").await;
    db.execute("ALTER TABLE visitors RENAME TO gone").await;
    for path in ["/basket/pear", "/login"] {
        let answer = site.post(path, &[("cookie", &both)]).await;
        answer.assert_is(503, "This is not available for the moment.\n");
    }
}

#[derive(Clone, SessionTable)]
#[session(table = "members")]
struct Member {
    #[session(index, owner)]
    user_id: String,
}

/// A log-in that meets a write of the visitor's session after it has read it, and so starts anew.
async fn log_in_that_starts_anew(
    on: Framework,
    db: &TestDatabase,
    limit: PerOwner<Member>,
) -> (Sessions<Member>, Answer) {
    let members = db.sessions::<Member>().await.with_limit(limit.clone()).unwrap();
    let visitors = db.sessions::<Visitor>().await;
    // Another process, with connections of its own: it stands still for a while.
    let elsewhere = Database::connect(db.url()).await.unwrap();
    let config = || db.config().build().unwrap();
    let other_members = Sessions::new(elsewhere.clone(), config()).unwrap().with_limit(limit).unwrap();
    let other_visitors = Sessions::new(elsewhere, config()).unwrap();
    let (has_read, reads) = mpsc::channel();
    let (write, is_written) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(Some((has_read, is_written))));
    let log_in = post(move |manager: SessionManager<Member>, visitors: Visitors| {
        let gate = Arc::clone(&gate);
        async move {
            let created = manager.log_in_from(&visitors, |visitor| {
                if let Some((has_read, is_written)) = gate.lock().unwrap().take() {
                    has_read.send(()).unwrap();
                    match on {
                        Framework::Axum => tokio::task::block_in_place(|| is_written.recv().unwrap()),
                        // A worker has its thread for itself.
                        Framework::Actix => is_written.recv().unwrap(),
                    }
                }
                NewSession::new(member()).data(visitor.unwrap().data.clone())
            });
            created.await.map(|created| created.session.data["basket"].to_string())
        }
    });
    let app = App::new().route("/login", log_in).route("/basket/{article}", post(add::<Visitor>));
    let cookie = CookieConfig::builder().name("__Host-Http-visitor").build().unwrap();
    let layered = |members: Sessions<Member>, visitors| {
        let layer = SessionLayer::new(visitors)
            .cookie(cookie.clone())
            .for_visitors(|_| NewSession::new(Visitor { language: None }));
        app.clone().layer(SessionLayer::new(members)).layer(layer)
    };
    let site = Site::start(on, layered(members.clone(), visitors)).await;
    let other_site = Site::start(on, layered(other_members, other_visitors)).await;
    let visiting = visitor(db, &site).await;
    let request = Request::post("/login").header("cookie", visiting.clone());
    let answered = tokio::spawn(async move { other_site.send(request).await });
    tokio::task::block_in_place(|| reads.recv().unwrap());
    let answer = site.post("/basket/pear", &[("cookie", &visiting)]).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "apple pear"));
    write.send(()).unwrap();
    (members, answered.await.unwrap())
}

fn member() -> Member {
    Member { user_id: "1234".to_owned() }
}

async fn a_log_in_that_starts_anew_counts_once_under_a_limit(db: TestDatabase, on: Framework) {
    for limit in [PerOwner::at_most(2).evict(Evict::Oldest), PerOwner::at_most(2).refuse()] {
        let other = db.sessions::<Member>().await.create(NewSession::new(member())).await.unwrap();
        db.clock().advance(Duration::from_secs(1));
        let (members, login) = log_in_that_starts_anew(on, &db, limit).await;
        assert_eq!((login.status.as_u16(), login.body.as_str()), (200, "[\"apple\",\"pear\"]"));
        assert!(members.authenticate(&other.token).await.unwrap().is_some(), "it took another's place");
        assert_eq!(members.query().count().await.unwrap(), 2);
        members.query().expire_all().await.unwrap();
    }
}

each_framework_on_each_database! {
    a_log_in_that_starts_anew_counts_once_under_a_limit,
    a_visitor_has_a_session_from_the_first_value_on_and_its_data_become_the_user_s,
    requests_at_the_same_time_lose_no_value_not_even_at_the_log_in,
    a_message_is_shown_once_even_if_two_requests_ask,
    a_value_of_another_type_is_an_error_and_stays,
    while_the_database_is_away_a_visitor_keeps_the_session,
}
