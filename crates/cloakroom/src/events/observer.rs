use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Event;

/// Is told what happens to sessions; see [`Sessions::with_observer`](crate::Sessions::with_observer).
///
/// Every `Fn(&Event)` is one:
///
/// ```
/// # use cloakroom::{Config, SessionTable, Sessions};
/// # #[derive(Clone, SessionTable)]
/// # struct UserSession { user_id: String }
/// # fn example(sessions: Sessions<UserSession>) -> Result<(), cloakroom::ConfigError> {
/// let sessions = sessions.with_observer(|event: &cloakroom::Event| println!("{event}"))?;
/// # Ok(())
/// # }
/// ```
///
/// An observer runs in the task of the call that made the change, before the call returns. So it must be quick and must
/// not wait: to send a mail or close a connection, take [`event_channel`](crate::event_channel) and do the work in a task
/// of its own. A panic of an observer is caught and reported to `tracing`; the call goes on, since its change is done.
pub trait Observer: Send + Sync + 'static {
    /// Takes note of an event.
    fn observe(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn observe(&self, event: &Event) {
        self(event);
    }
}

/// The observers of a handle.
#[derive(Clone, Default)]
pub(crate) struct Observers(Arc<[Arc<dyn Observer>]>);

impl Observers {
    pub(crate) fn and(&self, observer: impl Observer) -> Self {
        let observer: Arc<dyn Observer> = Arc::new(observer);
        Self(self.0.iter().cloned().chain([observer]).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn tell(&self, event: &Event) {
        for observer in self.0.iter() {
            if catch_unwind(AssertUnwindSafe(|| observer.observe(event))).is_err() {
                tracing::error!(
                    table = event.table,
                    event = event.name(),
                    "an observer of sessions panicked"
                );
            }
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observers({})", self.0.len())
    }
}
