use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use super::batcher::LONGEST_HOLD;
use super::sync::Mutex;
use crate::database::Pooled;

/// For how long a connection is kept for the next lookup; it may be up to twice that.
const KEPT: Duration = Duration::from_millis(5);

/// The connection of the last lookup, kept for a moment for the next one.
///
/// A pool tests a connection, at least when it comes back, and nothing is known of a connection from the pool: another
/// caller may have left a transaction open on it. A connection that is kept avoids both costs. It is kept only while at
/// least half of its pool is free, so that no other call has to wait for it, and even then goes back to the pool now
/// and then.
pub(super) struct WarmConnection(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    connection: Option<Pooled>,
    /// How often a connection was kept.
    count: u64,
    /// Whether a task will give the connection back.
    is_watched: bool,
}

impl WarmConnection {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State::default())))
    }

    pub(super) fn take(&self) -> Option<Pooled> {
        self.0.lock().connection.take().map(Pooled::for_another)
    }

    /// Keeps the connection of a lookup that was answered, or gives it back to its pool.
    pub(super) fn keep(&self, connection: Pooled) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if connection.held_for() >= LONGEST_HOLD || !connection.is_spare() {
            return;
        }
        let mut state = self.0.lock();
        if state.connection.is_some() {
            return;
        }
        state.connection = Some(connection);
        state.count += 1;
        if !state.is_watched {
            state.is_watched = true;
            let watch = Watch(Arc::downgrade(&self.0));
            drop(state);
            runtime.spawn(watch.give_back());
        }
    }
}

/// Gives the connection back, at the latest when the runtime shuts down.
struct Watch(Weak<Mutex<State>>);

impl Watch {
    async fn give_back(self) {
        let mut seen = None;
        loop {
            tokio::time::sleep(KEPT).await;
            let Some(state) = self.0.upgrade() else {
                return;
            };
            let count = Some(state.lock().count);
            if count == seen {
                return;
            }
            seen = count;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(state) = self.0.upgrade() {
            let mut state = state.lock();
            state.is_watched = false;
            let connection = state.connection.take();
            drop(state);
            drop(connection);
        }
    }
}
