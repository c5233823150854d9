use std::any::Any;
use std::env;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use cloakroom::{Database, NewSession, SessionFields, Sessions};

/// Returns how long a test waits for what comes soon or never: a minute, or the number of seconds that
/// `CLOAKROOM_TEST_PATIENCE` says. Code that was broken on purpose keeps every test waiting.
pub fn patience() -> Duration {
    let seconds = env::var("CLOAKROOM_TEST_PATIENCE").ok().and_then(|seconds| seconds.parse().ok());
    seconds.map_or(Duration::from_mins(1), Duration::from_secs)
}

/// Returns the answer of a call that waits for nothing, as a call does that needs no database. Returns `None` if the
/// call waits; it is then dropped. While [all connections are held](hold_connections), no other call answers.
pub fn at_once<F: Future>(call: F) -> Option<F::Output> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// Takes all connections of a pool, so that every further call waits, until the returned connections are dropped.
///
/// # Panics
///
/// If the database does not answer.
pub async fn hold_connections(pool: &Database) -> Box<dyn Any + Send> {
    macro_rules! hold {
        ($pool:expr) => {{
            let mut held = Vec::new();
            for _ in 0..$pool.options().get_max_connections() {
                held.push($pool.acquire().await.expect("the database answers"));
            }
            Box::new(held)
        }};
    }
    match pool {
        Database::Sqlite(pool) => hold!(pool),
        Database::Postgres(pool) => hold!(pool),
        Database::MySql(pool) => hold!(pool),
        other => panic!("no such database: {other:?}"),
    }
}

/// Waits until the cache keeps answers, with a session that is made for it. If there is a listener, it has then been heard.
///
/// # Panics
///
/// If the cache never keeps one.
pub async fn until_kept<T: SessionFields>(sessions: &Sessions<T>, new: NewSession<T>) {
    let begun = Instant::now();
    let created = sessions.create(new).await.expect("a session can be made");
    loop {
        sessions.authenticate(&created.token).await.expect("the database answers");
        let held = hold_connections(sessions.database()).await;
        if at_once(sessions.authenticate(&created.token)).is_some() {
            break;
        }
        drop(held);
        assert!(begun.elapsed() < patience(), "nothing is ever kept");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    sessions.delete(created.session).await.expect("a session can be deleted");
}
