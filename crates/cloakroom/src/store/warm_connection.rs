use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio::time::Instant;

use crate::database::Pooled;
use crate::sync::Mutex;

/// For how long statements go out on one connection before other callers of the pool get their turn.
pub(crate) const LONGEST_HOLD: Duration = Duration::from_millis(50);

/// How long a connection stays warm, which is how long it waits for the next statement: at least this, and at most twice
/// this.
const STAYS_WARM: Duration = Duration::from_millis(5);

/// How old the last tick of a watch may be, before its runtime is taken for one that nothing drives.
const LONGEST_BETWEEN_TICKS: Duration = STAYS_WARM.saturating_mul(4);

/// The connection of the last lookup or write that was alone, kept warm for a moment for the next one.
///
/// A pool asks each connection that comes back for a sign of life, and nothing is known of a connection that comes from
/// there: another task may have left a transaction open on it. A warm connection costs neither, and its server's process
/// has what it needs in the processor's cache. It is kept only while at least half of its pool is free, and goes back to
/// the pool after [`LONGEST_HOLD`], however many statements follow.
pub(crate) struct WarmConnection(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    connection: Option<Pooled>,
    /// Where the connection was put: a pool takes a connection back only within a runtime.
    runtime: Option<Handle>,
    /// How often a connection was put here.
    count: u64,
    /// The task that gives the connection back.
    watch: Option<Watched>,
    /// How many watches there have been.
    watches: u64,
}

struct Watched {
    number: u64,
    on: runtime::Id,
    ticked: Instant,
}

impl WarmConnection {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State::default())))
    }

    /// Returns the warm connection, if there is one, for a caller that begins to wait now.
    pub(super) fn take(&self) -> Option<Pooled> {
        self.0.lock().connection.take().map(Pooled::for_another)
    }

    /// Keeps the connection of a statement that was answered warm, or gives it back to its pool.
    pub(crate) fn keep(&self, connection: Pooled) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if connection.held_for() >= LONGEST_HOLD || !connection.can_stay_warm() {
            return;
        }
        let mut state = self.0.lock();
        if state.connection.is_some() {
            return;
        }
        state.connection = Some(connection);
        state.count += 1;
        let now = Instant::now();
        if !state.is_watched(&runtime, now) {
            state.watches += 1;
            let number = state.watches;
            state.watch = Some(Watched { number, on: runtime.id(), ticked: now });
            runtime.spawn(Watch { state: Arc::downgrade(&self.0), number }.run());
        }
        state.runtime = Some(runtime);
    }
}

impl State {
    /// Returns `true` if a task of this runtime will give the connection back. A task that has not ticked for long does
    /// not count: if nothing drives its runtime any more, the connection would never go back.
    fn is_watched(&self, runtime: &Handle, now: Instant) -> bool {
        self.watch.as_ref().is_some_and(|watch| {
            watch.on == runtime.id() && now.duration_since(watch.ticked) <= LONGEST_BETWEEN_TICKS
        })
    }
}

/// The handle may be dropped outside of every runtime.
impl Drop for WarmConnection {
    fn drop(&mut self) {
        let (connection, runtime) = {
            let mut state = self.0.lock();
            (state.connection.take(), state.runtime.take())
        };
        let _within = runtime.as_ref().map(Handle::enter);
        drop(connection);
    }
}

/// Gives the connection back when it is dropped, unless another watch has taken its place: after a span in which no
/// connection was put there, and at the latest when its runtime shuts down.
struct Watch {
    state: Weak<Mutex<State>>,
    number: u64,
}

impl Watch {
    /// Ticks for as long as connections are put there.
    async fn run(self) {
        let mut seen = None;
        loop {
            tokio::time::sleep(STAYS_WARM).await;
            let Some(state) = self.state.upgrade() else {
                return;
            };
            let mut state = state.lock();
            let count = Some(state.count);
            match &mut state.watch {
                Some(watch) if watch.number == self.number && count != seen => watch.ticked = Instant::now(),
                // No connection was put here since, or another task watches.
                _ => return,
            }
            seen = count;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(state) = self.state.upgrade() else {
            return;
        };
        let connection = {
            let mut state = state.lock();
            if state.watch.as_ref().is_none_or(|watch| watch.number != self.number) {
                return;
            }
            state.watch = None;
            state.connection.take()
        };
        drop(connection);
    }
}
