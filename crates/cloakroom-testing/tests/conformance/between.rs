//! What happens between the statement that reads a session and the one that writes it: anything, at will.

use std::cell::RefCell;
use std::sync::Arc;

use cloakroom::{NewSession, SessionTable};
use cloakroom_testing::TestDatabase;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

type Change = Box<dyn FnOnce() + Send>;

tokio::task_local! {
    static CHANGE: RefCell<Option<Change>>;
}

/// Data that makes a change happen while it is decoded: after its row was read, and before anything is
/// written because of what was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Watched(Value);

impl<'de> Deserialize<'de> for Watched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let change = CHANGE.try_with(RefCell::take).ok().flatten();
        if let Some(change) = change {
            change();
        }
        Value::deserialize(deserializer).map(Self)
    }
}

/// A table whose rows are watched.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(data = Watched)]
pub(crate) struct WatchedSession {
    #[session(index)]
    pub(crate) user_id: String,
}

pub(crate) fn watched(user_id: &str) -> NewSession<WatchedSession> {
    NewSession::new(WatchedSession { user_id: user_id.to_owned() })
}

/// Awaits `reading`, in which `change` comes to its end once the first session has been read.
pub(crate) async fn during<R: Future>(
    reading: R,
    change: impl Future<Output = ()> + Send + 'static,
) -> R::Output {
    let blocking: Change = Box::new(move || {
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(change));
    });
    let (output, left) = CHANGE
        .scope(RefCell::new(Some(blocking)), async {
            let output = reading.await;
            (output, CHANGE.with(RefCell::take))
        })
        .await;
    assert!(left.is_none(), "nothing was read, so nothing happened in between");
    output
}

/// Awaits `reading`, in which `sql` is run once the first session has been read.
pub(crate) async fn during_sql<R: Future>(reading: R, db: &Arc<TestDatabase>, sql: String) -> R::Output {
    let db = Arc::clone(db);
    during(reading, async move { db.execute(&sql).await }).await
}
