//! When and from where sessions were last used.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::PeerAddr;
use axum::extract::ConnectInfo;
use cloakroom::time::OffsetDateTime;
use cloakroom::{NewSession, SessionTable, Sessions};
use cloakroom_axum::client_ip;
use cloakroom_testing::TestDatabase;
use cloakroom_web::{CurrentSession, SessionLayer, SessionManager};
use http::HeaderValue;
use tokio::net::TcpListener;

use crate::harness::{App, Framework, Site, get, post};

#[derive(Clone, SessionTable)]
#[session(table = "seen")]
struct Watched {
    user_id: String,
    #[session(last_seen)]
    last_seen: Option<OffsetDateTime>,
    #[session(last_address)]
    last_address: Option<String>,
    #[session(last_user_agent)]
    last_user_agent: Option<String>,
}

fn user() -> NewSession<Watched> {
    let fields =
        Watched { user_id: "1234".into(), last_seen: None, last_address: None, last_user_agent: None };
    NewSession::new(fields)
}

/// Also tells where connections come from.
async fn start(on: Framework, sessions: &Sessions<Watched>) -> Site {
    let layer = SessionLayer::new(sessions.clone()).on_use(|request, seen| {
        let of_axum = request.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let peer = of_axum.or(request.extensions.get::<PeerAddr>().map(|peer| peer.0.ip()));
        let peer = client_ip::rightmost_x_forwarded_for(&request.headers).ok().or(peer);
        seen.from_client(peer, request.headers.get("user-agent").map(HeaderValue::as_bytes))
    });
    let app = App::new()
        .route("/free", get(async || "free"))
        .route("/me", get(async |_: CurrentSession<Watched>| "here"))
        .route(
            "/login",
            post(async |manager: SessionManager<Watched>| {
                manager.log_in(user()).await.map(|created| created.token.expose().to_owned())
            }),
        )
        .layer(layer);
    if on == Framework::Actix {
        return Site::start(on, app).await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_axum().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    Site { address }
}

/// The last use as the row has it, once what was noted is written.
async fn last(sessions: &Sessions<Watched>) -> (Option<OffsetDateTime>, Option<String>, Option<String>) {
    sessions.flush_seen().await.unwrap();
    let session = sessions.query().fetch_one().await.unwrap();
    let text = |text: Option<&str>| text.map(str::to_owned);
    (session.last_seen(), text(session.last_address()), text(session.last_user_agent()))
}

async fn a_use_is_recorded_with_the_client_and_reading_ahead_is_none(db: TestDatabase, on: Framework) {
    let config = db.config().record_seen(Duration::from_hours(1));
    let sessions = db.sessions_with::<Watched>(config).await;
    let site = start(on, &sessions).await;
    let (local, agent) = (Some("127.0.0.1".to_owned()), |agent: &str| Some(agent.to_owned()));
    let token = site.post("/login", &[("user-agent", "a phone")]).await.body;
    assert_eq!(last(&sessions).await, (Some(db.now()), local.clone(), agent("a phone")));
    let cookie = format!("__Host-Http-session={token}");
    let used = |path: &'static str, headers: &[(&'static str, &'static str)]| {
        let headers = [headers, &[("cookie", &*cookie)]].concat();
        let (site, clock) = (&site, db.clock());
        async move {
            clock.advance(Duration::from_mins(1));
            assert_eq!(site.get(path, &headers).await.status, 200);
        }
    };
    used("/me", &[("user-agent", "a laptop")]).await;
    let expected = (Some(db.now()), local.clone(), agent("a laptop"));
    assert_eq!(last(&sessions).await, expected);
    // Neither what asks for no session, nor what the user may never see.
    used("/free", &[("user-agent", "a watch")]).await;
    used("/me", &[("user-agent", "a watch"), ("sec-purpose", "prefetch")]).await;
    assert_eq!(last(&sessions).await, expected);
    // What a client does not say of itself stays.
    used("/me", &[]).await;
    assert_eq!(last(&sessions).await, (Some(db.now()), local, agent("a laptop")));
    {
        used("/me", &[("x-forwarded-for", "203.0.113.9, 2001:db8::1")]).await;
        assert_eq!(last(&sessions).await.1.as_deref(), Some("2001:db8::1"));
    }
}

each_framework! {
    a_use_is_recorded_with_the_client_and_reading_ahead_is_none,
}
