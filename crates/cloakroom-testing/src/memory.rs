use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use cloakroom::Sessions;

use crate::{UserSession, hold_connections, user};

/// If a listener is not heard within this time, it never will be.
const PATIENCE: Duration = Duration::from_mins(1);

/// Returns the answer of a call that waits for nothing, as a call does that needs no database. Returns `None` if the
/// call waits; it is then dropped. While [all connections are held](hold_connections), no other call answers.
pub fn at_once<F: Future>(call: F) -> Option<F::Output> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// Waits until the cache keeps answers. If there is a listener, it has then been heard.
///
/// # Panics
///
/// If the cache never keeps one.
pub(crate) async fn until_kept(sessions: &Sessions<UserSession>) {
    let begun = Instant::now();
    let created = sessions.create(user("nobody")).await.expect("a session can be made");
    loop {
        sessions.authenticate(&created.token).await.expect("the database answers");
        let held = hold_connections(sessions.database()).await;
        if at_once(sessions.authenticate(&created.token)).is_some() {
            break;
        }
        drop(held);
        assert!(begun.elapsed() < PATIENCE, "nothing is ever kept");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    sessions.delete(created.session).await.expect("a session can be deleted");
}
