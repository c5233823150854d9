//! The server dies under the application, and comes back.

use std::time::Duration;

pub(crate) use cloakroom::sqlx::mysql::MySqlPoolOptions;
pub(crate) use cloakroom::sqlx::postgres::PgPoolOptions;
use cloakroom::{Config, Database, Sessions};
use cloakroom_testing::servers::Server;
use cloakroom_testing::{UserSession, user};
use cloakroom_web::SessionLayer;

use crate::harness::{Framework, Site, cookie, routes};

/// What the pool waits for a connection.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);

async fn goes_and_comes_back(mut server: Server, database: Database) {
    let sessions = Sessions::<UserSession>::new(database, Config::default()).unwrap();
    sessions.migrate().await.unwrap();
    let cookie = cookie(&sessions.create(user("1234")).await.unwrap());
    let site = Site::start(
        Framework::Axum,
        routes().layer(SessionLayer::new(sessions.clone()).redirect_to("/login")),
    )
    .await;
    let headers = [("cookie", cookie.as_str()), ("accept", "text/html")];
    site.get("/me", &headers).await.assert_is(200, "1234");
    server.kill();
    for path in ["/me", "/maybe"] {
        let answer = site.get(path, &headers).await;
        answer.assert_is(503, "This is not available for the moment.\n");
    }
    site.get("/free", &headers).await.assert_is(200, "free");
    server.start().unwrap();
    site.get("/me", &headers).await.assert_is(200, "1234");
    sessions.database().close().await;
}

#[tokio::main]
pub(crate) async fn block_on(case: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_mins(2), case).await.expect("the case hangs");
}

/// A test of a case on a server of its own, of each kind: `case` gets the server, and a pool.
macro_rules! each_server {
    ($test:ident, $case:path) => {
        $crate::outage::each_server!(@one postgres, PgPoolOptions, "PostgreSQL: run `cargo xtask test`", $test, $case);
        $crate::outage::each_server!(@one mariadb, MySqlPoolOptions, "MariaDB: run `cargo xtask test`", $test, $case);
    };
    (@one $kind:ident, $options:ident, $missing:literal, $test:ident, $case:path) => {
        mod $kind {
            #[test]
            #[cfg_attr(not(feature = "servers"), ignore = $missing)]
            fn $test() {
                let server = cloakroom_testing::servers::$kind().unwrap();
                $crate::outage::block_on(async {
                    let options = $crate::outage::$options::new().acquire_timeout($crate::outage::TIMEOUT);
                    let pool = options.connect(server.url()).await.unwrap();
                    $case(server, pool.into()).await;
                });
            }
        }
    };
}

pub(crate) use each_server;

each_server!(
    pages_that_need_a_session_are_503_until_the_server_is_back_and_then_the_cookie_works,
    super::goes_and_comes_back
);
