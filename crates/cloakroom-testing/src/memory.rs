use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use cloakroom::Sessions;

use crate::{UserSession, hold_connections, user};

/// No listener takes this long to be heard unless it never is.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a call answers without waiting for anything, as one does that needs no database; `None` if it waits. It is
/// then dropped. While [all connections are held](hold_connections), no other call answers.
pub fn at_once<F: Future>(call: F) -> Option<F::Output> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// Waits until answers are kept: where there is a listener, it has then been heard.
///
/// # Panics
///
/// When they never are.
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
